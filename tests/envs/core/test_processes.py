"""Environments in processes of their own: any text, both ways, through shared memory and without."""

import copy
import json
import multiprocessing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import flatten, flatten_space, unflatten
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

from dialogym.envs import Utterance

TEXTS = ["", "plain", "ünïcödé 🙂👩‍👩‍👧 漢字", "a\nb\r\n\x00: [x]", "\ud800 alone", "z" * 500]


@pytest.mark.parametrize("context", [None, "spawn"])
@pytest.mark.parametrize("shared_memory", [True, False])
def test_the_text_interface_plays_in_processes_what_it_plays_here(context, shared_memory):
    options = {"num_envs": 2, "interface": "text"}
    away = gym.make_vec(
        "TextDialog-v0", vectorization_mode="async",
        vector_kwargs={"context": context, "shared_memory": shared_memory}, **options,
    )  # fmt: skip
    here = gym.make_vec("TextDialog-v0", vectorization_mode="sync", **options)
    try:
        observations, _ = away.reset(seed=3)
        assert observations == here.reset(seed=3)[0]
        for text in TEXTS:
            said = (text, text[::-1])
            observations, *_ = away.step(said)
            assert observations == here.step(said)[0]
            assert away.observation_space.contains(observations)
            assert type(observations) is tuple
    finally:
        away.close()


def test_observations_have_room_for_the_longest_document_wherever_they_are_made(tmp_path):
    long = "It rained in town for days. " * 6000
    rows = [{"document": f"{number}. {long}", "summary": "It rained."} for number in range(12)]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"interface": "text", "data": str(tmp_path / "long.jsonl")}
    env = gym.make("TextSummary-v0", **options)
    observation, _ = env.reset(seed=3)
    assert len(observation) > len(long) > 150_000
    assert env.observation_space.contains(observation)
    native, away = (
        gym.make_vec("TextSummary-v0", 2, vectorization_mode=mode, **options)
        for mode in ("vector_entry_point", "async")
    )
    try:
        for envs in (native, away):
            assert envs.single_observation_space == env.observation_space
            observations, _ = envs.reset(seed=3)
            assert observations[0] == observation
            assert envs.observation_space.contains(observations)
            assert envs.observation_space.contains(envs.step(("x", "It rained."))[0])
    finally:
        away.close()


def test_shared_memory_holds_any_text_and_forgets_the_one_before():
    space = Utterance(500)
    memory = create_shared_memory(space, n=2, ctx=multiprocessing)
    texts = read_from_shared_memory(space, memory, n=2)
    assert copy.deepcopy(texts) == ("", "")
    for text in (*TEXTS[::-1], "the end"):
        write_to_shared_memory(space, 1, text, memory)
        assert copy.deepcopy(texts) == copy.copy(texts) == ("", text)
        assert (texts[1], texts[-1], len(texts), texts[:1]) == (text, text, 2, ("",))
    with pytest.raises(ValueError, match=r"row 0: expected a str of at most 500 characters, got 501, .*shared_memory"):
        write_to_shared_memory(space, 0, "z" * 501, memory)


@pytest.mark.parametrize("text", TEXTS)
def test_an_utterance_is_flattened_to_code_points_and_back(text):
    space = Utterance(500)
    flat = flatten(space, text)
    assert flatten_space(space).contains(flat)
    assert flat.tolist() == [ord(character) for character in text] + [-1] * (500 - len(text))
    assert unflatten(space, flat) == text
    assert np.array_equal(flatten(space, unflatten(space, flat)), flat)
