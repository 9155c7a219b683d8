"""Conversations, in the forms in which people have them, as messages with a role and a content.

Read are the messages format of OpenAI, transformers and TRL (with tool calls, contents in parts, and OpenAI's
``weight`` of 0 for what the assistant said and shall not be imitated), ShareGPT
(``conversations``, ``from``, ``value``), and TRL's prompt and completion, plain or conversational
(https://huggingface.co/docs/trl/dataset_formats); for preferences TRL's prompt, chosen and rejected. A tool call
becomes the words that call a tool of an environment: ``search(food=italian, area=north)``.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, overload

from ...rewards.transcript import Message
from . import fields as names
from .fields import Field, checked_names, match_fields, native, tell
from .items import ON_ERROR, Problems
from .rows import Row, RowError, Rows
from .sources import open_rows

T = TypeVar("T")
ROLES = ("system", "user", "assistant", "tool")
SPEAKERS = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "bot": "assistant", "model": "assistant", "ai": "assistant", "function_call": "assistant",
    "tool": "tool", "function": "tool", "function_response": "tool", "observation": "tool", "ipython": "tool",
}  # fmt: skip
"""The role of each name that a speaker goes by; the case of letters does not matter."""

MESSAGES = Field(list, ("conversations", "conversation", "dialogue", "dialog", "chat", "turns"))
_WRITTEN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
PROMPT = Field((str, list), ("instruction", "question", "query", "input", "context"))
COMPLETION = Field((str, list), ("response", "output", "answer", "reply", "target", "chosen"))
CHOSEN = Field((str, list), ("preferred", "better", "winner", "chosen_response"))
REJECTED = Field((str, list), ("dispreferred", "worse", "loser", "rejected_response"))
INPUT = Field(str, ("context",), optional=True)
"""What an instruction is about, as in Alpaca's data; it follows the prompt."""
SYSTEM = Field(str, ("system_prompt",), optional=True)
TO_IMITATE: dict[str, dict[str, Field]] = {
    "messages": {"messages": MESSAGES, "system": SYSTEM},
    "prompt and completion": {"prompt": PROMPT, "completion": COMPLETION, "input": INPUT, "system": SYSTEM},
}
"""The forms of a conversation, and what each is read from; the first of them that there is is taken."""
TO_PREFER: dict[str, dict[str, Field]] = {
    "prompt, chosen and rejected": {
        "prompt": PROMPT._replace(names=(*PROMPT.names, "messages", "conversations")),
        "chosen": CHOSEN,
        "rejected": REJECTED,
        "input": INPUT,
        "system": SYSTEM,
    },
    "chosen and rejected": {"chosen": CHOSEN, "rejected": REJECTED, "system": SYSTEM},
}
"""The forms of a preference; the second has the whole conversation in both, the prompt being how they begin alike."""
WHOLE = "chosen and rejected"
OF_SERVE = {"messages", "spoken", "success", "id"}
"""Columns of the conversations that ``dialogym serve`` kept."""


class Preference(NamedTuple):
    """A conversation, and two replies to it of which one was liked better."""

    messages: list[Message]
    chosen: str
    rejected: str


class SameReplies(RowError):
    """A row whose two replies are the same, which says nothing of what was liked better."""


class Records(Sequence[T], Generic[T]):
    """What is made of each row of a source, when it is asked for.

    Attributes:
        fields: the column that each field was taken from.
        num_skipped: rows that were left out because something is wrong with them, or their two replies are the same.
    """

    def __init__(
        self, rows: Rows, kept: Sequence[int], make: Callable[[Row], T], fields: Mapping[str, str], num_skipped: int
    ):
        self._rows, self._kept, self._make = rows, kept, make
        self.fields, self.num_skipped = dict(fields), num_skipped

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, number: int) -> T: ...
    @overload
    def __getitem__(self, number: slice) -> list[T]: ...
    def __getitem__(self, number: int | slice) -> T | list[T]:
        if isinstance(number, slice):
            return [self[one] for one in range(len(self))[number]]
        return self._make(self._rows.row(self._kept[number]))

    def __iter__(self) -> Iterator[T]:
        kept = iter(self._kept)
        wanted = next(kept, None)
        for number, row in enumerate(self._rows):
            if number == wanted:
                assert not isinstance(row, RowError)
                yield self._make(row)
                wanted = next(kept, None)


def load_conversations(
    data: Any, fields: Mapping[str, str] | None = None, on_error: str = "raise"
) -> Records[list[Message]]:
    """The conversations of a user's data, each as its messages, in any of the forms of ``TO_IMITATE``.

    Of what ``dialogym serve`` kept, each conversation is taken once, as its last line has it, if the agent spoke in it.

    Args:
        data: whatever :func:`open_rows` takes.
        fields: columns by field (``{"messages": "chat"}``), where they go by names of their own.
        on_error: "raise", or "skip" to leave out rows with which something is wrong, and log how many.

    Raises:
        ValueError: for rows that are no conversation in which the assistant says something whenever it speaks: the
            first of them, and how many there are, each with the row, the message, what was expected and what came.
    """

    def made(row: Row, found: Mapping[str, str], rows: Rows) -> list[Message]:
        values = _values(row, found, rows)
        messages = _conversation(values)
        spoken = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        if not spoken:
            raise RowError("expected something that the assistant says")
        for place in spoken:
            content = messages[place]["content"]
            if not content.strip():
                where = f"message {place + 1}" if "messages" in values else "completion"
                raise RowError(f"{where}: expected something that the assistant says, got {content!r:.80}")
        return _with_system(messages, values)

    return _records(data, TO_IMITATE, fields, on_error, made)


def load_preferences(
    data: Any, fields: Mapping[str, str] | None = None, on_error: str = "raise"
) -> Records[Preference]:
    """The preferences of a user's data, in any of the forms of ``TO_PREFER``; arguments and errors as above.

    Rows whose two replies are the same prefer nothing, as ties do: they are left out, and it is logged how many.
    """

    def made(row: Row, found: Mapping[str, str], rows: Rows) -> Preference:
        values = _values(row, found, rows)
        chosen, rejected = (_reply(values[name], name, "prompt" in values) for name in ("chosen", "rejected"))
        prompt = _prompt(values) if "prompt" in values else []
        if "prompt" not in values:
            while len(chosen) > 1 and len(rejected) > 1 and chosen[0] == rejected[0]:
                prompt.append(chosen.pop(0))
                del rejected[0]
        elif chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:  # some repeat the prompt in both
            del chosen[: len(prompt)], rejected[: len(prompt)]
        for name, reply in (("chosen", chosen), ("rejected", rejected)):
            if len(reply) != 1 or reply[0]["role"] != "assistant":
                said = ", ".join(message["role"] for message in reply)
                raise RowError(f"{name} must be one message of the assistant after the prompt, got {said or 'none'}")
        better, worse = chosen[0]["content"], rejected[0]["content"]
        if better == worse:
            raise SameReplies(f"expected two different replies, chosen and rejected, got {better!r:.80} for both")
        return Preference(_with_system(prompt, values), better, worse)

    return _records(data, TO_PREFER, fields, on_error, made)


def holds_preferences(data: Any, given: Mapping[str, str] | None = None) -> bool:
    """Whether a user's data has a reply that was liked better and one that was not, or is said to have."""
    columns = open_rows(data).columns()
    if given is not None and not given.keys() <= TO_PREFER[WHOLE].keys() | {"prompt"}:
        return False
    fields = {name: TO_PREFER[WHOLE][name] for name in ("chosen", "rejected") if name not in (given or {})}
    try:
        match_fields(columns, fields)
    except ValueError:
        return False
    return True


def _records(
    data: Any,
    forms: Mapping[str, Mapping[str, Field]],
    given: Mapping[str, str] | None,
    on_error: str,
    made: Callable[[Row, Mapping[str, str], Rows], T],
) -> Records[T]:
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")
    rows = open_rows(data)
    if not len(rows):
        raise ValueError(f"{rows.name}: expected at least one row with {' or '.join(forms)}, got an empty file")
    columns = rows.columns()
    found, form = _form(columns, forms, given, rows)

    def make(row: Row) -> T:
        return made(row, found, rows)

    problems, same, kept, needless = Problems(rows), Problems(rows), array("L"), _needless(rows, columns)
    for number, row in enumerate(rows):
        if number in needless:
            continue
        try:
            if isinstance(row, RowError):
                raise row
            make(row)
        except SameReplies as e:
            same.note(number, e)
        except RowError as e:
            problems.note(number, e)
        else:
            kept.append(number)
    if problems.count and (on_error == "raise" or not kept):
        raise ValueError(problems.told())
    if not kept:
        expected = "two different replies in a row" if same.count else "something that the assistant says"
        raise ValueError(f"{rows.name}: expected {expected}, got {len(rows):,} rows without")
    tell(rows.name, found, columns, forms[form], "not read")
    for left_out, why in ((problems, "with which something is wrong"), (same, "whose two replies are the same")):
        if left_out.count:
            names.log.warning(
                "%s: left out %s of %s rows %s, the first being %s",
                rows.name, f"{left_out.count:,}", f"{len(rows):,}", why, left_out.shown[0],
            )  # fmt: skip
    num_skipped = problems.count + same.count
    return Records(rows, kept if len(kept) < len(rows) else range(len(rows)), make, found, num_skipped)


def _needless(rows: Rows, columns: Sequence[str]) -> set[int]:
    """Of what ``dialogym serve`` kept, rows that a later one of the same id replaces, or in which no agent speaks."""
    found, last = set[int](), dict[str, int]()
    if not set(columns) >= OF_SERVE:
        return found
    for number, row in enumerate(rows):
        if isinstance(row, RowError):
            continue
        id, messages = row.get("id"), row.get("messages")
        if isinstance(id, str):
            if id in last:
                found.add(last[id])
            last[id] = number
        if isinstance(messages, list) and messages and all(_is_of_person(message) for message in messages):
            found.add(number)
    return found


def _is_of_person(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") in ("system", "user")


def _form(
    columns: Sequence[str], forms: Mapping[str, Mapping[str, Field]], given: Mapping[str, str] | None, rows: Rows
) -> tuple[dict[str, str], str]:
    """The columns of the first form that is there, and its name."""
    known = {name: field for fields in forms.values() for name, field in fields.items()}
    checked_names(given, columns, known, rows.name)
    for form, fields in forms.items():
        if given is not None and not given.keys() <= fields.keys():
            continue
        try:
            return match_fields(columns, fields, given, rows.name), form
        except ValueError:
            continue
    if not columns:
        first = next(iter(rows))
        raise ValueError(f"{rows.name}, {rows.where(0)}: {first if isinstance(first, RowError) else 'an empty row'}")
    hints = []
    for fields in forms.values():
        optional = {name: field._replace(optional=True) for name, field in fields.items()}
        known = {name: column for name, column in (given or {}).items() if name in fields}
        found = match_fields(columns, optional, known, rows.name)
        free = [column for column in columns if column not in found.values()]
        lacking = [name for name, field in fields.items() if name not in found and not field.optional]
        near = {name: column for name in lacking if (column := names.nearest(name, fields[name], free)) is not None}
        hints.append((len(lacking) - len(near), -len(near), near))
    near = min(hints, key=lambda hint: hint[:2])[2]
    meant = f"; did you mean {' and '.join(map(repr, near.values()))}? Then fields={near}" if near else ""
    raise ValueError(f"{rows.name}: expected {' or '.join(forms)}, got {', '.join(map(repr, columns))}{meant}")


def _values(row: Row, found: Mapping[str, str], rows: Rows) -> dict[str, Any]:
    """What stands in a row under the name of each field."""
    values = {}
    for name, column in found.items():
        value = native(row.get(column))
        if value is None and name in ("system", "input"):
            continue
        if column not in row:
            raise RowError(f"expected the field {column!r}, got {', '.join(map(repr, row)) or 'no field'}")
        if rows.has_text_cells and isinstance(value, str) and value.lstrip().startswith("[{"):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as e:
                raise RowError(f"{name} must be JSON, a list of messages, got {value!r:.80} ({e.msg})") from e
        values[name] = value
    return values


def _conversation(values: Mapping[str, Any]) -> list[Message]:
    if "messages" in values:
        if not isinstance(values["messages"], list) or not values["messages"]:
            raise RowError(f"messages must be a list of at least one message, got {values['messages']!r:.80}")
        return as_messages(values["messages"], "")
    prompt, reply = _prompt(values), as_messages(values["completion"], "completion", "assistant")
    return reply if reply[: len(prompt)] == prompt else [*prompt, *reply]  # some repeat the prompt


def _prompt(values: Mapping[str, Any]) -> list[Message]:
    prompt, about = values["prompt"], values.get("input")
    if isinstance(prompt, str) and isinstance(about, str) and about.strip():
        prompt = f"{prompt}\n\n{about}"
    return as_messages(prompt, "prompt", "user")


def _reply(value: Any, name: str, has_prompt: bool) -> list[Message]:
    """What is chosen or rejected: a text, a message, or a conversation; one that is written as of Anthropic's HH."""
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, str) and not has_prompt:
        said = _WRITTEN.split(value)
        if len(said) < 3 or said[0].strip():
            raise RowError("expected a prompt beside the texts chosen and rejected, or whole conversations in both")
        value = [{"from": who, "value": text} for who, text in zip(said[1::2], said[2::2], strict=True)]
    return as_messages(value, name)


def _with_system(messages: list[Message], values: Mapping[str, Any]) -> list[Message]:
    """With what a column of its own says to the model first."""
    said = values.get("system")
    if not isinstance(said, str) or not said.strip() or (messages and messages[0]["role"] == "system"):
        return messages
    return [Message(role="system", content=said), *messages]


def as_messages(value: Any, what: str = "", role: str = "") -> list[Message]:
    """Messages of a text, or of a list of messages in the OpenAI or the ShareGPT form.

    Args:
        value: the text, or the list.
        what: the field that it stands in, for errors.
        role: of a text; "" is the assistant's where ``what`` is "chosen" or "rejected", else the user's.

    Raises:
        RowError: with the number of the message, what was expected and what came.
    """
    if isinstance(value, str):
        who = role or ("assistant" if what in ("chosen", "rejected") else "user")
        return [Message(role=who, content=value)]
    if not isinstance(value, list):
        came = "null" if value is None else repr(value)
        raise RowError(f"{what or 'messages'} must be a text or a list of messages, got {came:.80}")
    found = []
    for place, message in enumerate(value, start=1):
        where = f"message {place}" + (f" of {what}" if what else "")
        found.append(_message(message, where))
    return found


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, Mapping):
        raise RowError(f'{where}: expected {{"role": ..., "content": ...}}, got {message!r:.80}')
    speaker = message.get("role") if message.get("role") is not None else message.get("from")
    role = SPEAKERS.get(speaker.casefold().strip()) if isinstance(speaker, str) else None
    if role is None:
        if "role" not in message and "from" not in message:
            raise RowError(f"{where}: expected 'role' and 'content' (or 'from' and 'value'), got {message!r:.80}")
        raise RowError(f"{where}: role must be one of {', '.join(ROLES)}, got {speaker!r:.80}")
    content = message.get("content") if message.get("content") is not None else message.get("value")
    said = _content(content, where)
    calls = _calls(message, where)
    if isinstance(speaker, str) and speaker.casefold().strip() == "function_call" and said:
        calls, said = [_call(_parsed(said, where), where)], ""
    if content is None and not calls:
        raise RowError(f"{where}: content must be a text, got {message!r:.80}")
    found = Message(role=role, content=" ".join([*([said] if said else []), *calls]))
    weight = native(message.get("weight"))
    if weight is not None and weight not in (0, 1):
        raise RowError(f"{where}: weight must be 0 or 1, got {weight!r:.80}")
    if weight == 0 and role == "assistant":
        found["weight"] = 0
    return found


def _content(content: Any, where: str) -> str:
    """The text of a content: itself, its text parts together, or "" for null."""
    content = native(content)
    if content is None:
        return ""
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError as e:
            raise RowError(f"{where}: content must be text of whole characters, got {content!r:.80}") from e
        return content
    if not isinstance(content, list):
        raise RowError(f"{where}: content must be a text, got {content!r:.80}")
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str) and part.get("type") in ("text", None):
            texts.append(part["text"])
        else:
            kind = part.get("type") if isinstance(part, Mapping) else None
            raise RowError(f"{where}: a part of content must be a text, got {kind or part!r:.80}")
    return "".join(texts)


def _calls(message: Mapping[str, Any], where: str) -> list[str]:
    """The tool calls of a message in words."""
    calls = native(message.get("tool_calls")) or []
    if isinstance(message.get("function_call"), Mapping):  # of the older OpenAI format
        calls = [*calls, message["function_call"]]
    if not isinstance(calls, list):
        raise RowError(f"{where}: tool_calls must be a list, got {calls!r:.80}")
    return [_call(call, where) for call in calls]


def _call(call: Any, where: str) -> str:
    """``search(food=italian, area=north)``, as a tool of an environment is called."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not isinstance(function, Mapping):
        raise RowError(f"{where}: a tool call must have a function with a name, got {call!r:.80}")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _parsed(arguments, where) if arguments.strip() else {}
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise RowError(f"{where}: arguments of {name} must be an object, got {arguments!r:.80}")
    said = ", ".join(f"{key}={_argument(value)}" for key, value in arguments.items() if value is not None)
    return f"{name}({said})"


def _argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(native(value), ensure_ascii=False)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as e:
        raise RowError(f"{where}: a tool call must be JSON, got {text!r:.80} ({e.msg})") from e
