"""What a fine-tuned sequence classifier thinks of a reply: the probability of a label as a reward.

The classifier is whatever ``AutoModelForSequenceClassification`` loads: the folder of a saved ``bert`` agent, or any
other. torch and transformers load when such a reward is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base import Reward
from ..devices import AUTO, check_stays, resolve_device
from ..transcript import Transcript, asked_before_reply
from .encoder import encodable
from .fluency import _judging


class Classifier(Reward):
    """The probability that a classifier gives a label to the last reply; bounds [0, 1], 0.0 for an empty reply.

    ``Classifier("runs/bert/agent")`` rewards with what the ``bert`` agent learned on ``TextClassification-v0``. On its
    own any such reward can be gamed; ``Steering(Classifier(...))`` multiplies it by guards.

    Args:
        model: a sequence classifier, or the name or folder of one for ``from_pretrained``.
        tokenizer: its tokenizer, or name or folder; None takes the model's folder.
        label: the wanted label, by name (case does not matter) or number; None wants ``goal["target"]``.
        include_prompt: read the message before the reply and the reply as one text.
        max_length: tokens of a text that are read, from the start; with the prompt both must fit.
        batch_size: replies in one padded forward pass of ``batch``.
        device: where a model that is loaded here computes, see :func:`~dialogym.rewards.devices.resolve_device`; a
            model object stays where it is.

    Raises:
        ImportError: without torch and transformers (``pip install "dialogym[lm]"``).
        TypeError: for a model object without a tokenizer.
        ValueError: for a device that is not there, or one for a model object; for a model of one label, or a label that
            it does not have; from a call, where no label was given and the goal has no target.
    """

    name: str = "classifier"

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        label: str | int | None = None,
        include_prompt: bool = False,
        max_length: int = 128,
        batch_size: int = 64,
        device: str = AUTO,
    ):
        for option, value in (("max_length", max_length), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{option} must be at least 1, got {value}")
        self.model, self.tokenizer = load_classifier(model, tokenizer, device)
        self.labels = labels_of(self.model)
        self.label = None if label is None else self.number_of(label)
        self.include_prompt, self.max_length, self.batch_size = include_prompt, max_length, batch_size

    def __call__(self, transcript: Transcript) -> float:
        return self.batch([transcript])[0]

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript; equal to single calls up to float rounding of the padded pass."""
        wanted = [self._wanted(transcript) for transcript in transcripts]
        spoken = [row for row, transcript in enumerate(transcripts) if transcript.reply.strip()]
        spoken.sort(key=lambda row: len(transcripts[row].reply))  # alike in length: little padding
        scores = [0.0] * len(transcripts)
        with _judging(self.model):
            for start in range(0, len(spoken), self.batch_size):
                rows = spoken[start : start + self.batch_size]
                found = self._probabilities([self._text(transcripts[row]) for row in rows])
                for row, probabilities in zip(rows, found, strict=True):
                    scores[row] = probabilities[wanted[row]]
        return scores

    def number_of(self, label: str | int) -> int:
        """The number of a label.

        Raises:
            ValueError: if the model has no such label.
        """
        names = [name.lower() for name in self.labels]
        if isinstance(label, str) and label.lower() in names:
            return names.index(label.lower())
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
            return label
        raise ValueError(f"label must be one of {', '.join(self.labels)}, or its number, got {label!r}")

    def _wanted(self, transcript: Transcript) -> int:
        if self.label is not None:
            return self.label
        if "target" not in transcript.goal:
            raise ValueError(f"the goal has no 'target': give a label, one of {', '.join(self.labels)}")
        return self.number_of(transcript.goal["target"])

    def _text(self, transcript: Transcript) -> str:
        if not self.include_prompt:
            return transcript.reply
        asked = asked_before_reply(transcript.messages)
        return f"{asked} {transcript.reply}" if asked else transcript.reply

    def _probabilities(self, texts: list[str]) -> list[list[float]]:
        """(B, K) probabilities of the labels."""
        texts = encodable(texts)
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")
        return self.model(**batch.to(self.model.device)).logits.float().softmax(-1).tolist()


def load_classifier(model: Any, tokenizer: Any = None, device: str = AUTO) -> tuple[Any, Any]:
    """A sequence classifier and its tokenizer, loaded where they are names or folders."""
    try:
        import torch  # noqa: F401 (transformers imports without it, and fails later)
        import transformers
    except ImportError as error:
        raise ImportError('a classifier needs torch and transformers: pip install "dialogym[lm]"') from error
    transformers.utils.logging.disable_progress_bar()  # of reading a folder, which takes no time here
    if tokenizer is None:
        if not isinstance(model, (str, Path)):
            raise TypeError(f"a model object needs its tokenizer too, got {type(model).__name__} and tokenizer=None")
        tokenizer = model
    if isinstance(model, (str, Path)):
        model = transformers.AutoModelForSequenceClassification.from_pretrained(str(model), trust_remote_code=False).to(
            resolve_device(device)
        )
    else:
        check_stays(model, device)
    if isinstance(tokenizer, (str, Path)):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(tokenizer), trust_remote_code=False)
    return model, tokenizer


def labels_of(model: Any) -> list[str]:
    """The names of a classifier's labels, in order.

    Raises:
        ValueError: for fewer than two.
    """
    names = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]
    if len(names) < 2:
        raise ValueError(f"a classifier must have at least two labels, got {', '.join(names) or 'none'}")
    return names
