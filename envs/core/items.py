"""Tasks about a list of items: reviews, riddles, word lists; ours or those of a user's own file.

An :class:`ItemTask` draws its goals from such a list and keeps the splits apart by the content of the items. What reads
a user's data stands in ``envs/data_files``.
"""

from __future__ import annotations

import functools
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

from ...rewards.files import package_file as package_file
from ...rewards.transcript import Line
from ..data_files import Field as Field
from ..data_files import Items
from ..data_files import full_source as full_source
from ..data_files import load_items as load_items
from ..data_files import read_once as read_once
from .streams import Stream
from .task import SPLITS, Partner, Task

Item = Mapping[str, Any]


def own_data(data: Any, fields: Mapping[str, str] | None, on_error: str) -> dict[str, Any]:
    """The options of every task that takes a user's data, as ``made_with`` keeps them.

    Raises:
        ValueError: for ``fields`` without data.
    """
    if data is None and fields is not None:
        raise ValueError(f"fields name the columns of data, which is not given: got fields={fields!r:.80}")
    return {"data": full_source(data), "fields": fields, "on_error": on_error}


def shipped_file(file: str) -> Any:
    """A data file of ours, in ``envs/data``."""
    return resources.files("dialogym.envs.data") / file


class ItemTask(Task):
    """A task whose goals are the items of a list; the number of an item is its goal id.

    A subclass calls ``super().__init__(items)`` and gives ``partner``. Items are split by a hash of ``content``, so
    that the same item twice never stands on both sides.

    Args:
        items: what there is; read, never changed.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, items: Sequence[Item]):
        if not items:
            raise ValueError(f"{self.name} needs at least one item, got none")
        self.items = items
        if isinstance(items, Items):
            self.fields, self.num_skipped, self.longest_item = items.fields, items.num_skipped, items.longest

    def content(self, goal: Mapping[str, Any]) -> str:
        """Canonical text of an item; of a user's data only what the task reads of it, so that an id changes nothing."""
        return super().content({name: goal[name] for name in self.fields if name in goal} if self.fields else goal)

    @functools.cached_property
    def _numbers(self) -> Mapping[str, Sequence[int]]:
        """Numbers of the items of each split; of a user's data found once, since there may be a million."""
        known = self.items.numbers.get(type(self)) if isinstance(self.items, Items) else None
        if known is not None:
            return known
        numbers = {split: array("L") for split in SPLITS}
        for number, item in enumerate(self.items):
            numbers[self.split_of(item)].append(number)
        if isinstance(self.items, Items):
            self.items.numbers[type(self)] = numbers
        return numbers

    def numbers_of(self, split: str) -> Sequence[int]:
        """Numbers of the items of a split.

        Raises:
            ValueError: if the split has none.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if not self._numbers[split]:
            count = len(self.items)
            raise ValueError(
                f"{self.name}: none of the {count} items fell into the split {split!r} (8 of 10 go to train, 1 to "
                f"validation, 1 to test, by a hash of their content): give more items"
            )
        return self._numbers[split]

    def draw_goal(self, rng: random.Random) -> Item:
        return self.items[rng.randrange(len(self.items))]

    def goal(self, goal_id: str) -> Item:
        """The item of a number.

        Raises:
            ValueError: if ``goal_id`` is not the text of a number of an item.
        """
        if isinstance(goal_id, str) and goal_id.isascii() and goal_id.isdigit() and int(goal_id) < len(self.items):
            return self.items[int(goal_id)]
        raise ValueError(f"a goal id of {self.name} is the text of a number in [0, {len(self.items)}), got {goal_id!r}")

    def sample_goal(self, seed: int, split: str) -> tuple[str, Item]:
        numbers = self.numbers_of(split)
        number = numbers[Stream(seed).randrange(len(numbers))]
        return str(number), self.items[number]

    def goal_ids(self, split: str, count: int, seed: int = 0) -> list[str]:
        """A frozen list of ``count`` items of a split, different in content while there are such; each once before any
        comes again."""
        numbers = array("L", self.numbers_of(split))
        Stream(seed).shuffle(numbers)
        different, alike, seen = [], [], set()
        for number in numbers:
            if len(different) == count:
                break
            content = self.content(self.items[number])
            (alike if content in seen else different).append(number)
            seen.add(content)
        numbers = [*different, *alike]
        return [str(numbers[place % len(numbers)]) for place in range(count)]

    def reference(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The gold reply, as a policy: what the best labelled data would say. It reads the goal, which no agent may."""
        return self.references(self.goal(info["goal_id"]))[0]


class OneReply(Partner):
    """A conversation of one agent turn: an instruction, the text it is about, and the verdict on the reply.

    Args:
        instruction: the partner's system message; empty where the task's ``instructions`` say all there is to say.
        prompt: the user's message.
        accepts: the ground truth: whether a reply succeeds; no lambda, since environments are pickled.
    """

    def __init__(self, instruction: str, prompt: str, accepts: Callable[[str], bool]):
        self.instruction, self.prompt, self.accepts = instruction, prompt, accepts

    def open(self) -> list[Line]:
        asked: list[Line] = [("user", self.prompt)]
        return [("system", self.instruction), *asked] if self.instruction else asked

    def hear(self, utterance: str) -> list[Line]:
        self.over = True
        self.success = self.accepts(utterance)
        return []
