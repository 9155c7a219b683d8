"""Chat templates of many habits: what was sampled stays as it was, the rest is what the template would show."""

import copy
import datetime
import pickle
import re

import pytest

pytest.importorskip("transformers")

import gymnasium as gym
from tokenizers import AddedToken, models, processors
from tokenizers import Tokenizer as Rust
from transformers import PreTrainedTokenizerFast

from dialogym.envs.tokenizer import Tokenizer, load_tokenizer
from dialogym.envs.tokenizer import template as template_module
from dialogym.envs.tokenizer.messages import MessageWriter
from dialogym.envs.tokenizer.thinking import KNOWN, without_thinking
from dialogym.envs.tokenizer.whole import WholeWriter

from ...chat_templates import KINDS, MARKERS, TEMPLATES, small_hf_tokenizer, small_tokenizer

TALK = [
    ("system", "you are a guide"),
    ("user", "hello there"),
    ("assistant", "search(food=italian)"),
    ("tool", "3 found"),
    ("assistant", "which one do you want?"),
    ("user", "no, another one"),
    ("assistant", "yes"),
    ("user", "hello"),
]
TALKS = {
    "restaurant": TALK,
    "no system": TALK[1:],
    "agent opens": [("system", "speak"), *TALK[2:]],
    "agent opens unasked": TALK[2:],
    "nobody answers": [*TALK[:3], *TALK[4:5], *TALK[4:]],
    "many speak": [*TALK[:2], *TALK[:3], ("tool", "a"), ("tool", "b"), ("user", "c"), ("bystander", "d"), *TALK[4:]],
    "odd spaces": [(role, f"\n {content}\n\n") for role, content in TALK],
    "silence": [(role, "") for role, _ in TALK],
    "unknown signs": [(role, f"{content} 漢字🙂") for role, content in TALK],
}
CASES = [(template, kind) for template in TEMPLATES for kind in KINDS]


def messages_of(talk):
    return [{"role": role, "content": content} for role, content in talk]


def grown(tokenizer, messages, spell, is_known=True):
    """The ids of a conversation that grows reply by reply up to the next, and which were sampled.

    Args:
        spell: the ids of a reply.
        is_known: these are those of its words.
    """
    ids, sampled = [], []
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            former = messages[:number]
            begins = not any(one["role"] == "assistant" for one in former)
            read = tokenizer.encode_conversation(former) if begins else tokenizer.encode_since_reply(former)
            reply = [*spell(former, message["content"]), tokenizer.end_id]
            ids += [*read, *reply]
            sampled += [False] * len(read) + [True] * len(reply)
            assert not is_known or tokenizer.encode_conversation(former) == ids[: len(ids) - len(reply)]
    rest = tokenizer.encode_since_reply(messages)
    return ids + rest, sampled + [False] * len(rest)


@pytest.mark.parametrize(("template", "kind"), CASES)
def test_a_demonstration_is_what_sampling_would_have_given_for_the_same_words(template, kind):
    tokenizer = small_tokenizer(template, kind)
    forbidden = set(tokenizer.forbidden_ids)
    for messages in map(messages_of, TALKS.values()):
        ids, sampled = grown(tokenizer, messages, tokenizer.encode_reply)
        assert tokenizer.encode_conversation(messages) == ids
        last = max(number for number, by_agent in enumerate(sampled) if by_agent)
        ids, sampled = ids[: last + 1], sampled[: last + 1]
        shown, said = tokenizer.encode_demonstration(messages)
        assert shown[: len(ids)] == ids
        can_be_said = [token not in forbidden for token in ids]
        assert said[: len(ids)] == [all(both) for both in zip(sampled, can_be_said, strict=True)]
        assert not any(said[len(ids) :])
        assert tokenizer.encode_conversation(messages, prompt=False) == shown


def text_of(tokenizer, ids):
    return tokenizer.hf.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def pieces_of(ids, sampled):
    """What was read before each reply, and at last."""
    pieces = [[]]
    for number, token in enumerate(ids):
        if not sampled[number]:
            pieces[-1].append(token)
        elif number + 1 == len(ids) or not sampled[number + 1]:
            pieces.append([])
    return pieces


ACCEPTED = {
    "folds_system": [*TALK[:3], *TALK[5:]], "system_last": [*TALK[1:3], *TALK[5:]],
    "in_brackets": [*TALK[:3], *TALK[5:]], "refuses_system": [*TALK[1:3], *TALK[5:]],
    "no_tools": [*TALK[:3], *TALK[5:]], "silent_system": TALK[1:],
}  # fmt: skip
"""Conversations that templates take as they are, where that is not the usual one."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_between_replies_stands_what_the_template_writes_there_and_replies_stay_as_sampled(template):
    tokenizer = small_tokenizer(template)
    messages = messages_of(ACCEPTED.get(template, TALK))
    sampled_ids = tokenizer.hf.convert_tokens_to_ids(["h", "e", "l", "l", "o"])  # which nobody would write so
    assert tokenizer.encode("hello") != tuple(sampled_ids)
    ids, sampled = grown(messages=messages, tokenizer=tokenizer, spell=lambda *_: sampled_ids, is_known=False)
    said = [token for token, by_agent in zip(ids, sampled, strict=True) if by_agent]
    num_replies = sum(message["role"] == "assistant" for message in messages)
    assert said == [*sampled_ids, tokenizer.end_id] * num_replies
    blank = [{**one, "content": f"qu{n}ux"} if one["role"] == "assistant" else one for n, one in enumerate(messages)]
    shown = tokenizer.hf.apply_chat_template(blank, tokenize=False, add_generation_prompt=True)
    expected, got = re.split(r"qu\d+ux", shown), [text_of(tokenizer, piece) for piece in pieces_of(ids, sampled)]
    if template in ("in_brackets", "system_last", "line_break_left"):  # white space around a reply is the policy's
        expected = [piece.strip(" ") for piece in expected]
        expected = [piece.removesuffix("\n") for piece in expected[:-1]] + expected[-1:]
    end = tokenizer.hf.convert_ids_to_tokens(tokenizer.end_id)
    expected = [expected[0], *(piece.removeprefix(end) for piece in expected[1:])]
    if template in ("must_think", "forgets_thinking"):  # which do not show the thinking that was begun
        expected = [f"{piece}<think>\n" for piece in expected[:-1]] + expected[-1:]
    assert got[1:] == expected[1:]
    if template != "system_last":  # which moves the instructions on
        assert got[0] == expected[0]


GUIDED = [*TALK[:4], TALK[5], ("assistant", "yes")]
WRITTEN = {
    "refuses_system": "<s><start_of_turn>user\nyou are a guide\n\nhello there<end_of_turn>\n<start_of_turn>model\n"
    "search(food=italian)<end_of_turn>\n<start_of_turn>user\n3 found\n\nno, another one<end_of_turn>\n"
    "<start_of_turn>model\nyes<end_of_turn>\n",
    "in_brackets": "<s>[INST] <<SYS>>\nyou are a guide\n<</SYS>>\n\nhello there [/INST] search(food=italian) </s>"
    "<s>[INST] 3 found\n\nno, another one [/INST] yes </s>",
    "silent_system": "<|im_start|>user\nyou are a guide\n\nhello there<|im_end|>\n<|im_start|>assistant\n"
    "search(food=italian)<|im_end|>\n<|im_start|>tool\n3 found<|im_end|>\n<|im_start|>user\nno, another one<|im_end|>\n"
    "<|im_start|>assistant\nyes<|im_end|>\n",
    "no_tools": "<|im_start|>system\nyou are a guide<|im_end|>\n<|im_start|>user\nhello there<|im_end|>\n"
    "<|im_start|>assistant\nsearch(food=italian)<|im_end|>\n<|im_start|>user\n3 found<|im_end|>\n"
    "<|im_start|>user\nno, another one<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n",
    "may_think": "<|im_start|>system\nyou are a guide<|im_end|>\n<|im_start|>user\nhello there<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\nsearch(food=italian)<|im_end|>\n"
    "<|im_start|>user\n<tool_response>\n3 found\n</tool_response><|im_end|>\n"
    "<|im_start|>user\nno, another one<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nyes<|im_end|>\n",
    "forgets_thinking": "you are a guide<|user|>hello there<|assistant|><think>\n</think>\n\nsearch(food=italian)</s>"
    "<|tool|>3 found<|user|>no, another one<|assistant|><think>\n</think>\n\nyes</s>",
    "system_last": "<s>[INST] you are a guide\n\nhello there[/INST] search(food=italian)</s>"
    "[INST] you are a guide\n\n3 found\n\nno, another one[/INST] yes</s>",
    "line_break_left": "<|system|>\nyou are a guide</s>\n<|user|>\nhello there</s>\n"
    "<|assistant|>\nsearch(food=italian)</s>\n<|tool|>\n3 found</s>\n"
    "<|user|>\nno, another one</s>\n<|assistant|>\nyes</s>\n",
}  # fmt: skip
WRITTEN["must_think"] = WRITTEN["may_think"]


@pytest.mark.parametrize("template", WRITTEN)
def test_whole_conversations_as_they_are_written_by_hand(template):
    tokenizer = small_tokenizer(template)
    ids, said = tokenizer.encode_demonstration(messages_of(GUIDED))
    assert text_of(tokenizer, ids) == WRITTEN[template]
    ends = [number for number, by_agent in enumerate(said) if by_agent and ids[number] == tokenizer.end_id]
    assert len(ends) == 2


def test_an_agent_that_opens_follows_an_empty_message_where_the_template_needs_one():
    tokenizer = small_tokenizer("folds_system")
    opened = messages_of([("system", "speak"), ("assistant", "hello"), ("assistant", "yes")])
    assert text_of(tokenizer, tokenizer.encode_conversation(opened, prompt=False)) == (
        "<s><start_of_turn>user\nspeak\n\n<end_of_turn>\n<start_of_turn>model\nhello<end_of_turn>\n"
        "<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>\n"
    )


@pytest.mark.parametrize(("template", "kind"), CASES)
def test_a_reply_is_heard_as_it_was_meant(template, kind):
    tokenizer, messages = small_tokenizer(template, kind), messages_of(TALK)
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            ids = tokenizer.encode_reply(messages[:number], message["content"])
            assert tokenizer.heard(ids) == tokenizer.heard([*ids, tokenizer.end_id]) == message["content"]


@pytest.mark.parametrize(
    ("template", "kind"),
    [(template, kind) for template, kind in CASES if "think" in template] + [("chatml", "bytes"), ("none", "no_bytes")],
)
def test_thinking_stays_in_the_ids_and_is_not_heard(template, kind):
    tokenizer, before = small_tokenizer(template, kind), messages_of(TALK[:2])
    begun = text_of(tokenizer, tokenizer.encode_conversation(before)).rstrip().endswith("<think>")
    assert begun == (template in ("forgets_thinking", "must_think"))
    start = "" if begun else "<think>"
    written = tokenizer.hf(f"{start}\nno, yes\n</think>\n\nhello there", add_special_tokens=False)["input_ids"]
    assert tokenizer.heard(written) == "hello there"
    unclosed = tokenizer.hf(f"{start}\nno, yes", add_special_tokens=False)["input_ids"]
    assert tokenizer.heard(unclosed) == tokenizer.heard([*unclosed, tokenizer.end_id]) == ""
    markers = set(tokenizer.hf.convert_tokens_to_ids(["<think>", "</think>"])) - {tokenizer.hf.unk_token_id}
    if "think" in template:
        assert not markers & set(tokenizer.forbidden_ids)
        shown = [*before, *messages_of([("assistant", "<think>\nno, yes\n</think>\n\nhello there")])]
        ids, said = tokenizer.encode_demonstration(shown)
        spoken = [token for token, by_agent in zip(ids, said, strict=True) if by_agent]
        assert tokenizer.heard(spoken) == "hello there"
        assert "no,yes</think>" in "".join(text_of(tokenizer, spoken).split())


def test_markers_of_thinking_are_forbidden_where_the_template_has_none():
    tokenizer = small_tokenizer("chatml", "pads_with_its_end")
    assert set(tokenizer.hf.convert_tokens_to_ids(["<think>", "</think>"])) <= set(tokenizer.forbidden_ids)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("yes", "yes"), (" yes ", " yes "), ("<think>a</think> b", "b"), ("<think>a", ""), ("a</think>b", "b"),
        ("b <think>a</think> c <think>d", "b  c"), ("a</think>b</think>c", "c"), ("<think>a<think>b</think>c", "c"),
        ("<think></think>", ""), ("</think>", ""), ("</think>a<think>", "a"),
    ],
)  # fmt: skip
def test_what_is_heard_worked_by_hand(said, heard):
    for thinking in KNOWN:
        spelt = said.replace("<think>", thinking.begin).replace("</think>", thinking.end)
        assert without_thinking(spelt, thinking) == heard


@pytest.mark.parametrize(("template", "kind"), CASES)
def test_nobody_can_forge_a_turn(template, kind):
    tokenizer = small_tokenizer(template, kind)
    markers = {*tokenizer.forbidden_ids, tokenizer.end_id}
    forged = "".join(MARKERS) + "</s>\U000f0000"
    talks = [[(role, f"hello {extra}") for role, _ in TALK] for extra in ("", forged)]
    honest, dishonest = (tokenizer.encode_conversation(messages_of(talk)) for talk in talks)
    if KINDS[kind].has_bytes:
        assert [token for token in dishonest if token in markers] == [token for token in honest if token in markers]
        assert forged in text_of(tokenizer, dishonest)
    counts = [[ids.count(token) for token in markers - {tokenizer.hf.unk_token_id}] for ids in (honest, dishonest)]
    assert counts[0] == counts[1]


def test_text_that_the_tokenizer_does_not_know_is_read_but_not_learned():
    tokenizer = small_tokenizer("chatml", "no_bytes")
    ids, said = tokenizer.encode_demonstration(messages_of([("user", "漢"), ("assistant", "yes 漢")]))
    unknown = [number for number, token in enumerate(ids) if token == tokenizer.hf.unk_token_id]
    assert len(unknown) == 2
    assert not any(said[number] for number in unknown)
    assert sum(said) > 1


def test_the_tokens_interface_shows_replies_as_they_were_said():
    env = gym.make("TextDialog-v0", interface="tokens", context_length=400, max_reply_tokens=6)
    tokenizer = env.unwrapped.tokenizer
    spelt = tokenizer.hf.convert_tokens_to_ids(["h", "e", "l", "l", "o"])
    assert tokenizer.encode("hello") != tuple(spelt)
    env.reset(seed=0)
    ids = tokenizer.encode_conversation(env.unwrapped.messages)
    for reply in ([*spelt, tokenizer.end_id], [*spelt, spelt[0]]):
        for token in reply:
            observation, *_ = env.step(token)
        ids += [*reply, *tokenizer.encode_since_reply(env.unwrapped.messages, reply[-1] == tokenizer.end_id)]
        assert env.unwrapped.messages[-2]["content"] == tokenizer.decode(reply)
        assert observation[-len(ids) :].tolist() == ids
        assert set(observation[: -len(ids)]) == {tokenizer.pad_id}


def test_ids_without_a_token_are_forbidden():
    rust = Rust(models.WordLevel({"yes": 0, "no": 3}, unk_token="no"))
    rust.add_special_tokens([AddedToken("</s>")])
    tokenizer = Tokenizer(PreTrainedTokenizerFast(tokenizer_object=rust, eos_token="</s>"))
    known = set(tokenizer.hf.get_vocab().values())
    assert len(tokenizer) == max(known) + 1 > len(known)
    assert set(tokenizer.forbidden_ids) == set(range(len(tokenizer))) - known


def test_a_tokenizer_that_cannot_write_every_text_at_all_is_refused():
    rust = Rust(models.WordLevel({"yes": 0}, unk_token="<unk>"))
    rust.add_special_tokens([AddedToken("</s>")])
    with pytest.raises(ValueError, match="expected a tokenizer with ids for any text, got none for "):
        Tokenizer(PreTrainedTokenizerFast(tokenizer_object=rust, eos_token="</s>"))


# The day


class Tomorrow(datetime.date):
    @classmethod
    def today(cls):
        return cls(2031, 1, 2)


def test_the_day_stays_what_it_was_in_a_conversation_and_on_disk(tmp_path, monkeypatch):
    tokenizer, messages = small_tokenizer("dated"), messages_of(TALK)
    today = datetime.date.today().strftime("%d %b %Y")
    ids = tokenizer.encode_conversation(messages)
    assert f"Today: {today}\n\nyou are a guide" in text_of(tokenizer, ids)
    monkeypatch.setattr(template_module.datetime, "date", Tomorrow)
    assert tokenizer.encode_conversation(messages) == ids
    tokenizer.save(tmp_path)
    for again in (load_tokenizer(tmp_path), copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert again.encode_conversation(messages) == ids
    assert "Today: 02 Jan 2031" in text_of(tokenizer, small_tokenizer("dated").encode_conversation(messages))


def test_a_day_in_a_format_that_is_not_known_beforehand_is_refused():
    hf = small_hf_tokenizer(KINDS["bytes"])
    hf.chat_template = "{{ strftime_now(format) }}" + TEMPLATES["chatml"]
    with pytest.raises(ValueError, match="must give strftime_now its format in quotes"):
        Tokenizer(hf)


# The beginning and the padding


@pytest.mark.parametrize("begins", [True, False])
def test_the_beginning_of_text_is_written_where_the_template_writes_it(begins):
    hf = small_hf_tokenizer(KINDS["bytes" if begins else "pads_with_its_end"])
    hf.chat_template = "{{ bos_token + '' }}" + TEMPLATES["chatml"]
    ids = Tokenizer(hf).encode_conversation(messages_of(TALK))
    assert ids.count(hf.convert_tokens_to_ids("<s>")) == begins
    assert text_of(Tokenizer(hf), ids).startswith("<s><|im_start|>system" if begins else "<|im_start|>system")


def test_a_tokenizer_without_a_template_begins_with_what_it_begins_every_text_with():
    hf = small_hf_tokenizer(KINDS["bytes"])
    assert text_of(Tokenizer(hf), Tokenizer(copy.deepcopy(hf)).encode_conversation(messages_of(TALK[1:2]))).startswith(
        "user:"
    )
    hf = small_hf_tokenizer(KINDS["bytes"])
    hf._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", hf.bos_token_id)]
    )
    ids = Tokenizer(hf).encode_conversation(messages_of(TALK[1:2]))
    assert text_of(Tokenizer(hf), ids) == "<s>user:\nhello there</s>\nassistant:\n"


def test_a_tokenizer_without_padding_pads_with_its_end_of_turn():
    tokenizer = small_tokenizer("none", "pads_with_its_end")
    assert tokenizer.pad_id == tokenizer.end_id == tokenizer.hf.eos_token_id


# Which way


@pytest.mark.parametrize("template", ["chatml", "no_tools", "line_breaks"])
def test_a_template_is_written_message_by_message_only_where_that_is_the_same(template):
    by_message = small_tokenizer(template)
    assert isinstance(by_message._writer, MessageWriter)
    whole = copy.deepcopy(by_message)
    whole._writer = WholeWriter(whole._ids, whole._template, whole.end_id, ())
    for talk in TALKS.values():
        assert whole.encode_demonstration(messages_of(talk)) == by_message.encode_demonstration(messages_of(talk))


def test_the_shipped_tokenizer_is_written_message_by_message():
    assert isinstance(load_tokenizer()._writer, MessageWriter)


def test_line_breaks_that_join_in_one_token_are_written_as_the_template_would():
    hf = small_hf_tokenizer(KINDS["bytes"])
    hf.add_tokens(["\n\n"])
    hf.chat_template = TEMPLATES["chatml"]
    tokenizer, messages = Tokenizer(hf), messages_of([("user", "\nhello")])
    assert isinstance(tokenizer._writer, WholeWriter)
    assert isinstance(small_tokenizer("chatml")._writer, MessageWriter)
    written = hf.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert tokenizer.encode_conversation(messages) == written
    assert hf.convert_tokens_to_ids("\n\n") in written


def test_roles_that_a_template_cannot_write_in_any_way_are_named():
    hf = small_hf_tokenizer(KINDS["bytes"])
    only_one = "{% if messages | length > 3 %}{{ raise_exception('too long') }}{% endif %}"
    hf.chat_template = only_one + TEMPLATES["chatml"]
    tokenizer = Tokenizer(hf)
    with pytest.raises(ValueError, match="cannot write a conversation of user, assistant, user, assistant: too long"):
        tokenizer.encode_conversation(messages_of([TALK[1], TALK[2], TALK[5]]))
