"""A conversation as the token ids that a foreign trainer learns from."""

import pytest

pytest.importorskip("transformers")

from dialogym.integrations.conversation import Conversation, Limits
from tests.agents.tiny_lm import tiny_tokenizer


def test_what_is_longer_than_the_context_at_its_beginning_keeps_its_instructions_and_the_latest_message():
    tokenizer = tiny_tokenizer()
    told = [("system", "blue " * 5), ("user", "red " * 20), ("user", "red " * 6)]
    messages = [{"role": role, "content": content} for role, content in told]
    conversation = Conversation(tokenizer, Limits(context=24, completion=100), messages)
    expected = tokenizer.encode_conversation([messages[0], messages[2]])
    assert conversation.context == conversation.ids == expected
    assert conversation.num_prompt == len(expected) == len(conversation.sampled) == len(conversation.logprobs)
