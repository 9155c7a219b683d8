"""stable-baselines3's algorithms as agents: they learn, stop, go on, and load."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from stable_baselines3 import PPO

from dialogym.agents import sb3
from dialogym.agents.registry import agent_class
from dialogym.agents.sb3 import SB3A2CAgent, SB3Agent, SB3DQNAgent, SB3MaskablePPOAgent, SB3PPOAgent, many_of
from dialogym.envs.core.sb3 import SB3VecEnv

from .tiny import Bandit, Chain

ENV = "dialogym:TextDialog-v0"
KINDS = [SB3PPOAgent, SB3A2CAgent, SB3DQNAgent, SB3MaskablePPOAgent]
SMALL: dict[type, dict[str, Any]] = {
    SB3PPOAgent: {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
    SB3A2CAgent: {},
    SB3DQNAgent: {"learning_starts": 32, "batch_size": 16, "buffer_size": 500},
    SB3MaskablePPOAgent: {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(kind: type[SB3Agent], env: Any = ENV, seed: int = 0, **fields: Any) -> SB3Agent:
    values = {"env_turns": 128, "num_envs": 4, "num_reports": 2, "hidden": (16,), **SMALL[kind], **fields}
    return kind(env, seed=seed, config=kind.Config(**values))


def weights(agent: SB3Agent) -> list[np.ndarray]:
    return [parameter.detach().numpy().copy() for parameter in agent.model.policy.parameters()]


def alike(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


def interrupt(row: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_logs_and_counts(kind: type[SB3Agent]) -> None:
    agent = small(kind)
    before, rows = weights(agent), []
    agent.learn(gym.make(ENV, interface="text"), log=rows.append)  # any interface
    assert not alike(before, weights(agent))
    assert [row["env_turns"] for row in rows] == sorted({row["env_turns"] for row in rows})
    assert rows[-1]["env_turns"] == agent.budget.env_turns == agent.model.num_timesteps >= 128
    assert rows[-1]["progress"] == 1.0
    assert all(0 <= row["success"] <= 1 for row in rows)
    assert all(-20 <= row["return"] <= 20 for row in rows)
    assert agent.budget.seconds > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_loads_and_acts_alike(kind: type[SB3Agent], tmp_path: Path) -> None:
    agent = small(kind, seed=3)
    agent.learn(ENV)
    agent.save(tmp_path)
    again = kind.load(tmp_path)
    assert alike(weights(agent), weights(again))
    assert (again.config, again.seed, again.budget) == (agent.config, agent.seed, agent.budget)
    env = gym.make(ENV)
    observation, info = env.reset(seed=0)
    assert again.act(observation, info) == agent.act(observation, info)


@pytest.mark.parametrize("kind", KINDS)
def test_acting_on_a_batch_is_acting_on_each(kind: type[SB3Agent]) -> None:
    agent = small(kind)
    envs = gym.make_vec(ENV, num_envs=6, vectorization_mode="vector_entry_point")
    observations, infos = envs.reset(seed=0)
    rows = [{"action_mask": mask} for mask in infos["action_mask"]]
    together = agent.act_batch(list(observations), rows)
    assert together == [agent.act(*pair) for pair in zip(observations, rows, strict=True)]
    assert all(type(action) is int for action in together)


def test_maskable_ppo_never_chooses_what_makes_no_sense() -> None:
    agent = small(SB3MaskablePPOAgent, deterministic=False)
    observation = gym.make(ENV).reset(seed=0)[0]
    mask = np.zeros(agent.model.action_space.n, dtype=np.int8)
    mask[[3, 7]] = 1
    assert set(agent.act_batch([observation] * 100, [{"action_mask": mask}] * 100)) == {3, 7}


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_goes_on_where_it_stopped(kind: type[SB3Agent], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []

    def stop(row: dict[str, Any]) -> None:
        rows.append(row)
        raise KeyboardInterrupt

    halted = small(kind)
    with pytest.raises(KeyboardInterrupt):
        halted.learn(ENV, log=stop, checkpoint=tmp_path)
    turns = halted.budget.env_turns
    assert 0 < turns < 128
    assert alike(weights(kind.load(tmp_path / "last")), weights(halted))

    resumed = small(kind)
    resumed.learn(ENV, log=rows.append, checkpoint=tmp_path, resume=True)
    assert rows[1]["env_turns"] > turns
    assert resumed.budget.env_turns == resumed.model.num_timesteps >= 128
    assert resumed.budget.env_turns < 128 + turns  # it did not start anew
    assert alike(weights(kind.load(tmp_path / "last")), weights(resumed))


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_from_a_seed_gives_the_same_weights_and_another_seed_others(kind: type[SB3Agent]) -> None:
    found = []
    for seed in (0, 0, 1):
        agent = small(kind, seed=seed)
        agent.learn(ENV)
        found.append(weights(agent))
    assert alike(found[0], found[1])
    assert not alike(found[0], found[2])


def test_no_run_has_the_conversations_of_another_nor_its_own_again_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[Any] = []
    reset = SB3VecEnv.reset

    def noted(envs: SB3VecEnv) -> np.ndarray:
        seeds.extend(envs._seeds)
        return reset(envs)

    monkeypatch.setattr(SB3VecEnv, "reset", noted)
    for seed in range(3):
        with pytest.raises(KeyboardInterrupt):
            small(SB3PPOAgent, seed=seed).learn(ENV, log=interrupt, checkpoint=tmp_path / str(seed))
        small(SB3PPOAgent, seed=seed).learn(ENV, checkpoint=tmp_path / str(seed), resume=True)
    assert None not in seeds
    assert len(set(seeds)) == len(seeds) == 3 * 2 * 4


def test_the_checkpoint_of_another_algorithm_is_not_gone_on_with(tmp_path: Path) -> None:
    small(SB3PPOAgent).learn(ENV, checkpoint=tmp_path)
    with pytest.raises(
        ValueError, match=r"expected a checkpoint of an agent 'sb3_maskable_ppo' in .*, got one of 'sb3_ppo'"
    ):
        small(SB3MaskablePPOAgent).learn(ENV, checkpoint=tmp_path, resume=True)


ROLLOUT_UPDATES = 2  # of 32 turns, with the settings of SB3PPOAgent in SMALL: its epochs


def test_a_checkpoint_has_learned_from_all_the_turns_that_it_counts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        small(SB3PPOAgent).learn(ENV, log=interrupt, checkpoint=tmp_path)
    left = PPO.load(tmp_path / "last" / "model.zip")
    assert (left.num_timesteps, left._n_updates) == (64, 2 * ROLLOUT_UPDATES)
    resumed = small(SB3PPOAgent)
    resumed.learn(ENV, checkpoint=tmp_path, resume=True)
    assert (resumed.model.num_timesteps, resumed.model._n_updates) == (128, 4 * ROLLOUT_UPDATES)


def test_a_rollout_that_was_interrupted_is_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, steps = SB3VecEnv.step_wait, [0]

    def interrupted(envs: SB3VecEnv) -> Any:
        steps[0] += 1
        if steps[0] == 13:  # of four turns each: eight to a rollout, so this is in the second
            raise KeyboardInterrupt
        return step(envs)

    monkeypatch.setattr(SB3VecEnv, "step_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(SB3PPOAgent).learn(ENV, checkpoint=tmp_path)
    left = PPO.load(tmp_path / "last" / "model.zip")
    assert (left.num_timesteps, left._n_updates) == (32, ROLLOUT_UPDATES)
    resumed = small(SB3PPOAgent)
    resumed.learn(ENV, checkpoint=tmp_path, resume=True)
    assert (resumed.model.num_timesteps, resumed.model._n_updates) == (128, 4 * ROLLOUT_UPDATES)
    assert resumed.budget.env_turns == 128 + 16  # all that were played


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_that_was_interrupted_is_made_up_for(kind: type[SB3Agent], number: int, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []

    def validate(agent: Any) -> float:
        if len(rows) == number - 1:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        small(kind).learn(ENV, validate=validate, log=rows.append, checkpoint=tmp_path)
    resumed = small(kind)
    resumed.learn(ENV, validate=lambda agent: 0.7, log=rows.append, checkpoint=tmp_path, resume=True)
    assert [row["validation"] for row in rows] == [0.5] * (number - 1) + [0.7] * (3 - number)
    assert [row["env_turns"] for row in rows] == sorted({row["env_turns"] for row in rows})
    assert rows[-1]["progress"] == 1.0
    assert all(row["success"] >= 0 for row in rows)  # of the conversations before the interrupt
    assert alike(weights(resumed), weights(kind.load(tmp_path / "best")))


def test_a_training_that_was_over_is_not_done_again(tmp_path: Path) -> None:
    agent = small(SB3PPOAgent)
    agent.learn(ENV, checkpoint=tmp_path)
    again = small(SB3PPOAgent)
    again.learn(ENV, checkpoint=tmp_path, resume=True)
    assert alike(weights(again), weights(agent))
    assert again.budget.env_turns == agent.budget.env_turns


def test_the_agent_that_validated_best_is_the_one_that_stays(tmp_path: Path) -> None:
    seen: list[list[np.ndarray]] = []

    def validate(agent: Any) -> float:
        seen.append(weights(agent))
        return [0.5, 0.2][len(seen) - 1]

    agent = small(SB3A2CAgent, env_turns=256)
    agent.learn(ENV, validate=validate, checkpoint=tmp_path)
    assert len(seen) == 2
    assert alike(weights(agent), seen[0])
    assert alike(weights(SB3A2CAgent.load(tmp_path / "last")), seen[1])


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_seconds_of_validation_are_not_counted(interrupted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]  # which only validation moves on
    monkeypatch.setattr(sb3.time, "perf_counter", lambda: clock[0])

    def validate(agent: Any) -> float:
        clock[0] += 100.0
        if interrupted:
            raise KeyboardInterrupt
        return 0.0

    agent = small(SB3PPOAgent)
    with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
        agent.learn(ENV, validate=validate)
    assert (clock[0], agent.budget.seconds) == (100.0 if interrupted else 200.0, 0.0)


def length(transcript: Any) -> float:
    return 0.25 * transcript.turn


@pytest.mark.parametrize("reward", ["bounded", "pydial", length, {"turn": -2.0}])
def test_it_learns_from_the_whole_reward_of_the_environment(reward: Any) -> None:
    env = gym.make(ENV, reward=reward)
    env.reset(seed=0)
    paid = env.step(0)[1]
    envs = many_of(env, SB3PPOAgent.Config(num_envs=2))
    envs.reset()
    assert envs.step(np.zeros(2, dtype=np.int64))[1].tolist() == pytest.approx([paid, paid])


def test_the_log_says_what_conversations_returned() -> None:
    rows: list[dict[str, Any]] = []
    env = gym.make(ENV, reward="pydial")
    small(SB3PPOAgent, env).learn(env, log=rows.append)
    for row in rows:
        assert row["return"] == pytest.approx(20 * row["success"] - row["turns"])


@pytest.mark.parametrize("kind", [SB3PPOAgent, SB3MaskablePPOAgent])
def test_it_learns_a_chain_of_two_steps(kind: type[SB3Agent]) -> None:
    # going on twice returns 9; an untrained policy stays half of the time
    for seed in range(3):
        agent = small(kind, Masked(), seed=seed, env_turns=2000, n_steps=64, batch_size=64, n_epochs=10)
        agent.learn(Masked())
        assert agent.act(np.array([0]), {}) == agent.act(np.array([1]), {}) == 1


class Masked(Chain):
    """The chain, with the method that MaskablePPO looks for."""

    def action_masks(self) -> np.ndarray:
        return np.ones(2, dtype=bool)


def test_stable_baselines3_trains_on_the_environment_with_no_adapter() -> None:
    model = PPO("MlpPolicy", gym.make(ENV), n_steps=32, batch_size=32, n_epochs=1, device="cpu")
    model.learn(64)
    assert model.num_timesteps == 64


def test_an_environment_of_another_make_is_one_conversation() -> None:
    agent = small(SB3A2CAgent, Bandit(), env_turns=600)
    rows: list[dict[str, Any]] = []
    agent.learn(Bandit(payoffs=(0.0, 1.0, 0.2, -5.0)), log=rows.append)
    assert agent.model.n_envs == 1
    assert rows[-1]["return"] > 0.2  # -0.95 for a random policy


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        SB3PPOAgent.Config(num_envs=0)
    for kind, name in ((SB3PPOAgent, "n_steps"), (SB3A2CAgent, "n_steps"), (SB3DQNAgent, "batch_size")):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            kind.Config(**{name: 0})


def test_a_batch_that_advantages_cannot_be_normalised_over_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        SB3PPOAgent.Config(batch_size=1)
    with pytest.raises(ValueError, match="n_steps times num_envs must be at least 2, got 1"):
        SB3PPOAgent.Config(n_steps=1, num_envs=1)


@pytest.mark.parametrize("hidden", [64, "64", [64, 0], [64.5], [True]])
def test_layers_that_are_no_list_of_widths_are_refused(hidden: Any) -> None:
    with pytest.raises(ValueError, match=r"hidden must be a list of widths, such as \[64, 64\], got"):
        SB3PPOAgent.Config(hidden=hidden)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("sb3_ppo", "gamma", 99.0), ("sb3_a2c", "gae_lambda", -0.1), ("sb3_dqn", "exploration_final_eps", 5.0)],
)
def test_a_share_beyond_one_is_refused(name: str, option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be in \[0, 1\], got {value}"):
        agent_class(name).Config(**{option: value})


def test_an_agent_of_other_replies_is_refused_though_it_has_as_many(tmp_path: Path) -> None:
    rows = [{"text": f"text number {number}", "label": "abc"[number % 3]} for number in range(60)]
    other = [{**row, "label": {"a": "z"}.get(row["label"], row["label"])} for row in rows]
    made, another = (gym.make("TextClassification-v0", data=data, interface="choices") for data in (rows, other))
    agent_class("sb3_ppo")(made).save(tmp_path)
    agent_class("sb3_ppo").load(tmp_path, made)
    with pytest.raises(ValueError, match="'b' among them, got one with 'a' in its place"):
        agent_class("sb3_ppo").load(tmp_path, another)
