"""How likely a causal language model finds what the agent says: fluency as a reward, perplexity as a measure.

Any Hugging Face causal LM serves as the judge; one fine-tuned on good replies judges best. torch and transformers load
when they are first needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..base import Reward
from ..devices import AUTO, check_stays, resolve_device
from ..registry import register_reward
from ..transcript import Transcript


class Likelihood(NamedTuple):
    """Natural log-probability of a text (nats), summed over ``num_tokens`` scored tokens."""

    logprob: float
    num_tokens: int


class Fluency(Reward):
    """1 / perplexity of the last reply under a causal language model; bounds [0, 1], 0.0 for an empty reply.

    The geometric mean of its tokens' probabilities: 1.0 when the model is certain of every token.

    Args:
        model: a causal LM, or the name or folder of one for ``from_pretrained``.
        tokenizer: its tokenizer, or name or folder; None takes the model's folder.
        prefix: text the model reads before each reply, not scored (a speaker tag, say). Without it the reply starts
            after the tokenizer's beginning-of-text token, or its end-of-text token; with neither, the first token is
            not scored.
        max_tokens: of a reply that are scored; with the prefix they must fit the model's context.
        batch_size: replies in one padded forward pass of ``batch``.
        device: where a model that is loaded here computes, see :func:`~dialogym.rewards.devices.resolve_device`; a
            model object stays where it is.

    Raises:
        ImportError: without torch and transformers (``pip install "dialogym[lm]"``).
        TypeError: for a model object without a tokenizer.
        ValueError: for a device that is not there, or one for a model object.
    """

    name: str = "fluency"

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        prefix: str = "",
        max_tokens: int = 256,
        batch_size: int = 256,
        device: str = AUTO,
    ):
        self.model, self.tokenizer = load_judge(model, tokenizer, device)
        self.prefix, self.max_tokens, self.batch_size = prefix, max_tokens, batch_size

    def __call__(self, transcript: Transcript) -> float:
        return self.batch([transcript])[0]

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript; equal to single calls up to float rounding of the padded pass."""
        texts = [transcript.reply for transcript in transcripts]
        scores = likelihoods(texts, self.model, self.tokenizer, self.prefix, self.max_tokens, self.batch_size)
        return [math.exp(score.logprob / score.num_tokens) if score.num_tokens else 0.0 for score in scores]


def perplexity(
    texts: Sequence[str],
    model: Any,
    tokenizer: Any = None,
    *,
    prefix: str = "",
    max_tokens: int = 256,
    batch_size: int = 32,
    device: str = AUTO,
) -> float:
    """exp of the mean negative log-probability over all tokens of all texts (long texts weigh more).

    Args and errors as for :class:`Fluency`.

    Returns:
        A value of at least 1.0.

    Raises:
        ValueError: if no text has a token to score.
    """
    model, tokenizer = load_judge(model, tokenizer, device)
    scores = likelihoods(texts, model, tokenizer, prefix, max_tokens, batch_size)
    num_tokens = sum(score.num_tokens for score in scores)
    if not num_tokens:
        raise ValueError(f"perplexity needs a token to score, got {len(texts)} texts without one")
    return math.exp(-math.fsum(score.logprob for score in scores) / num_tokens)


def load_judge(model: Any, tokenizer: Any = None, device: str = AUTO) -> tuple[Any, Any]:
    """A causal LM and its tokenizer, loaded in float32 where they are names or folders."""
    transformers = _transformers()
    transformers.utils.logging.disable_progress_bar()  # of reading a folder, which takes no time here
    if tokenizer is None:
        if not isinstance(model, (str, Path)):
            raise TypeError(f"a model object needs its tokenizer too, got {type(model).__name__} and tokenizer=None")
        tokenizer = model
    if isinstance(model, (str, Path)):
        model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype="float32", trust_remote_code=False).to(
            resolve_device(device)
        )
    else:
        check_stays(model, device)
    if isinstance(tokenizer, (str, Path)):
        tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    return model, tokenizer


def likelihoods(
    texts: Sequence[str], model: Any, tokenizer: Any, prefix: str = "", max_tokens: int = 256, batch_size: int = 32
) -> list[Likelihood]:
    """The likelihood of each text on its own, ``batch_size`` texts to a forward pass."""
    context = _context(tokenizer, prefix)
    replies = [tokenizer.encode(text, add_special_tokens=False)[:max_tokens] for text in texts]
    scores: list[Likelihood] = []
    with _judging(model):
        for start in range(0, len(replies), batch_size):
            scores += _forward(model, context, replies[start : start + batch_size])
    return scores


def _context(tokenizer: Any, prefix: str) -> list[int]:
    """Token ids that every text follows."""
    start = tokenizer.bos_token_id
    if start is None and not prefix:
        start = tokenizer.eos_token_id
    return ([] if start is None else [start]) + tokenizer.encode(prefix, add_special_tokens=False)


def _forward(model: Any, context: list[int], replies: list[list[int]]) -> list[Likelihood]:
    import torch
    from torch.nn.functional import cross_entropy

    sequences = [context + reply for reply in replies]
    longest = max(len(sequence) for sequence in sequences)
    if longest < 2:
        return [Likelihood(0.0, 0)] * len(replies)
    padded = torch.zeros(len(sequences), longest, dtype=torch.long)  # (B, T), padded on the right
    attended = torch.zeros_like(padded)
    targets = torch.full_like(padded, -100)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = torch.tensor(sequence)
        attended[row, : len(sequence)] = 1
        targets[row, len(context) : len(sequence)] = padded[row, len(context) : len(sequence)]
    # A row without any token would attend to nothing; its padding attends to itself and is not scored.
    attended[:, 0] = 1
    targets[:, 0] = -100
    padded, attended, targets = (tensor.to(model.device) for tensor in (padded, attended, targets))
    logits = model(input_ids=padded, attention_mask=attended, use_cache=False).logits  # (B, T, V)
    losses = cross_entropy(logits[:, :-1].float().transpose(1, 2), targets[:, 1:], reduction="none")  # (B, T - 1)
    counts = (targets[:, 1:] != -100).sum(1)
    sums = losses.cpu().double().sum(1)  # Apple's GPUs have no float64
    return [Likelihood(-loss, count) for loss, count in zip(sums.tolist(), counts.tolist(), strict=True)]


@contextmanager
def _judging(model: Any) -> Iterator[None]:
    """No dropout and no gradients; a model that is being trained goes on training afterwards."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _transformers() -> Any:
    try:
        import torch  # noqa: F401 (transformers imports without it, and fails later)
        import transformers
    except ImportError as error:
        raise ImportError('language-model fluency needs torch and transformers: pip install "dialogym[lm]"') from error
    return transformers


register_reward(Fluency.name, Fluency)
