"""A preference model, fitted to judgements with the Bradley-Terry loss.

Bradley and Terry (1952), https://doi.org/10.1093/biomet/39.3-4.324; Christiano et al. (2017), section 2.2.3,
https://arxiv.org/abs/1706.03741: the loss is -log sigmoid(score of the chosen reply - score of the other), and a tie is
half of each. They score segments of a trajectory and assume that one judgement in ten is made at random; here it is one
reply in its context, and nothing is assumed. The model of the epoch with the lowest loss on held-out pairs is kept.
"""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from ...envs.tokenizer import load_tokenizer
from ...rewards.devices import AUTO, resolve_device
from ...rewards.learned.preference import PREFERENCE_FILE, Normalisation, PreferenceModel, Scorer, save_scorer
from ..base import Log, discard
from ..files import atomic_folder
from ..training.epochs import Updates, learning_rates, shuffled_batches, stalled
from ..training.quiet import quietly
from .judgements import TIE, Judgement, split_judgements


@dataclasses.dataclass(frozen=True)
class PreferenceConfig:
    """The whole configuration.

    Attributes:
        model: a name or folder for ``AutoModelForSequenceClassification.from_pretrained``, such as the folder of an
            ``sft`` agent, or of a BERT-like encoder; None is a small Llama with random weights.
        tokenizer: of the small one: a name or folder; None is the one that ships, made for restaurants.
        hidden_size, num_layers, num_heads, intermediate_size: of the small one.
        max_length: tokens of context and reply that are read, no more than the model has positions for.
        validation_share: of the pairs, held out to choose the epoch.
        epochs: passes over the rest, at most.
        patience: epochs without a lower validation loss before it stops.
        batch_size: judgements per update.
        learning_rate: peak, after a linear warm-up over a tenth of the updates; None is 1e-3 for the small model and
            5e-5 for one that was trained before.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are shortened to it.
        device: where it computes: "auto" takes a CUDA GPU, Apple's or the CPU, the first there is; or "cuda", "cuda:1",
            "mps", "cpu".
    """

    model: str | None = None
    tokenizer: str | None = None
    hidden_size: int = 96
    num_layers: int = 2
    num_heads: int = 4
    intermediate_size: int = 256
    max_length: int = 256
    validation_share: float = 0.15
    epochs: int = 15
    patience: int = 4
    batch_size: int = 32
    learning_rate: float | None = None
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    device: str = AUTO

    def __post_init__(self) -> None:
        if self.model is not None and self.tokenizer is not None:
            raise ValueError(f"tokenizer is for model=None, got {self.tokenizer!r} beside model={self.model!r}")
        resolve_device(self.device)
        if self.max_length < 8:
            raise ValueError(f"max_length must be at least 8, got {self.max_length}")
        if self.num_heads < 1 or self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_heads, got {self.hidden_size} and {self.num_heads}"
            )
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


def bradley_terry_loss(first: Tensor, second: Tensor, preference: Tensor) -> Tensor:
    """Mean negative log-likelihood of judgements, a scalar in nats.

    Args:
        first, second: (B,) scores of the two replies of each pair.
        preference: (B,) 1.0 where the first was preferred, 0.0 where the second was, 0.5 for a tie.
    """
    margin = first - second
    return -(preference * logsigmoid(margin) + (1 - preference) * logsigmoid(-margin)).mean()


def train_preference(
    judgements: Sequence[Judgement],
    out: str | Path,
    config: PreferenceConfig | None = None,
    seed: int = 0,
    log: Log = discard,
) -> PreferenceModel:
    """Fits a preference model, writes it to ``out``, in the place of what was there, and loads it from there.

    Args:
        judgements: of any number of raters; those held out are ``split_judgements(judgements, validation_share)``.
        out: a folder for ``gym.make(..., reward=PreferenceModel(out))``.
        config: None takes the defaults.
        seed: of the fresh weights and the order of learning.
        log: is handed a row per epoch: "epoch", "loss", "validation_loss" (nats; ln 2 is knowing nothing) and
            "progress".

    Raises:
        ValueError: if one side of the split has no judgement but ties, or ``out`` is a file or a folder of something
            else.
    """
    config = config or PreferenceConfig()
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"expected a folder for the model, got {str(out)!r}, which is a file")
    if Path(out).is_dir() and any(Path(out).iterdir()) and not (Path(out) / PREFERENCE_FILE).is_file():
        raise ValueError(
            f"expected a new folder or that of a preference model, got {str(out)!r}, which holds other files"
        )
    train, held_out = split_judgements(judgements, config.validation_share)
    if any(all(judgement.choice == TIE for judgement in side) for side in (train, held_out)):
        raise ValueError(
            f"expected judgements to learn from, and some held out, neither of them all ties, got {len(train)} and "
            f"{len(held_out)}: have more pairs judged"
        )
    scorer = make_scorer(config, seed)
    examples = _examples(scorer, train)
    losses = _Fit(scorer, config, seed).run(examples, _examples(scorer, held_out), log)
    facts = {
        "config": dataclasses.asdict(config), "seed": seed, "judgements": len(train), "held_out": len(held_out),
        "epochs": len(losses), "validation_loss": min(losses),
    }  # fmt: skip
    with atomic_folder(out) as draft:
        save_scorer(draft, scorer, _normalisation(scorer, examples), facts)
    return PreferenceModel(out, device=config.device)


def make_scorer(config: PreferenceConfig, seed: int) -> Scorer:
    """The model before it learns, with a fresh head."""
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        model, tokenizer = _small(config) if config.model is None else _pretrained(config.model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    positions = getattr(model.config, "max_position_embeddings", None) or config.max_length
    return Scorer(model.to(resolve_device(config.device)), tokenizer, min(config.max_length, positions))


def _small(config: PreferenceConfig) -> tuple[Any, Any]:
    tokenizer = load_tokenizer(config.tokenizer)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_length,
        pad_token_id=tokenizer.pad_id,
        eos_token_id=tokenizer.end_id,
        bos_token_id=None,
    )
    shape.num_labels = 1
    return LlamaForSequenceClassification(shape), tokenizer.hf


def _pretrained(source: str) -> tuple[Any, Any]:
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=1, dtype=torch.float32, trust_remote_code=False
    )
    return model, AutoTokenizer.from_pretrained(source, trust_remote_code=False)


class _Fit:
    """One training: epochs until the validation loss falls no more."""

    def __init__(self, scorer: Scorer, config: PreferenceConfig, seed: int):
        self.scorer, self.config, self.seed = scorer, config, seed
        default = 1e-3 if config.model is None else 5e-5
        self.learning_rate = default if config.learning_rate is None else config.learning_rate
        self.optimizer = torch.optim.AdamW(
            scorer.model.parameters(), self.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, train: Sequence[_Example], held_out: Sequence[_Example], log: Log) -> list[float]:
        """Leaves the best model in the scorer; the validation losses of all epochs."""
        config, model = self.config, self.scorer.model
        losses: list[float] = []
        best = copy.deepcopy(model.state_dict())
        while len(losses) < config.epochs and not stalled(losses, config.patience):
            loss = self._epoch(train, len(losses))
            losses.append(self._loss(held_out))
            if losses[-1] == min(losses):
                best = copy.deepcopy(model.state_dict())
            progress = len(losses) / config.epochs
            log({"epoch": len(losses), "loss": loss, "validation_loss": losses[-1], "progress": progress})
        model.load_state_dict(best)
        model.eval()
        return losses

    def _epoch(self, examples: Sequence[_Example], epoch: int) -> float:
        """One pass over the examples; the mean training loss."""
        config, model, rng = self.config, self.scorer.model, random.Random(f"{self.seed}/{epoch}")
        batches = shuffled_batches(examples, config.batch_size, rng, len)
        rates = learning_rates(
            self.learning_rate, epoch, len(batches), config.epochs, config.epochs * len(batches) // 10
        )
        total, seed = 0.0, rng.getrandbits(31)
        with Updates(model, self.optimizer, batches, rates, config.max_grad_norm, seed) as updates:
            for batch in updates:
                loss = self._batch_loss(batch)
                loss.backward()
                updates.step(loss.item())
                total += loss.item() * len(batch)
        return total / len(examples)

    def _batch_loss(self, batch: Sequence[_Example]) -> Tensor:
        scores = self.scorer.forward([ids for example in batch for ids in (example.first, example.second)])  # (2 B,)
        preference = torch.tensor([example.preference for example in batch], device=scores.device)
        return bradley_terry_loss(scores[::2], scores[1::2], preference)

    def _loss(self, examples: Sequence[_Example]) -> float:
        """Mean loss over the examples, in nats."""
        scores = torch.tensor(self.scorer.scores([ids for one in examples for ids in (one.first, one.second)]))
        preference = torch.tensor([example.preference for example in examples])
        return float(bradley_terry_loss(scores[::2], scores[1::2], preference))


@dataclasses.dataclass(frozen=True)
class _Example:
    """A judgement in token ids."""

    first: list[int]
    second: list[int]
    preference: float

    def __len__(self) -> int:
        return max(len(self.first), len(self.second))


def _examples(scorer: Scorer, judgements: Sequence[Judgement]) -> list[_Example]:
    asked = [(judgement.messages, reply) for judgement in judgements for reply in judgement.replies()]
    ids = scorer.encode(asked)
    pairs = zip(ids[::2], ids[1::2], judgements, strict=True)
    return [_Example(first, second, judgement.preference) for first, second, judgement in pairs]


def _normalisation(scorer: Scorer, examples: Sequence[_Example]) -> Normalisation:
    """Of the scores of the different replies, each in its context."""
    different = {tuple(ids) for example in examples for ids in (example.first, example.second)}
    scores = np.array(scorer.scores(sorted(different)))
    return Normalisation(float(scores.mean()), float(scores.std()) or 1.0)
