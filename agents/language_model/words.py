"""The words of the small language model: those that are said in the environment it is made for.

A vocabulary fitted to the conversations makes them short, and a limit of tokens that fits the replies cuts none of them
off. Pretrained models bring their own.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...envs import Task, remake, spec_of
from ...envs.core.make import given_options
from ...envs.core.task import DIGITS, LETTERS, SHIPPED
from ...envs.tokenizer import SMALLEST, Tokenizer, fit_tokenizer, load_tokenizer
from ...rewards.transcript import Message
from ..files import atomic_folder
from .demonstrations import demonstrate, load_messages

NUM_CONVERSATIONS = 600
"""That a vocabulary is fitted to."""
FLAW_RATE = 0.3
"""So that other replies than the rule's are among them."""
VOCABULARY_SIZE = 2048
MAX_REPLY_TOKENS = 64
LONGEST, SPARE = 0.99, 4
"""The limit of a reply: that quantile of the lengths of replies, and some tokens more."""
LEFT_OUT = frozenset({"wrappers", "max_turns", "opponent"})
"""Options of an environment that its words shall not depend on: an opponent may be a model, or the agent itself."""
_KNOWN: dict[str, Words] = {}
"""Of environments as they are registered; those with options of their own are looked at each time."""


class Words(NamedTuple):
    """What a small model reads and writes with.

    Attributes:
        tokenizer: fitted to what is said.
        max_reply_tokens: that nearly all replies keep to.
    """

    tokenizer: Tokenizer
    max_reply_tokens: int


def words_of(env: Any, data: Any = None, fields: Any = None, on_error: str = "raise") -> Words | None:
    """The words of an environment, and of conversations to imitate if any; None where those that ship serve.

    The same environment gives the same words, whatever the seed of an agent.

    Args:
        env: an environment, single or vector, its spec, or its id. Words that ship serve in the restaurant guide, which
            they were made for, and in an environment that is none of ours.
        data, fields, on_error: as :class:`~.sft.SFTConfig` has them.
    """
    played = plain(env)
    if played is None or played.unwrapped.task.vocabulary == SHIPPED:
        return None
    key = None if data is not None or _own_options(env) else spec_of(played).id
    if key in _KNOWN:
        return _KNOWN[key]
    with tempfile.TemporaryDirectory() as folder:
        found = fit_words(played, Path(folder) / "tokenizer", data, fields, on_error)
    if key is not None:
        _KNOWN[key] = found
    return found


def fit_words(
    env: Any, folder: Path, data: Any = None, fields: Any = None, on_error: str = "raise", seed: int = 0
) -> Words:
    """The words of an environment, whose tokenizer is in ``folder`` then, or was before; see :func:`words_of`.

    Args:
        seed: of the conversations that they are fitted to.
    """
    task = env.unwrapped.task
    conversations = list(_conversations(env, seed))
    if data is not None:
        conversations += islice(load_messages(data, fields, on_error).conversations, NUM_CONVERSATIONS)
    messages = [message for conversation in conversations for message in conversation]
    if not folder.is_dir():
        texts = [message["content"].removeprefix(task.instructions) for message in messages]
        with atomic_folder(folder) as draft:
            fit_tokenizer(
                [*texts, *task.examples],
                draft,
                size=SMALLEST if task.vocabulary == LETTERS else VOCABULARY_SIZE,
                whole=[*filter(None, [task.instructions])],
                single_digits=task.vocabulary == DIGITS,
            )
    tokenizer = load_tokenizer(str(folder))
    return Words(tokenizer, _limit(tokenizer, [m["content"] for m in messages if m["role"] == "assistant"]))


def plain(env: Any) -> Any:
    """The environment without wrappers, with turns, partner and opponent of its id, and a reward that costs no time.

    None if it is none of ours.
    """
    try:
        spec = spec_of(env)
    except ValueError:  # not made by gym.make
        return None
    if "task" not in spec.kwargs:
        return None
    options = {name: value for name, value in spec.kwargs.items() if name not in LEFT_OUT}
    spec = dataclasses.replace(spec, kwargs=options, additional_wrappers=(), max_episode_steps=None)
    return remake(spec, partner=None, partner_factory=None, reward="sparse")


def _limit(tokenizer: Tokenizer, replies: Sequence[str]) -> int:
    if not replies:
        return MAX_REPLY_TOKENS
    lengths = [len(tokenizer.encode(reply)) for reply in replies]
    return min(MAX_REPLY_TOKENS, int(np.quantile(lengths, LONGEST)) + SPARE)


def _conversations(env: Any, seed: int) -> Iterator[list[Message]]:
    """Conversations of the rule, or how conversations begin where a task has none."""
    task: Task = env.unwrapped.task
    if "rule" in task.policies:
        yield from demonstrate(env, NUM_CONVERSATIONS, FLAW_RATE, seed).conversations
        return
    shown = remake(env, interface="text", split="train")
    for goal_id in task.goal_ids("train", NUM_CONVERSATIONS, seed):
        yield shown.reset(seed=seed, options={"goal_id": goal_id})[1]["messages"]


def _own_options(env: Any) -> bool:
    """Whether an environment differs from what its id is registered as."""
    options = given_options(spec_of(env))
    for name in ("interface", "split", "render_mode", "reward", "partner", "partner_factory", *LEFT_OUT):
        options.pop(name, None)
    return bool(options)
