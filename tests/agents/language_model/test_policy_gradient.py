"""REINFORCE, A2C and PPO: their losses against numbers worked by hand, and their chores."""

import dataclasses
import functools
import itertools
import math
import random
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model.a2c import actor_loss
from dialogym.agents.language_model.ppo import KLWeight, ppo_loss
from dialogym.agents.language_model.reinforce import reinforce_loss
from dialogym.agents.language_model.rollout import collect
from dialogym.envs import remake_vec

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer
from .test_sft import Interrupt, weights

NAMES = ["reinforce", "a2c", "ppo", "grpo", "rloo"]


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def settings(folder, **changed):
    return {
        "init": folder,
        "env_turns": 60,
        "batch_conversations": 8,
        "max_reply_tokens": 3,
        "num_reports": 3,
        **changed,
    }


def tensor(values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


# Losses


def test_the_reinforce_loss_and_its_gradient_worked_by_hand():
    logprobs = tensor([-1.0, -2.0, -0.5], requires_grad=True)
    loss = reinforce_loss(logprobs, tensor([3.0, -1.0, 2.0]))
    loss.backward()
    assert loss.item() == pytest.approx((3 - 2 + 1) / 3)
    assert logprobs.grad.tolist() == pytest.approx([-1.0, 1 / 3, -2 / 3])


def test_the_ppo_loss_and_its_gradient_worked_by_hand():
    old = tensor([0.5, 0.5, 0.5, 0.5]).log()
    logprobs = tensor([0.55, 0.75, 0.75, 0.25]).log().requires_grad_()
    # ratios 1.1, 1.5, 1.5, 0.5 with advantages 2, 2, -2, -2: the second and the last are clipped, to 1.2 and 0.8
    loss = ppo_loss(logprobs, old, tensor([2.0, 2.0, -2.0, -2.0]), clip=0.2)
    loss.backward()
    assert loss.item() == pytest.approx(-(2.2 + 2.4 - 3.0 - 1.6) / 4)
    assert logprobs.grad.tolist() == pytest.approx([-2.2 / 4, 0.0, 3.0 / 4, 0.0])


def test_at_the_old_policy_ppo_has_the_gradient_of_reinforce():
    old, advantages = tensor([-1.0, -2.0, -0.5]), tensor([3.0, -1.0, 2.0])
    gradients = []
    for loss_of in (functools.partial(ppo_loss, old_logprobs=old, clip=0.2), reinforce_loss, actor_loss):
        logprobs = old.clone().requires_grad_()
        loss_of(logprobs, advantages=advantages).backward()
        gradients.append(logprobs.grad)
    assert torch.allclose(gradients[0], gradients[1])
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize(("kl", "weight"), [(0.05, 1.0), (0.055, 1.02), (0.5, 1.2), (0.045, 0.98), (0.0, 0.8)])
def test_the_kl_weight_follows_the_target_by_a_fifth_at_most(kl, weight):
    penalty = KLWeight(1.0, target=0.05)
    penalty.adapt(kl)
    assert penalty.value == pytest.approx(weight)
    resumed = KLWeight(7.0, target=0.05)
    resumed.load_state_dict(penalty.state_dict())
    assert resumed.value == penalty.value
    fixed = KLWeight(1.0)
    fixed.adapt(kl)
    assert fixed.value == 1.0


# One update


def test_before_the_first_step_the_ratio_is_one_and_the_kl_zero(folder):
    rows = []
    agent = make_agent("ppo", echo_env(), **settings(folder, num_epochs=1, minibatch_size=8, learning_rate=5e-2))
    agent.learn(echo_env(), log=rows.append)
    assert rows[0]["clipped"] == 0.0
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert rows[0]["loss"] == pytest.approx(0.0, abs=0.3)  # minus the mean of normalised advantages, over tokens
    assert max(row["kl"] for row in rows) > 1e-5


# Training


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(name, folder, tmp_path):
    def trained(**options):
        agent = make_agent(name, echo_env(), **settings(folder, learning_rate=1e-2))
        agent.learn(echo_env(), **options)
        return agent

    whole = trained()
    interrupt = Interrupt(after=3)
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path / "run", log=interrupt)
    rows = []
    again = trained(checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert 16 < rows[0]["env_turns"] <= interrupt.rows[-1]["env_turns"] + 16
    assert torch.equal(weights(whole), weights(again))
    assert dataclasses.replace(whole.budget, seconds=0.0) == dataclasses.replace(again.budget, seconds=0.0)
    assert load_agent(tmp_path / "run" / "last", echo_env()).budget.env_turns == again.budget.env_turns


@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_kept_and_every_update_is_logged(name, folder):
    rows = []
    agent = make_agent(name, echo_env(), **settings(folder))
    agent.learn(echo_env(), log=rows.append)
    assert [row["env_turns"] for row in rows] == [16, 32, 48, 64]  # two turns in each of eight conversations
    assert agent.budget.env_turns == 64
    for row in rows:
        assert 0 <= row["success"] <= 1
        assert 0 <= row["return"] <= 2
    assert rows[-1]["progress"] == 1.0


@pytest.mark.parametrize(("name", "passes"), [("reinforce", 1), ("a2c", 1), ("ppo", 3)])
def test_the_tokens_of_the_budget_are_those_learned_from_once_for_every_pass(name, passes, folder, monkeypatch):
    epochs = {"num_epochs": passes} if name == "ppo" else {}
    agent = make_agent(name, echo_env(), **settings(folder, **epochs))
    module, lengths = sys.modules[type(agent).__module__], []

    def counted(*arguments, **options):
        episodes = collect(*arguments, **options)
        lengths.extend(len(episode.ids) for episode in episodes)
        return episodes

    monkeypatch.setattr(module, "collect", counted)
    agent.learn(echo_env())
    assert len(lengths) == 4 * 8
    assert agent.budget.tokens == passes * sum(lengths)


def test_the_agent_that_validated_best_is_kept_the_first_one_included(folder):
    scores = iter([0.9, 0.1, 0.2, 0.3])
    agent = make_agent("ppo", echo_env(), **settings(folder, learning_rate=1e-2))
    before = weights(agent).clone()
    rows = []
    agent.learn(echo_env(), validate=lambda agent: next(scores), log=rows.append)
    assert [row["validation"] for row in rows if "validation" in row] == [0.1, 0.2, 0.3]
    assert torch.equal(weights(agent), before)


def test_any_score_is_better_than_one_that_is_no_number(folder):
    scores = iter([math.nan, 0.1, math.nan, math.nan])
    seen = []

    def validate(agent):
        seen.append(weights(agent).clone())
        return next(scores)

    agent = make_agent("ppo", echo_env(), **settings(folder, learning_rate=1e-2))
    agent.learn(echo_env(), validate=validate)
    assert torch.equal(weights(agent), seen[1])
    assert not torch.equal(seen[1], seen[0])


@pytest.mark.parametrize("name", ["a2c", "ppo"])
def test_a_critic_that_learned_in_groups_says_nothing_of_one_conversation(name, folder, tmp_path):
    _, info = echo_env().reset(seed=0)
    found = []
    for group_size in (1, 2):
        agent = make_agent(name, echo_env(), **settings(folder, env_turns=16, group_size=group_size))
        agent.learn(echo_env())
        agent.save(tmp_path / str(group_size))
        agents = agent, load_agent(tmp_path / str(group_size), echo_env())
        found.append([one.value_batch([""], [info]) for one in agents])
    (alone, loaded), in_groups = found
    assert alone == pytest.approx(loaded)  # it is saved with its agent
    assert alone != [0.0]
    assert in_groups == [None, None]


def test_training_twice_from_a_seed_gives_the_same_weights_and_another_seed_others(folder):
    found = []
    for seed in (0, 0, 1):
        agent = make_agent("ppo", echo_env(), seed, **settings(folder, learning_rate=1e-2))
        agent.learn(echo_env())
        found.append(weights(agent))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_kl_penalty_holds_the_policy_to_where_it_started(folder):
    kls = {}
    for weight in (1e-9, 100.0):
        rows = []
        agent = make_agent("ppo", echo_env(), **settings(folder, learning_rate=1e-2, env_turns=200, kl_weight=weight))
        agent.learn(echo_env(), log=rows.append)
        kls[weight] = rows[-1]["kl"]
        assert {row["kl_weight"] for row in rows} == {weight}
    assert kls[100.0] < 0.2 * kls[1e-9]


def test_without_a_weight_there_is_no_reference(folder):
    rows = []
    agent = make_agent("ppo", echo_env(), **settings(folder, env_turns=40, kl_weight=0.0))
    agent.learn(echo_env(), log=rows.append)
    assert not {"kl", "kl_weight"} & set(rows[0])


def test_the_kl_weight_of_a_training_follows_its_target(folder):
    rows = []
    options = {"learning_rate": 1e-2, "env_turns": 200, "kl_weight": 1e-3, "kl_target": 1e-5}
    agent = make_agent("ppo", echo_env(), **settings(folder, **options))
    agent.learn(echo_env(), log=rows.append)
    weights_taken = [row["kl_weight"] for row in rows]
    assert weights_taken[-1] > 1.4 * options["kl_weight"]


def test_random_weights_have_nothing_to_be_held_to(tmp_path):
    agent = make_agent("ppo", echo_env(), **settings(None, env_turns=1, num_reports=1, batch_conversations=2))
    rows = []
    agent.learn(echo_env(), log=rows.append)
    assert "kl" not in rows[0]


def test_conversations_of_a_group_are_about_one_goal(folder):
    agent = make_agent("reinforce", echo_env(), **settings(folder, group_size=4))
    envs = remake_vec(echo_env(), 8, interface="text", autoreset_mode="Disabled")
    episodes = collect(agent.lm, envs, agent.config, random.Random(0))
    assert [episode.group for episode in episodes] == [0] * 4 + [1] * 4
    groups = [set(envs.goal_ids[:4]), set(envs.goal_ids[4:])]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[0] != groups[1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"env_turns": 0}, "env_turns must be at least 1, got 0"),
        ({"batch_conversations": 1}, "batch_conversations must be at least 2, got 1"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"minibatch_size": 0}, "minibatch_size must be at least 1, got 0"),
        ({"kl_target": 0.0}, "kl_target must be above 0 or None, got 0.0"),
        ({"kl_target": 0.1, "kl_weight": 0.0}, "kl_weight must be above 0 for kl_target to change it, got 0"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
        ({"sampling_temperature": 0.0}, "sampling_temperature must be above 0, got 0.0"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0, got 0.0"),
        ({"lam": 95}, r"lam must be in \[0, 1\], got 95"),
        ({"clip": 0.0}, "clip must be above 0, got 0.0"),
        ({"kl_weight": -1.0}, "kl_weight must be at least 0, got -1.0"),
        ({"reward_scale": -0.1}, "reward_scale must be above 0, got -0.1"),
        ({"entropy_weight": -0.1}, "entropy_weight must be at least 0, got -0.1"),
        ({"value_steps": -1}, "value_steps must be at least 0, got -1"),
        ({"value_learning_rate": float("nan")}, "value_learning_rate must be above 0, got nan"),
        ({"group_size": 3}, r"group_size must be at least 1 and divide batch_conversations \(128\), got 3"),
    ],
)
def test_a_wrong_setting_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        make_agent("ppo", echo_env(), **config)


def test_a_wrong_setting_of_a2c_is_named():
    with pytest.raises(ValueError, match=r"lam must be in \[0, 1\], got -0.5"):
        make_agent("a2c", echo_env(), lam=-0.5)


def test_checkpoints_are_whole_agents(folder, tmp_path):
    agent = make_agent("ppo", echo_env(), **settings(folder))
    scores = itertools.count()
    agent.learn(echo_env(), checkpoint=tmp_path / "run", validate=lambda agent: float(next(scores)))
    for name in ("best", "last"):
        again = load_agent(tmp_path / "run" / name, echo_env())
        assert torch.equal(weights(again), weights(agent))
