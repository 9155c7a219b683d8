"""Who speaks on the partner's side: a tiny language model of this machine, and a stub endpoint."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import dialogym  # noqa: F401 (registers)
from dialogym.envs.speakers import speaker_of
from dialogym.envs.speakers.local import LocalSpeaker
from dialogym.envs.speakers.served import SILENCE
from dialogym.rewards import EndpointError

from ..rewards.stub_server import Answer, saying, serving
from .partners import GOAL

ID = "TextDialog-v0"
ASKS = "Which area would you like?"
CHAT: Any = [{"role": "system", "content": "You are a customer."}, {"role": "user", "content": "Hello!"}]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of a few thousand weights with the tokenizer that ships, as ``save_pretrained`` writes it."""
    from dialogym.agents.language_model.model import LanguageModel, ModelConfig

    where = tmp_path_factory.mktemp("tiny")
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 16}
    LanguageModel.make(ModelConfig(device="cpu", **sizes), seed=0).save(where)
    return where


# A model of this machine


def test_a_model_of_a_folder_is_the_partner_and_says_the_same_again(folder):
    def conversation(seed: int, spec: str) -> str:
        env = gym.make(ID, interface="text", partner=spec, max_turns=2)
        env.reset(seed=seed)
        env.step(ASKS)
        observation, _, _, _, info = env.step(ASKS)
        assert info["blame"] in ("agent", "partner")
        return observation

    greedy, drawn = f"lm:{folder}?max_tokens=8", f"lm:{folder}?max_tokens=8&temperature=1.5"
    assert conversation(3, greedy) == conversation(3, greedy)
    assert conversation(3, drawn) == conversation(3, drawn) != conversation(4, drawn)
    assert conversation(3, drawn) != conversation(3, greedy)


def test_what_it_says_is_what_transformers_generates(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hf, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    said = LocalSpeaker(folder, max_tokens=6).say(CHAT, 0)
    ids = hf.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    silent = [number for number in hf.all_special_ids if number != hf.eos_token_id]
    with torch.no_grad():
        whole = model.generate(ids, max_new_tokens=6, do_sample=False, suppress_tokens=silent, pad_token_id=0)
    assert said.split() == hf.decode(whole[0, ids.shape[1] :], skip_special_tokens=True).split() != []


CHATS: Any = [
    [{"role": "system", "content": "You are a customer."}, *({"role": "user", "content": words},) * turns]
    for turns, words in enumerate(("hello", "which area ?", "a cheap place", "hello", "the phone is 12", "bye") * 3, 1)
]


def test_asked_together_it_says_to_each_what_it_says_alone(folder):
    speaker = LocalSpeaker(folder, max_tokens=8)
    asked = [(chat, number) for number, chat in enumerate(CHATS)]
    alone = [speaker.say(*one) for one in asked]
    assert speaker.say_together(asked) == alone
    assert speaker._batches_exactly
    drawn = LocalSpeaker(folder, max_tokens=8, temperature=1.0)
    assert drawn.say_together(asked) == [drawn.say(*one) for one in asked]


def test_a_turn_that_hangs_by_a_hair_is_asked_alone(folder, monkeypatch):
    speaker, asked = LocalSpeaker(folder, max_tokens=4), [(chat, 0) for chat in CHATS[:5]]
    together = speaker.say_together(asked)
    counted = []
    monkeypatch.setattr(LocalSpeaker, "say", lambda self, messages, seed: counted.append(messages) or "alone")
    assert speaker.say_together(asked) == together  # nobody is asked again
    monkeypatch.setattr("dialogym.envs.speakers.local.MARGIN", 1e9)
    assert speaker.say_together(asked) == ["alone"] * 5
    assert sorted(counted, key=len) == sorted((chat for chat, _ in asked), key=len)
    speaker.__dict__["_batches_exactly"] = False  # as of a model that padding disturbs
    assert speaker.say_together(asked[:2]) == ["alone"] * 2


@pytest.mark.parametrize(
    ("env_id", "interface"),
    [(ID, "text"), (ID, "choices"), ("TextNegotiation-v0", "text"), ("TextTwentyQuestions-v0", "text")],
)
def test_rows_of_a_vector_environment_ask_together_and_play_what_one_alone_plays(
    env_id, interface, folder, monkeypatch
):
    spec, sizes = f"lm:{folder}?max_tokens=6", []
    plain = LocalSpeaker.say_together
    monkeypatch.setattr(
        LocalSpeaker, "say_together", lambda self, asked: sizes.append(len(asked)) or plain(self, asked)
    )
    action: Any = {"text": ASKS, "choices": 0}[interface]
    envs = gym.make_vec(
        env_id, num_envs=3, vectorization_mode="vector_entry_point", interface=interface, partner=spec, max_turns=3
    )
    envs.reset(seed=5)
    for _ in range(5):  # rows begin anew in between
        envs.step([action] * 3)
    assert 3 in sizes
    for row in range(3):
        env = gym.make(env_id, interface=interface, partner=spec, max_turns=3)
        env.reset(seed=5 + row)
        over = False
        for _ in range(5):
            if over:
                env.reset()
                over = False
                continue
            _, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
        assert env.unwrapped.transcript.messages == envs.messages(row)


def test_speakers_that_are_asked_in_turn_and_partners_that_ask_nobody_can_wait_together():
    from dialogym.envs.speakers import FunctionSpeaker, Question, Steps, answered_together

    one, other = FunctionSpeaker(lambda messages: f"one {messages[0]}"), FunctionSpeaker(lambda messages: "other")

    def turn(*speakers: Any) -> Steps[list[str]]:
        said = []
        for number, speaker in enumerate(speakers):
            said.append((yield Question(speaker, [number], 0)))
        return said

    assert answered_together([turn(one, one), turn(), turn(other, one)]) == [["one 0", "one 1"], [], ["other", "one 1"]]


def test_a_model_is_loaded_once_and_its_random_numbers_disturb_nobody(folder):
    import torch

    spec = f"lm:{folder}?temperature=1.0&max_tokens=4"
    assert speaker_of(spec) is speaker_of(spec)
    again = pickle.loads(pickle.dumps(speaker_of(spec)))
    torch.manual_seed(7)
    expected = torch.rand(1).item()
    torch.manual_seed(7)
    assert again.say(CHAT, 5) == speaker_of(spec).say(CHAT, 5)
    assert torch.rand(1).item() == expected


def test_a_long_conversation_loses_its_oldest_turns_and_never_what_it_is_told(folder):
    speaker = LocalSpeaker(folder, max_tokens=4)
    long = [CHAT[0]]
    for number in range(400):
        long += [
            {"role": "user", "content": f"which area {number}"},
            {"role": "assistant", "content": "the north please"},
        ]
    long.append(CHAT[1])
    ids = speaker._prompt(long)
    assert len(ids) <= 2048 - 4
    assert ids[:5] == speaker._prompt(CHAT)[:5]
    with pytest.raises(ValueError, match="reads at most 2044 tokens"):
        speaker.say([{"role": "system", "content": "area " * 3000}, CHAT[1]], 0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("temperature=-1", "expected temperature >= 0"),
        ("max_tokens=0", "max_tokens >= 1"),
        ("max_tokens=few", "max_tokens must be of type int, got 'few'"),
        ("dtype=float8", "dtype must be one of auto"),
        ("heat=1", "expected settings among temperature, max_tokens, device, dtype"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_loaded(folder, query, error):
    with pytest.raises(ValueError, match=error):
        gym.make(ID, partner=f"lm:{folder}?{query}")


# An endpoint


def test_an_endpoint_is_the_partner_and_is_told_the_goal_and_what_was_said():
    env = gym.make(ID, interface="text", max_turns=1)
    with serving([saying("I'd like Chinese food, please."), saying(" In the centre. ")]) as stub:
        env = gym.make(ID, interface="text", max_turns=1, partner=f"{stub.url}?max_tokens=9#tiny")
        env.reset(seed=0, options={"goal_id": GOAL})
        _, _, _, _, info = env.step(ASKS)
    assert [message["content"] for message in info["messages"][1:]] == [
        "I'd like Chinese food, please.", ASKS, "In the centre.",
    ]  # fmt: skip
    assert info["audit"] == []
    first, second = stub.requests
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("tiny", 9, 0.0)
    assert "seed" not in first
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][-1]["content"] == ASKS
    assert "Authorization" not in stub.headers[0]


def test_the_seed_goes_along_where_words_are_drawn_and_silence_is_told_as_such():
    with serving([saying("")]) as stub:
        env = gym.make(ID, interface="text", max_turns=1, partner=f"{stub.url}?temperature=0.7#tiny")
        env.reset(seed=0)
        env.step("  ")
    assert 0 <= stub.requests[0]["seed"] < 2**31
    assert stub.requests[0]["seed"] != stub.requests[1]["seed"]
    assert [message["content"] for message in stub.requests[1]["messages"]][2:] == [SILENCE, SILENCE]


def test_a_key_goes_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    with serving([saying("Hello.")]) as stub:
        speaker_of(f"{stub.url}#a").say(CHAT, 0)
        speaker_of(f"{stub.url}?key_variable=OTHER_KEY#a").say(CHAT, 0)
    assert "Authorization" not in stub.headers[0]
    assert stub.headers[1]["Authorization"] == "Bearer sk-other"
    with pytest.raises(ValueError, match="in the environment variable NO_KEY, got none"):
        gym.make(ID, partner="http://127.0.0.1:1/v1?key_variable=NO_KEY#a")


def test_an_endpoint_that_errs_is_slow_or_dead_is_told_and_becomes_no_words():
    def fails(url: str, match: str) -> None:
        env = gym.make(ID, interface="text", partner=f"{url}?max_retries=1&backoff=0&timeout=0.3#m")
        with pytest.raises(EndpointError, match=match):
            env.reset(seed=0)

    with serving([Answer(500, "on fire")]) as stub:
        fails(stub.url, "gave up after 2 tries: HTTP 500 .*on fire")
        assert len(stub.requests) == 2
    with serving([Answer(404, "no such model")]) as stub:
        fails(stub.url, "HTTP 404 .*no such model")
    with serving([Answer(pause=0.8)]) as stub:
        fails(stub.url, "gave up after 2 tries: no answer from")
    with serving([Answer(200, "{}")]) as stub:
        fails(stub.url, "expected a chat completion")
    fails(stub.url, "gave up after 2 tries: no answer from http://127.0.0.1")


def test_an_endpoint_that_fails_once_is_asked_again():
    with serving([Answer(503, "busy"), saying("I'd like Chinese food, please.")]) as stub:
        env = gym.make(ID, interface="text", partner=f"{stub.url}?backoff=0#m")
        env.reset(seed=0)
    assert env.unwrapped.transcript.messages[-1]["content"] == "I'd like Chinese food, please."


def test_the_command_line_takes_it_and_tells_its_failure_in_one_line():
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}

    def evaluate(partner: str) -> Any:
        words = ["evaluate", "rule", "--goals", "2", "--set", f"partner={partner}"]
        command = [sys.executable, "-m", "dialogym", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    with serving([saying("Thank you, goodbye.")]) as stub:
        done = evaluate(f"{stub.url}#tiny")
    assert done.returncode == 0, done.stderr
    assert "user: Thank you, goodbye." in done.stdout
    done = evaluate(f"{stub.url}?max_retries=0#tiny")
    assert done.returncode == 2
    assert "Error: gave up after 1 try: no answer from http://127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
