"""Chat templates of many habits: what was sampled stays as it was, the rest is what the template would show."""

import pytest

pytest.importorskip("transformers")


from ..chat_templates import KINDS, TEMPLATES, small_tokenizer

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


def grown(tokenizer, messages, spell):
    """The ids of a conversation that grows reply by reply, and which were sampled."""
    ids, sampled = [], []
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            former = messages[:number]
            begins = not any(one["role"] == "assistant" for one in former)
            read = tokenizer.encode_conversation(former) if begins else tokenizer.encode_since_reply(former)
            reply = [*spell(former, message["content"]), tokenizer.end_id]
            ids += [*read, *reply]
            sampled += [False] * len(read) + [True] * len(reply)
            assert tokenizer.encode_conversation(former) == ids[: len(ids) - len(reply)]
    return ids, sampled


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize(("template", "kind"), CASES)
def test_a_demonstration_is_what_sampling_would_have_given_for_the_same_words(template, kind, talk):
    tokenizer, messages = small_tokenizer(template, kind), messages_of(TALKS[talk])
    ids, sampled = grown(tokenizer, messages, tokenizer.encode_reply)
    shown, said = tokenizer.encode_demonstration(messages)
    assert shown[: len(ids)] == ids
    forbidden = set(tokenizer.forbidden_ids)
    assert said[: len(ids)] == [
        by_agent and token not in forbidden for token, by_agent in zip(ids, sampled, strict=True)
    ]
    assert not any(said[len(ids) :])
    assert tokenizer.encode_conversation(messages, prompt=False) == shown
