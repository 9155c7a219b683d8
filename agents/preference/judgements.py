"""Which of two replies a person liked better: the pairs that were judged, and the judgements, as JSON Lines.

A line of a file of judgements is one :class:`Judgement`:

    {"pair": "5f0c...", "messages": [{"role": "user", "content": "..."}], "first": "a reply", "second": "another",
     "agents": ["sft", "ppo"], "shown_first": "second", "choice": "first", "rater": "anna", "seconds": 4.2}

and a line of a file of pairs is its first half: "messages", "first", "second" and, if known, "agents" and "pair". Data
of others is read as well where it has a "chosen" and a "rejected" reply, in any of the forms of docs/data.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from ...envs.data_files import Field, holds_preferences, load_items, load_preferences
from ...envs.data_files.conversations import ROLES, Preference
from ...rewards.transcript import Message
from ..files import append_line, atomic_write

FIRST, SECOND, TIE = "first", "second", "tie"
CHOICES = (FIRST, SECOND, TIE)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two replies in one context.

    Attributes:
        messages: the conversation before the reply, as a person reads it.
        first, second: the replies.
        agents: who gave them, in that order; a rater never sees it.
        pair: its id; empty takes a hash of what it says.
    """

    messages: tuple[Message, ...]
    first: str
    second: str
    agents: tuple[str, str] = (FIRST, SECOND)
    pair: str = ""

    def __post_init__(self) -> None:
        if not self.pair:
            object.__setattr__(self, "pair", self._hash())

    @property
    def key(self) -> tuple[str, str]:
        """Id and content: equal for judgements of the same pair, and of no other that was given the same id."""
        return self.pair, self._hash()

    def _hash(self) -> str:
        content = json.dumps([list(self.messages), self.first, self.second, self.agents])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    def replies(self) -> tuple[str, str]:
        """Both, as they are numbered."""
        return self.first, self.second


@dataclasses.dataclass(frozen=True)
class Judgement(Pair):
    """What one person said about a pair.

    Attributes:
        shown_first: "first" or "second", the reply that stood on the left.
        choice: "first", "second" or "tie": the better one, wherever it stood.
        rater: who judged.
        seconds: that it took.
    """

    shown_first: str = FIRST
    choice: str = TIE
    rater: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, pair: Pair, shown_first: str, choice: str, rater: str, seconds: float) -> Judgement:
        """The judgement of a pair."""
        content = pair.messages, pair.first, pair.second, pair.agents, pair.pair
        return cls(*content, shown_first, choice, rater, seconds)

    @property
    def preference(self) -> float:
        """1.0 where the first reply was better, 0.0 where the second was, 0.5 for a tie."""
        return {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}[self.choice]


_OF_PAIR = {"messages": Field(list), "first": Field(str), "second": Field(str)}
_BEGINNING = b'{"'
"""What a line begins with, however little of it was written."""
_OF_JUDGEMENT = {
    "pair": Field(str),
    "agents": Field(list),
    "shown_first": Field(str),
    "choice": Field(str),
    "rater": Field(str),
    "seconds": Field(float),
}
UNKNOWN_RATER = "data"
"""Who judged where only the better reply is told."""
CHOSEN, REJECTED = "chosen", "rejected"
"""What the agents of such a pair are called."""


def read_pairs(data: Any, fields: Mapping[str, str] | None = None, on_error: str = "raise") -> list[Pair]:
    """The pairs of a user's data, those with the same id and content once.

    Of a chosen and a rejected reply a hash says which is the first: if it were always the better one, raters would
    agree on "first" by chance alone, and no kappa would tell them from that. ``agents`` has "chosen" and "rejected".

    Raises:
        ValueError: for a row that is no pair, or has the id of another one, with its place.
        FileNotFoundError: if there is no such file.
    """
    pairs: dict[str, Pair] = {}

    def wrong(item: Mapping[str, Any]) -> str | None:
        return _wrong_pair(item) or _add(pairs, Pair(**_tuples(item, _OF_PAIR.keys() | {"agents", "pair"})))

    if holds_preferences(data, fields):
        for preference in load_preferences(data, fields, on_error):
            _add(pairs, _sorted_out(preference))
    else:
        optional = {"agents": Field(list, optional=True), "pair": Field(str, optional=True)}
        load_items(data, {**_OF_PAIR, **optional}, fields, on_error, once=wrong)
    return list(pairs.values())


def read_judgements(
    data: Any, fields: Mapping[str, str] | None = None, on_error: str = "raise", both_orders: bool = False
) -> list[Judgement]:
    """The judgements of a user's data; of two by one person about one pair the later counts.

    With ``both_orders`` the later of each order counts: judges that are models are asked twice, with the sides changed.

    Raises:
        ValueError: for a row that is no judgement, with its place.
        FileNotFoundError: if there is no such file.
    """
    if holds_preferences(data, fields):
        pairs = read_pairs(data, fields, on_error)
        better = [FIRST if pair.agents[0] == CHOSEN else SECOND for pair in pairs]
        return [Judgement.of(pair, FIRST, one, UNKNOWN_RATER, 0.0) for pair, one in zip(pairs, better, strict=True)]
    known = {**_OF_PAIR, **_OF_JUDGEMENT}
    items = load_items(data, known, fields, on_error, once=_wrong_judgement)
    judgements = [Judgement(**_tuples(item, known.keys())) for item in items]
    return list({(one.rater, one.key, both_orders and one.shown_first): one for one in judgements}.values())


def preferences_of(judgements: Iterable[Judgement]) -> list[Preference]:
    """The better reply and the other one of each judgement; ties have none and are left out."""
    found = []
    for one in judgements:
        replies = one.replies() if one.choice == FIRST else one.replies()[::-1]
        if one.choice != TIE:
            found.append(Preference(list(one.messages), *replies))
    return found


def save_pairs(path: str | Path, pairs: Sequence[Pair]) -> None:
    """Writes what :func:`read_pairs` reads."""
    atomic_write(path, "".join(_line(pair) for pair in pairs))


def append_judgement(path: str | Path, judgement: Judgement) -> None:
    """Adds a judgement to a file, in one write, and returns when it is on the disk.

    Raises:
        OSError: if it could not be written, or only in part (a full disk); the file is then as it was.
    """
    append_line(path, _line(judgement).removesuffix("\n"))


def judgements_file(path: str | Path) -> Path:
    """The path, if judgements can be written there.

    Raises:
        ValueError: if it does not end in .jsonl.
    """
    if Path(path).suffix != ".jsonl":
        raise ValueError(f"expected a file that ends in .jsonl for the judgements, got {str(path)!r}")
    return Path(path)


def mend(path: str | Path) -> bool:
    """Cuts off a last line without its end, which a crash in the middle of writing left; True if there was one.

    A file that holds anything but judgements stays as it is: reading it says what is wrong.
    """
    path = Path(path)
    content = path.read_bytes() if path.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    rest = content[len(whole) :]
    begun = rest != b"" and _BEGINNING.startswith(rest[: len(_BEGINNING)])
    if not begun or not all(_has_judgement(line) for line in whole.splitlines() if line.strip()):
        return False
    if _parsed(rest) is not None:
        atomic_write(path, content + b"\n")  # a file edited by hand: only the line break is missing
        return False
    atomic_write(path, whole)
    return True


def split_judgements(judgements: Iterable[Judgement], held_out_share: float) -> tuple[list[Judgement], list[Judgement]]:
    """Judgements to learn from, and those held out, by a hash of what each pair says.

    The same two replies in the same context are on one side, whoever judged them and in whatever order they stand.

    Raises:
        ValueError: unless the share is in (0, 1).
    """
    if not 0 < held_out_share < 1:
        raise ValueError(f"held_out_share must be in (0, 1), got {held_out_share}")
    train: list[Judgement] = []
    held_out: list[Judgement] = []
    for judgement in judgements:
        (held_out if _position(judgement) < held_out_share else train).append(judgement)
    return train, held_out


def _position(pair: Pair) -> float:
    """A number in [0, 1) that hangs on the content of a pair alone."""
    return _number(pair) / 2**48


def _number(pair: Pair) -> int:
    """A number in [0, 2**48) that hangs on the messages and the two replies, in whatever order they stand."""
    content = json.dumps([list(pair.messages), sorted(pair.replies())])
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=6).digest(), "big")


def _sorted_out(preference: Preference) -> Pair:
    """The pair of a preference, the better reply first in half of all cases."""
    messages, chosen, rejected = tuple(preference.messages), preference.chosen, preference.rejected
    pair = Pair(messages, chosen, rejected, (CHOSEN, REJECTED))
    chosen_first = (chosen <= rejected) == (_number(pair) % 2 == 0)
    return pair if chosen_first else Pair(messages, rejected, chosen, (REJECTED, CHOSEN))


def _line(pair: Pair) -> str:
    return json.dumps(dataclasses.asdict(pair), ensure_ascii=False) + "\n"


def _add(pairs: dict[str, Pair], pair: Pair) -> str | None:
    """Adds a pair; what is wrong with it when its id is that of another one."""
    if pairs.setdefault(pair.pair, pair) != pair:
        return f"expected an id for every pair, got {pair.pair!r:.80} again with other content"
    return None


def _tuples(item: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in item.items() if name in names}


def _parsed(text: bytes) -> Any:
    """What a text of JSON says; None for one that is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _has_judgement(line: bytes) -> bool:
    found = _parsed(line)
    return isinstance(found, dict) and _OF_JUDGEMENT.keys() <= found.keys()


def _wrong_pair(item: Mapping[str, Any]) -> str | None:
    """What is wrong with a line of pairs, if anything."""
    for place, message in enumerate(item["messages"], start=1):
        if not isinstance(message, dict) or message.get("role") not in ROLES or set(message) != {"role", "content"}:
            return f'message {place} must be {{"role": {" or ".join(ROLES)}, "content": text}}, got {message!r:.80}'
        if not isinstance(message["content"], str):
            return f"content of message {place} must be text, got {message['content']!r:.80}"
    agents = item.get("agents", [FIRST, SECOND])
    if len(agents) != 2 or not all(isinstance(agent, str) for agent in agents):
        return f"agents must be two names, got {agents!r:.80}"
    return None


def _wrong_judgement(item: Mapping[str, Any]) -> str | None:
    """What is wrong with a line of judgements, if anything."""
    if item["choice"] not in CHOICES:
        return f"choice must be one of {', '.join(CHOICES)}, got {item['choice']!r}"
    if item["shown_first"] not in (FIRST, SECOND):
        return f"shown_first must be {FIRST} or {SECOND}, got {item['shown_first']!r}"
    if not item["pair"] or not item["rater"]:
        return "pair and rater must not be empty"
    if not (math.isfinite(item["seconds"]) and item["seconds"] >= 0):
        return f"seconds must be a number of at least 0, got {item['seconds']!r}"
    return _wrong_pair(item)
