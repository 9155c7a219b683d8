"""A preference model as a reward: what people who compared replies would have liked, as a model learned it.

``dialogym train preference`` fits one (``agents/preference/train.py``) with the Bradley-Terry loss: it gives a reply in
its context a score, and the chance that one reply is preferred to another is the sigmoid of the difference of their
scores (Bradley and Terry, 1952, https://doi.org/10.1093/biomet/39.3-4.324; Christiano et al., 2017, section 2.2.3,
https://arxiv.org/abs/1706.03741). torch and transformers load when a model does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..base import Reward
from ..devices import AUTO, resolve_device
from ..files import show_weights
from ..registry import register_reward_kind
from ..transcript import Message, Transcript
from .encoder import encodable

PREFERENCE_FILE = "preference.json"
FLOOR = 0.0
"""The reward of an empty reply."""


class Normalisation(NamedTuple):
    """Mean and standard deviation of the scores of the replies that the model learned from."""

    mean: float = 0.0
    deviation: float = 1.0


class Scorer:
    """A sequence classifier of transformers with one output, and its tokenizer: context and reply to a score.

    It reads the conversation as ``role: text`` lines, then the reply, with the tokenizer's own markers around them;
    text that looks like a marker is spelt out. What is too long loses the beginning of the context, then the end of the
    reply.

    Attributes:
        model: (B, T) ids to (B, 1) scores.
        tokenizer: of transformers.
        max_length: tokens that are read.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int):
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    def encode(self, asked: Sequence[tuple[Sequence[Message], str]]) -> list[list[int]]:
        """The ids of each reply in its context, at most ``max_length`` of them."""
        begin = _first_of(self.tokenizer.cls_token_id, self.tokenizer.bos_token_id)
        end = _first_of(self.tokenizer.sep_token_id, self.tokenizer.eos_token_id)
        contexts = self._ids([_as_lines(messages) for messages, _ in asked])
        encoded = []
        for context, reply in zip(contexts, self._ids([reply for _, reply in asked]), strict=True):
            said = reply[: self.max_length - len(begin) - 2 * len(end)]
            room = self.max_length - len(begin) - 2 * len(end) - len(said)
            encoded.append([*begin, *(context[-room:] if room else []), *end, *said, *end])
        return encoded

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        texts = encodable(texts)
        return list(self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def forward(self, sequences: Sequence[Sequence[int]]) -> Any:
        """(B,) scores of encoded replies, a tensor with gradients."""
        import torch

        device, longest = self.model.device, max(len(sequence) for sequence in sequences)
        ids = torch.full((len(sequences), longest), self.model.config.pad_token_id, dtype=torch.long)  # (B, T)
        attended = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence)
            attended[row, : len(sequence)] = 1
        return self.model(input_ids=ids.to(device), attention_mask=attended.to(device)).logits[:, 0].float()

    def scores(self, sequences: Sequence[Sequence[int]], batch_size: int = 64) -> list[float]:
        """The score of each encoded reply; equal to single calls up to float rounding of the padded pass."""
        import torch

        was_training = self.model.training
        self.model.eval()
        order = sorted(range(len(sequences)), key=lambda number: len(sequences[number]))  # alike in length
        found = [0.0] * len(sequences)
        try:
            with torch.no_grad():
                for start in range(0, len(order), batch_size):
                    rows = order[start : start + batch_size]
                    for row, score in zip(rows, self.forward([sequences[row] for row in rows]).tolist(), strict=True):
                        found[row] = score
        finally:
            self.model.train(was_training)
        return found


class PreferenceModel(Reward):
    """How much people would like the last reply, by a model of their preferences; bounds [0, 1], 0.0 when empty.

    The model's score less the mean score of the replies it learned from, over their standard deviation, through a
    sigmoid: 0.5 is an average reply, and about 0.73 one that is a standard deviation better. It reads what people read,
    placeholders filled. It is paid on every turn, so that a longer conversation earns more: where there are several
    turns, weigh it against the task's own reward.

    A file or command line names it ``preference:FOLDER``.

    Args:
        folder: what ``dialogym train preference --out`` wrote.
        batch_size: replies in one padded forward pass of ``batch``.
        device: where it computes, see :func:`~dialogym.rewards.devices.resolve_device`.

    Attributes:
        scorer: the model.
        normalisation: of its scores.

    Raises:
        ValueError: if ``folder`` holds no preference model, or for a device that is not there.
        ImportError: without torch and transformers (``pip install "dialogym[lm]"``).
    """

    name: str = "preference"
    is_judge: bool = True

    def __init__(self, folder: str | Path, batch_size: int = 64, device: str = AUTO):
        self.folder, self.batch_size, self.device = Path(folder), batch_size, device
        self.scorer, self.normalisation = load_scorer(folder, device)

    def __call__(self, transcript: Transcript) -> float:
        return self.batch([transcript])[0]

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript; replies that were given more than once are scored once."""
        asked = [_last_reply(transcript.spoken_messages) for transcript in transcripts]
        sequences = [
            tuple(ids) if said.strip() else () for ids, (_, said) in zip(self.scorer.encode(asked), asked, strict=True)
        ]
        different = [sequence for sequence in dict.fromkeys(sequences) if sequence]
        known = dict(zip(different, self.scorer.scores(different, self.batch_size), strict=True))
        return [self._bounded(known[sequence]) if sequence else FLOOR for sequence in sequences]

    def _bounded(self, score: float) -> float:
        z = (score - self.normalisation.mean) / self.normalisation.deviation
        return 1 / (1 + math.exp(-z)) if z > -500 else 0.0

    def margins(self, pairs: Iterable[Any]) -> list[float]:
        """The log-odds that the first reply of each pair is preferred to the second.

        Args:
            pairs: with ``messages``, ``first`` and ``second``, such as judgements.
        """
        pairs = list(pairs)
        asked = [(pair.messages, reply) for pair in pairs for reply in (pair.first, pair.second)]
        scores = self.scorer.scores(self.scorer.encode(asked), self.batch_size)
        return [first - second for first, second in zip(scores[::2], scores[1::2], strict=True)]

    def identity(self) -> str:
        """What was written down when it was trained."""
        return (self.folder / PREFERENCE_FILE).read_text(encoding="utf-8")

    @property
    def quality_file(self) -> Path:
        """Where its measured quality is kept."""
        return self.folder / "quality.json"

    def __reduce__(self) -> tuple[Any, ...]:
        return PreferenceModel, (self.folder, self.batch_size, self.device)


def save_scorer(folder: str | Path, scorer: Scorer, normalisation: Normalisation, facts: Mapping[str, Any]) -> None:
    """Writes a folder that :class:`PreferenceModel`, and ``from_pretrained``, load.

    Args:
        folder: to write into; it is made.
        scorer, normalisation: the model.
        facts: to be written down beside it: what it was trained on, and how good it is.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    scorer.model.save_pretrained(str(folder))
    scorer.tokenizer.save_pretrained(str(folder))
    show_weights(folder)
    described = {"max_length": scorer.max_length, "normalisation": normalisation._asdict(), **facts}
    (Path(folder) / PREFERENCE_FILE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def load_scorer(folder: str | Path, device: str = AUTO) -> tuple[Scorer, Normalisation]:
    """What :func:`save_scorer` wrote.

    Raises:
        ValueError, ImportError: as :class:`PreferenceModel`.
    """
    path = Path(folder) / PREFERENCE_FILE
    if not path.is_file():
        raise ValueError(
            f"expected a folder that `dialogym train preference` wrote, got {str(folder)!r}, "
            f"which has no {PREFERENCE_FILE}"
        )
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ImportError('a preference model needs torch and transformers: pip install "dialogym[lm]"') from error
    transformers.utils.logging.disable_progress_bar()  # of reading a folder, which takes no time here
    described = json.loads(path.read_text(encoding="utf-8"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        str(folder), dtype=torch.float32, trust_remote_code=False
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    scorer = Scorer(model.to(resolve_device(device)).eval(), tokenizer, int(described["max_length"]))
    return scorer, Normalisation(**described["normalisation"])


def _last_reply(messages: list[Message]) -> tuple[list[Message], str]:
    """The agent's last utterance, and what came before it."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "assistant":
            return messages[:place], messages[place]["content"]
    return messages, ""


def _as_lines(messages: Sequence[Message]) -> str:
    return "".join([f"{message['role']}: {message['content']}\n" for message in messages])


def _first_of(*numbers: int | None) -> list[int]:
    """The first marker that the tokenizer has, if any."""
    return [number for number in numbers if number is not None][:1]


register_reward_kind("preference", PreferenceModel)
