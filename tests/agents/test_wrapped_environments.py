"""What a user puts around an environment counts in what is learned there and in what is scored."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from gymnasium import wrappers

from dialogym.agents import load_agent, make_agent
from dialogym.agents.floors import DoNothingAgent
from dialogym.evaluation.score import frozen_goals, score

ENV = "dialogym:TextDialog-v0"


def plain(env: gym.Env) -> gym.Env:
    return env


def hundredfold(env: gym.Env) -> gym.Env:
    return wrappers.TransformReward(env, lambda reward: 100 * reward)


def one_turn(env: gym.Env) -> gym.Env:
    return wrappers.TimeLimit(env, 1)


def logged(name: str, env: gym.Env, **settings: Any) -> dict[str, Any]:
    """The first row of the log of a short training."""
    rows: list[dict[str, Any]] = []
    make_agent(name, env, seed=0, **settings).learn(env, log=rows.append)
    return rows[0]


def check(rows: dict[Any, dict[str, Any]]) -> None:
    """Under a reward of -1 a turn the log says what was put around, exactly."""
    assert rows[plain]["return"] == pytest.approx(-rows[plain]["turns"])
    assert rows[plain]["turns"] > 1
    assert rows[hundredfold]["return"] == pytest.approx(-100 * rows[hundredfold]["turns"])
    assert (rows[one_turn]["turns"], rows[one_turn]["return"]) == (1, -1)


@pytest.mark.parametrize("interface", ["choices", "text"])
def test_tables_learn_from_the_wrapped_environment_in_both_interfaces(interface: str) -> None:
    rows = {}
    for wrap in (plain, hundredfold, one_turn):
        env = wrap(gym.make(ENV, interface=interface, reward={"turn": -1}))
        rows[wrap] = logged("q_learning", env, env_turns=30, num_reports=1)
    check(rows)


@pytest.mark.parametrize("interface", ["choices", "text"])
@pytest.mark.parametrize("name", ["sb3_ppo", "sb3_dqn"])
def test_stable_baselines3_learns_from_the_wrapped_environment(name: str, interface: str) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("sb3_contrib")
    rows = {}
    small = {"sb3_ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 1}, "sb3_dqn": {"learning_starts": 1000}}[name]
    for wrap in (plain, hundredfold, one_turn):
        env = wrap(gym.make(ENV, interface=interface, reward={"turn": -1}))
        rows[wrap] = logged(name, env, env_turns=128, num_envs=2, num_reports=1, hidden=(8,), **small)
    check(rows)


@pytest.mark.parametrize("interface", ["choices", "text"])
def test_reinforce_learns_from_the_wrapped_environment(interface: str, tmp_path: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from .tiny_lm import echo_env, tiny_model, tiny_tokenizer

    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    settings = {"init": str(tmp_path / "tiny"), "env_turns": 16, "batch_conversations": 8, "max_reply_tokens": 3}
    echo_env()  # registers it
    rows = {}
    for wrap in (plain, hundredfold, one_turn):
        env = wrap(gym.make("TinyEcho-v0", interface=interface, reward={"turn": -1}))
        rows[wrap] = logged("reinforce", env, num_reports=1, **settings)
    check(rows)


def test_an_agent_that_cannot_have_the_wrapper_says_so() -> None:
    env = wrappers.FlattenObservation(gym.make(ENV, interface="choices"))
    with pytest.raises(ValueError, match=r"FlattenObservation\(\) changes what is seen or done"):
        score(DoNothingAgent(ENV), env, [("1", 1)])
    with pytest.raises(ValueError, match=r"FlattenObservation\(\) changes what is seen or done"):
        make_agent("q_learning", wrappers.FlattenObservation(gym.make(ENV, interface="text")))


def test_scores_are_those_of_the_wrapped_environment() -> None:
    goals = frozen_goals(ENV, count=6).goals
    scores = {}
    for wrap in (plain, hundredfold, one_turn):
        env = wrap(gym.make(ENV, interface="text", reward={"turn": -1}))
        scores[wrap] = score(DoNothingAgent(env), env, goals)
    assert (scores[plain].returns == -scores[plain].turns).all()
    assert scores[plain].turns.min() > 1
    assert (scores[hundredfold].returns == 100 * scores[plain].returns).all()
    assert scores[one_turn].turns.tolist() == [1] * 6


def test_a_saved_agent_remembers_what_was_put_around_its_environment(tmp_path: Any) -> None:
    env = wrappers.ClipReward(wrappers.TimeLimit(gym.make(ENV, interface="choices"), 3), -0.5, 0.5)
    make_agent("q_learning", wrappers.RecordEpisodeStatistics(env)).save(tmp_path / "agent")
    spec = load_agent(tmp_path / "agent").spec
    assert spec.max_episode_steps == 3
    assert [(one.name, one.kwargs["min_reward"]) for one in spec.additional_wrappers] == [("ClipReward", -0.5)]
    make_agent("q_learning", hundredfold(env)).save(tmp_path / "other")
    with pytest.raises(ValueError, match="an environment that no file can describe: pass env="):
        load_agent(tmp_path / "other")


def test_an_agent_of_a_vector_environment_is_loaded_for_a_single_one(tmp_path: Any) -> None:
    envs = gym.make_vec(ENV, num_envs=2, autoreset_mode="Disabled", max_episode_steps=3, noise=0.25)
    make_agent("q_learning", envs).save(tmp_path / "agent")
    spec = load_agent(tmp_path / "agent").spec
    assert (spec.max_episode_steps, spec.kwargs["noise"]) == (3, 0.25)
    assert "num_envs" not in spec.kwargs
    wrapped = gym.make_vec(ENV, num_envs=2, vectorization_mode="sync", wrappers=[hundredfold])
    make_agent("q_learning", wrapped).save(tmp_path / "other")
    with pytest.raises(ValueError, match="an environment that no file can describe: pass env="):
        load_agent(tmp_path / "other")
