"""Conversations as token ids: what a policy reads, what it said, and what the chat template puts between.

A conversation grows, and what a policy sampled must stay as it was sampled: decoding a reply and encoding it again may
give other ids. So the ids of a conversation are only ever added to: behind a reply comes what the template writes
between that reply and the next.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .ids import Ids
from .messages import MessageWriter
from .samples import SAMPLES
from .template import ChatTemplate
from .thinking import without_thinking
from .whole import WholeWriter

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message.role + ':\\n' + message.content + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""For a tokenizer without a chat template: its end-of-text token ends every message, so that no text can forge one."""
_UNUSUAL = "\x00 ü 漢 🙂"


class Tokenizer:
    """A Hugging Face tokenizer that writes and reads conversations.

    Text that looks like a marker of the chat format is encoded as plain text, so that nobody can forge a turn.

    Args:
        hf: a Hugging Face tokenizer; without a chat template it gets ``PLAIN_TEMPLATE``, behind the beginning-of-text
            token if it is one that adds it.

    Attributes:
        hf: the tokenizer itself.
        end_id: the token that ends an agent's turn; a policy samples it.
        pad_id: fills up rows, is never read. It may be ``end_id``: masks go by place.
        forbidden_ids: tokens that may not stand in a reply: the markers that only the chat format writes, and whole
            passages, which only a system message says; ids without a token, too. Markers of thinking may.

    Raises:
        ValueError: if the template does not show what is said, or ends the agent's turn with anything but a special
            token; if there are texts that it has no ids for, not even one for what is unknown.
    """

    def __init__(self, hf: Any):
        self.hf = hf
        if not hf.chat_template:
            hf.chat_template = _plain_template(hf)
        self._ids = Ids(hf)
        self._ids.plain(_UNUSUAL)
        self._template = ChatTemplate(hf, self._ids.markers)
        self.end_id: int = hf.convert_tokens_to_ids(self._template.end)
        self.pad_id = self.end_id if hf.pad_token_id is None else int(hf.pad_token_id)
        thinking = self._template.thinking if self._template.has_thinking else ()
        self._thinking_ids = self._ids.special & {hf.convert_tokens_to_ids(marker) for marker in thinking}
        known = set(hf.get_vocab().values())
        self._num_ids = 1 + max(known)
        silent = self._ids.special | self._ids.passages() | (set(range(self._num_ids)) - known)
        self.forbidden_ids = sorted(silent - {self.end_id, *self._thinking_ids})
        whole = WholeWriter(self._ids, self._template, self.end_id, thinking)
        self._writer: MessageWriter | WholeWriter = _by_message(self._ids, hf, whole, self.end_id) or whole

    def __len__(self) -> int:
        """V: all ids are below it."""
        return self._num_ids

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
        return self._ids.plain(text)

    def encode_conversation(self, messages: Sequence[Mapping[str, Any]], prompt: bool = True) -> list[int]:
        """The ids of a conversation, as they are when the agent's words in it were sampled.

        Args:
            messages: the conversation; roles are system, user, assistant and tool, and any other is the user's.
            prompt: up to where the agent's next reply begins.

        Raises:
            ValueError: if the chat template cannot write messages of these roles.
        """
        return _conversation(self._writer, messages, self.end_id, prompt)[0]

    def encode_since_reply(
        self, messages: Sequence[Mapping[str, Any]], ended: bool = True, prompt: bool = True
    ) -> list[int]:
        """The ids that follow the agent's last reply, or all where it has said nothing.

        Args:
            messages: the conversation so far. Only where its last reply stands matters, not how it is spelt.
            ended: that reply has its end-of-turn token.
            prompt: up to where the next reply begins.

        Raises:
            ValueError: if the chat template cannot write messages of these roles.
        """
        return self._writer.since_reply(messages, ended, prompt)

    def encode_reply(self, messages: Sequence[Mapping[str, Any]], content: str) -> list[int]:
        """The ids that a policy would have to sample to say ``content``, without the end-of-turn token.

        Args:
            messages: the conversation before it.
            content: the words; thinking in them is thought where the template knows thinking.
        """
        return list(self._writer.reply(messages, content))

    def encode_demonstration(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[bool]]:
        """The ids of a conversation, and which of them the agent is to say: its words and its end-of-turn tokens.

        Messages with a weight of 0 are read and not imitated.
        Tokens that may not stand in a reply are not the agent's: a tokenizer that cannot write every text has one for
        what it does not know.
        """
        ids, said = _conversation(self._writer, messages, self.end_id, prompt=False)
        forbidden = set(self.forbidden_ids)
        return ids, [by_agent and token not in forbidden for token, by_agent in zip(ids, said, strict=True)]

    def save(self, folder: str | Path) -> None:
        """Writes what ``AutoTokenizer.from_pretrained`` loads, chat template included."""
        self.hf.save_pretrained(str(folder))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; markers are left out."""
        return self._ids.text(tuple(ids))

    def heard(self, ids: Sequence[int]) -> str:
        """What a reply says to whoever hears it.

        Its thinking is left out: all of it where it does not come to an end.

        Args:
            ids: of the reply; its end-of-turn token may be among them.
        """
        said = tuple(ids[:-1] if len(ids) and ids[-1] == self.end_id else ids)
        if self._thinking_ids:
            silent = self._ids.special - self._thinking_ids
            text = self._ids.text(tuple(token for token in said if token not in silent), skip_special_tokens=False)
        else:
            text = self.decode(said)
        template = self._template
        begun = template.thinking.begin if template.begins_thinking else ""
        heard = without_thinking(begun + text, template.thinking)
        return heard.removeprefix(template.margin).removesuffix(template.trail)


def _plain_template(hf: Any) -> str:
    if hf.eos_token is None:
        raise ValueError(
            f"{hf.name_or_path or type(hf).__name__} has no chat template and no end-of-text token to make one with"
        )
    begins = hf.bos_token_id is not None and hf("a")["input_ids"][:1] == [hf.bos_token_id]
    return ("{{ bos_token }}" if begins else "") + PLAIN_TEMPLATE


def _conversation(
    writer: MessageWriter | WholeWriter, messages: Sequence[Mapping[str, Any]], end_id: int, prompt: bool
) -> tuple[list[int], list[bool]]:
    """The ids of a conversation, and which of them the agent is to say."""
    ids: list[int] = []
    said: list[bool] = []
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            read = writer.since_reply(messages[:number], True, True)
            reply = [*writer.reply(messages[:number], message["content"]), end_id]
            ids += [*read, *reply]
            said += [False] * len(read) + [message.get("weight") != 0] * len(reply)
    rest = writer.since_reply(messages, True, prompt)
    return ids + rest, said + [False] * len(rest)


def _by_message(ids: Ids, hf: Any, whole: WholeWriter, end_id: int) -> MessageWriter | None:
    """A writer message by message, which costs less, if all it writes is what the template writes."""
    try:
        writer = MessageWriter(hf, ids, end_id)
    except ValueError:
        return None
    return writer if all(_is_same(writer, whole, messages, end_id) for messages in SAMPLES) else None


def _is_same(writer: MessageWriter, whole: WholeWriter, messages: Sequence[Mapping[str, Any]], end_id: int) -> bool:
    """Both ways write a conversation alike, if it can be written at all."""
    try:
        expected = [_conversation(whole, messages, end_id, prompt) for prompt in (False, True)]
        unended = whole.since_reply(messages, False, True)
    except ValueError:
        return True
    got = [_conversation(writer, messages, end_id, prompt) for prompt in (False, True)]
    return got == expected and writer.since_reply(messages, False, True) == unended
