"""Conversations as token ids, message by message: what a chat template writes around each message.

A conversation grows by messages, and what a policy sampled must stay as it was sampled: decoding a reply and encoding
it again may give other ids. So the template is taken apart once, into what it writes before and after a message of each
role, and the parts are checked against the template itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message.role + ':\\n' + message.content + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""For a tokenizer without a chat template: its end-of-text token ends every message, so that no text can forge one."""

_HISTORY = {"user": ("user", "assistant"), "assistant": ("user",), "system": (), "tool": ("user", "assistant")}
"""What stands before a message of each role when the template is asked how it writes one."""
_MAX_CACHED_TEXTS = 100_000
_SAMPLE = (
    ("system", "you help ."),
    ("user", "hello there"),
    ("assistant", "search(a=b)"),
    ("tool", "2 found"),
    ("assistant", "which one ?"),
    ("user", "the [name] , please ."),
)


class Affixes(NamedTuple):
    """Token ids that the template writes before and after the content of a message."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Tokenizer:
    """A Hugging Face tokenizer that writes and reads conversations message by message.

    Text that looks like a marker of the chat format is encoded as plain text, so that nobody can forge a turn.

    Args:
        hf: a Hugging Face tokenizer; without a chat template it gets ``PLAIN_TEMPLATE``.

    Attributes:
        hf: the tokenizer itself.
        end_id: the token that ends an agent's turn; a policy samples it.
        pad_id: fills up rows, is never read.
        forbidden_ids: tokens that may not stand in a reply: the markers that only the chat format writes, and whole
            passages, which only a system message says.
        prompt_ids: what the template writes before the agent's reply.
        end_tail: what it writes after ``end_id``; a policy does not sample it.

    Raises:
        ValueError: if the template does not write messages one after another, if it ends the agent's turn with
            anything but one special token, or if the parts do not add up to what the template writes.
    """

    def __init__(self, hf: Any):
        self.hf = hf
        if not hf.chat_template:
            if hf.eos_token is None:
                raise ValueError(f"{_name(hf)} has no chat template and no end-of-text token to make one with")
            hf.chat_template = PLAIN_TEMPLATE
        self._affixes, self._openings = _take_apart(hf)
        self.prompt_ids, after = self._affixes["assistant"]
        special = _special_ids(hf)
        if not after or after[0] not in special:
            raise ValueError(
                f"the chat template of {_name(hf)} must end a turn with a special token, got {hf.decode(after)!r}"
            )
        self.end_id, self.end_tail = after[0], after[1:]
        self.pad_id = self.end_id if hf.pad_token_id is None else int(hf.pad_token_id)
        self.forbidden_ids = sorted((special | _passages(hf)) - {self.end_id})
        self._ids: dict[str, tuple[int, ...]] = {}
        self._texts: dict[tuple[int, ...], str] = {}
        self._check()

    def __len__(self) -> int:
        return len(self.hf)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.hf,)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The same for tokenizers that mean the same by every id, and pad and end a turn alike."""
        meanings = sorted(self.hf.get_vocab().items())
        return blake2b(repr((meanings, self.pad_id, self.end_id)).encode(), digest_size=8).hexdigest()

    @functools.cached_property
    def num_opening_pads(self) -> int:
        """How many ids like padding a conversation opens with: a beginning-of-text token may be the padding too."""
        ids = self.encode_conversation([{"role": "system", "content": "."}])
        return next((place for place, number in enumerate(ids) if number != self.pad_id), len(ids))

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of plain text; what looks like a marker is spelt out."""
        ids = self._ids.get(text)
        if ids is None:
            if len(self._ids) >= _MAX_CACHED_TEXTS:
                self._ids.clear()
            ids = self._ids[text] = _encode(self.hf, text)
        return ids

    def encode_message(self, role: str, content: str, first: bool = False) -> tuple[int, ...]:
        """The ids of one message with the markers of its role.

        Args:
            role: of the message; one that the template does not know is written as the user's.
            content: of the message.
            first: it opens the conversation; some templates write more there.
        """
        role = role if role in self._affixes else "user"
        before, after = self._affixes[role]
        opening = self._openings.get(role, ()) if first else ()
        return (*opening, *before, *self.encode(content), *after)

    def encode_conversation(self, messages: Sequence[Mapping[str, Any]], prompt: bool = True) -> list[int]:
        """The ids of a conversation; with ``prompt``, up to where the agent's next reply begins."""
        ids: list[int] = []
        for number, message in enumerate(messages):
            ids += self.encode_message(message["role"], message["content"], first=number == 0)
        return [*ids, *self.prompt_ids] if prompt else ids

    def encode_demonstration(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[bool]]:
        """The ids of a conversation, and which of them the agent said: its words and its end-of-turn tokens."""
        ids: list[int] = []
        said: list[bool] = []
        for number, message in enumerate(messages):
            whole = self.encode_message(message["role"], message["content"], first=number == 0)
            by_agent = message["role"] == "assistant"
            begins = len(self.prompt_ids) if by_agent else len(whole)
            ends = len(whole) - len(self.end_tail) if by_agent else len(whole)
            said += [begins <= position < ends for position in range(len(whole))]
            ids += whole
        return ids, said

    def save(self, folder: str | Path) -> None:
        """Writes what ``AutoTokenizer.from_pretrained`` loads, chat template included."""
        self.hf.save_pretrained(str(folder))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; markers are left out."""
        key = tuple(ids)
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _MAX_CACHED_TEXTS:
                self._texts.clear()
            text = self._texts[key] = self.hf.decode(
                list(key), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return text

    def _check(self) -> None:
        """Raises ValueError unless the parts add up to what the template writes."""
        messages = [{"role": role, "content": content} for role, content in _SAMPLE if role in self._affixes]
        text = self.hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        expected = list(self.hf(text, add_special_tokens=False)["input_ids"])
        got = self.encode_conversation(messages)
        if got != expected:
            raise ValueError(
                f"the chat template of {_name(self.hf)} cannot be used message by message: a conversation put together "
                f"of its messages is {self.hf.decode(got)!r}, the template writes {self.hf.decode(expected)!r}"
            )


def _name(hf: Any) -> str:
    return str(getattr(hf, "name_or_path", "") or type(hf).__name__)


def _encode(hf: Any, text: str) -> tuple[int, ...]:
    return tuple(hf(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _special_ids(hf: Any) -> set[int]:
    """Every token that is a marker: named special tokens, and added ones that are declared special."""
    added = {number for number, token in hf.added_tokens_decoder.items() if token.special}
    return added | set(hf.all_special_ids)


def _passages(hf: Any) -> set[int]:
    """Added tokens of several words: a task's instructions, say."""
    return {number for number, token in hf.added_tokens_decoder.items() if len(token.content.split()) > 1}


def _take_apart(hf: Any) -> tuple[dict[str, Affixes], dict[str, tuple[int, ...]]]:
    """What the template writes around a message of each role, and additionally before a first message of the user.

    ``before`` and ``after`` of a role are what a message of that role adds to the text of a conversation.
    """

    def ids(text: str) -> tuple[int, ...]:
        return tuple(hf(text, add_special_tokens=False)["input_ids"])

    affixes = {}
    for role, history in _HISTORY.items():
        around = _around(hf, role, history)
        if around is not None:
            affixes[role] = Affixes(ids(around[0]), ids(around[1]))
    for role in ("user", "assistant"):
        if role not in affixes:
            raise ValueError(f"the chat template of {_name(hf)} cannot write a message of role {role!r}")
    first, later = _around(hf, "user", ()), _around(hf, "user", _HISTORY["user"])
    opening = first[0].removesuffix(later[0]) if first and later else ""
    return affixes, {"user": ids(opening)}


def _around(hf: Any, role: str, history: Sequence[str]) -> tuple[str, str] | None:
    """The text before and after a message of ``role``; None where the template refuses or leaves it out."""

    def written(roles: Sequence[str], prompt: bool = False) -> str:
        messages = [{"role": role, "content": f"<{number}>"} for number, role in enumerate(roles)]
        return hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)

    try:
        former = written(history) if history else ""
        latter = written([*history, role])
        prompt = written(history, prompt=True) if role == "assistant" else former
    except Exception:  # templates raise what they like
        return None
    content = f"<{len(history)}>"
    if not latter.startswith(former) or not prompt.startswith(former) or content not in latter[len(former) :]:
        return None
    before, _, after = latter[len(former) :].partition(content)
    return (prompt[len(former) :] if role == "assistant" else before), after
