"""Every environment in every interface, under utterances that nobody should send; ``benchmarks/fuzz.py`` has more."""

from __future__ import annotations

import gc
import json
import random
import tracemalloc

import gymnasium as gym
import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from dialogym.envs.core.make import shipped_ids  # noqa: E402

from .fuzzing import ACTS, FRAGMENTS, Fuzzed, random_utterance  # noqa: E402
from .test_conformance import ID_INTERFACES  # noqa: E402

QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too
MAX_TURNS = 12


@pytest.fixture(scope="module")
def fuzzed():
    """The environment of an id and interface, made once."""
    made: dict[tuple[str, str], Fuzzed] = {}
    return lambda *key: made.setdefault(key, None) or made.update({key: Fuzzed(*key)}) or made[key]


@pytest.mark.parametrize(("env_id", "interface"), ID_INTERFACES)
def test_nothing_breaks_is_forged_or_won_by_what_is_no_answer(env_id, interface, fuzzed):
    game = fuzzed(env_id, interface)
    pieces = st.lists(
        st.one_of(st.sampled_from(FRAGMENTS), st.sampled_from(game.own or FRAGMENTS), ANY_TEXT), max_size=4
    )
    utterance = st.builds(lambda glue, parts: glue.join(parts), st.sampled_from(["", " ", "\n"]), pieces)
    action = st.integers(0, 10**6) if interface == "choices" else utterance

    @QUICK
    @given(st.integers(0, 10**6), st.lists(action, min_size=1, max_size=MAX_TURNS), st.none() | st.integers(0, 10**6))
    def attack(seed, actions, forbidden):
        game.begin(seed)
        for one in actions:
            if interface == "tokens":
                game.spell(one, forbidden)
            else:
                (game.choose if interface == "choices" else game.say)(one)
            if game.over:
                game.begin(seed + 1)

    attack()
    assert game.utterances >= 12


def test_what_success_takes_is_written_down_for_every_environment_of_ours():
    assert set(ACTS) == set(shipped_ids())


@pytest.mark.parametrize("env_id", shipped_ids())
def test_an_agent_that_does_not_listen_stays_at_the_floor(env_id, fuzzed):
    game, rng = fuzzed(env_id, "text"), random.Random(0)
    game.episodes = game.successes = 0
    while game.episodes < 40:
        game.begin(rng.randrange(10**9))
        while not game.over:
            game.say(random_utterance(rng, game.own))
    floor = game.core.task.floor
    assert game.successes <= 40 * floor + 3 * (40 * floor * (1 - floor)) ** 0.5 + 1


@pytest.mark.parametrize("env_id", ["TextDialog-v0", "TextNegotiation-v0"])
def test_memory_stays_flat_over_conversations(env_id, fuzzed):
    # what is said repeats, so that the caches, which are bounded, are full after the first round
    game = fuzzed(env_id, "text")

    def play():
        rng = random.Random(1)
        for _ in range(15):
            game.begin(rng.randrange(10**9))
            while not game.over:
                game.say(random_utterance(rng, game.own))
        gc.collect()

    tracemalloc.start()
    try:
        play()
        play()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3):
            play()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 40_000  # bytes over 45 conversations


@pytest.mark.parametrize("env_id", ["TextDialog-v0", "TextKeywords-v0"])
def test_half_a_character_is_shown_and_written_like_any_other(env_id, capsys):
    env = gym.make(env_id, interface="text", render_mode="human")
    env.reset(seed=0)
    env.step("caf\udce9 \ud83d!")
    assert "assistant: caf\ufffd \ufffd!" in capsys.readouterr().out
    env.unwrapped.transcript.written.encode()
    assert json.loads(json.dumps(env.unwrapped.messages, ensure_ascii=False).encode()) == env.unwrapped.messages
