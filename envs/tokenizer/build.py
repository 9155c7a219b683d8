"""Rebuilds the tokenizer that ships: ``python -m dialogym.envs.tokenizer.build [FOLDER]``.

Byte-level BPE over normalised words (see :mod:`~dialogym.envs.tokenizer.fit`); its merges come from rule-agent
conversations of ``TextDialog-v0`` on every split and from the restaurants, so that the words of both are single tokens.
Placeholders are single tokens too, and so are the task's instructions. The same inputs and library version give the
same files.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym

from ..core.task import SPLITS
from ..core.text_env import TextEnv
from ..restaurant.understanding import PLACEHOLDERS
from ..restaurant.wording import REPLIES, REQUEST_WORDS, TEST, TRAIN
from ..text_dialog import TextDialog
from . import SHIPPED
from .fit import fit_tokenizer

NUM_MERGED = 1024
"""Size of the vocabulary before the placeholders."""
NUM_CONVERSATIONS = 1500
"""For each split."""
FLAW_RATE = 0.3
WORDING_WEIGHT = 200
"""How often each wording is counted, so that the rare ones weigh more than the names of restaurants."""
BLANK = re.compile(r"\[[a-z_]+\]|\{[a-z]*\}")
"""A placeholder, or where a value goes in a wording."""


def build(folder: str | Path) -> None:
    """Writes the tokenizer into ``folder``, as ``from_pretrained`` reads it."""
    texts = [BLANK.sub(" ", text) for text in sorted(_texts())]
    whole = [*sorted({placeholder for _, placeholder in PLACEHOLDERS}), TextDialog.instructions]
    fit_tokenizer(texts, folder, NUM_MERGED, whole)


def _texts() -> Iterator[str]:
    """Everything that is said, and everything that could be."""
    for split in SPLITS:
        yield from _conversations(split)
    yield from [words for words in REQUEST_WORDS.values() for _ in range(WORDING_WEIGHT)]
    task = TextDialog()
    for bank in (TRAIN, TEST, REPLIES):
        for wordings in bank.values():
            yield from wordings * WORDING_WEIGHT
    for venue in task.database.venues:
        yield from (task.database.written(slot, value) for slot, value in venue._asdict().items())


def _conversations(split: str) -> Iterator[str]:
    env = gym.make("TextDialog-v0", interface="choices", split=split, noise=0.1, profile="mixed")
    core = env.unwrapped
    assert isinstance(core, TextEnv)
    rule, rng = core.task.policies["rule"].act, random.Random(0)
    for number in range(NUM_CONVERSATIONS):
        observation, info = env.reset(seed=number)
        over = False
        while not over:
            allowed = [choice for choice, is_allowed in enumerate(info["action_mask"]) if is_allowed]
            action = rng.choice(allowed) if rng.random() < FLAW_RATE else rule(observation, info)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        yield from (message["content"] for message in core.messages if message["role"] != "system")


if __name__ == "__main__":
    build(sys.argv[1] if len(sys.argv) > 1 else SHIPPED)
