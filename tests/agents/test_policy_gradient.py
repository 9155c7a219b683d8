"""REINFORCE, A2C and PPO: their losses against numbers worked by hand, and their chores."""

import dataclasses
import functools
import itertools
import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model import policy_gradient
from dialogym.agents.language_model.losses import policy_gradient_loss, reinforce_loss
from dialogym.agents.language_model.ppo import adapted_kl_weight, ppo_loss
from dialogym.agents.language_model.reinforce import turn_baseline
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.envs import remake_vec

from .test_sft import Interrupt, weights
from .tiny_lm import echo_env, tiny_model, tiny_tokenizer

NAMES = ["reinforce", "a2c", "ppo"]


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


def test_the_baseline_of_a_turn_is_the_mean_over_those_who_reached_it():
    baseline = turn_baseline(tensor([[4.0, 8.0], [2.0, 99.0]]), torch.tensor([[True, True], [True, False]]))
    assert baseline.tolist() == [3.0, 8.0]


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
    for loss_of in (lambda x: ppo_loss(x, old, advantages, 0.2), lambda x: reinforce_loss(x, advantages)):
        logprobs = old.clone().requires_grad_()
        loss_of(logprobs).backward()
        gradients.append(logprobs.grad)
    assert torch.allclose(*gradients)


@pytest.mark.parametrize(("kl", "weight"), [(0.05, 1.0), (0.055, 1.02), (0.5, 1.2), (0.045, 0.98), (0.0, 0.8)])
def test_the_kl_weight_follows_the_target_by_a_fifth_at_most(kl, weight):
    assert adapted_kl_weight(1.0, kl, target=0.05) == pytest.approx(weight)


# One update


def collected(folder, name="reinforce", **changed):
    agent = make_agent(name, echo_env(), **settings(folder, **changed))
    agent.begin()
    envs = remake_vec(echo_env(), 8, interface="text", autoreset_mode="Disabled")
    return agent, sample_episodes(agent.lm, envs, 3, seeds=list(range(8)), generator=torch.Generator().manual_seed(0))


def test_gradients_of_microbatches_add_up_to_that_of_the_whole(folder, monkeypatch):
    results = []
    for max_tokens in (10, 10_000):
        monkeypatch.setattr(policy_gradient, "MAX_TOKENS_AT_ONCE", max_tokens)
        agent, episodes = collected(folder)
        advantages = torch.arange(16.0).reshape(8, 2)
        microbatches = agent.microbatches(episodes, advantages)
        row = agent.step(microbatches, functools.partial(policy_gradient_loss, agent))
        results.append((len(microbatches), row, torch.cat([p.grad.flatten() for p in agent.lm.model.parameters()])))
    assert results[0][0] > 3 > 1 == results[1][0]
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-4)
    assert torch.allclose(results[0][2], results[1][2], atol=1e-6)


def test_the_advantage_of_a_token_is_that_of_its_turn(folder):
    agent, episodes = collected(folder)
    advantages = torch.arange(16.0).reshape(8, 2)
    by_ids = {}
    for microbatch in agent.microbatches(episodes, advantages):
        for number, row in enumerate(microbatch.batch.ids.tolist()):
            by_ids[tuple(row)] = microbatch.advantages[microbatch.batch.rows == number]
    for number, episode in enumerate(episodes):
        turns = [turn for turn, sampled in zip(episode.turns, episode.action_mask, strict=True) if sampled]
        found = [tokens for ids, tokens in by_ids.items() if list(ids[: len(episode.ids)]) == episode.ids]
        assert any(tokens.tolist() == advantages[number, turns].tolist() for tokens in found)


def test_a_longer_gradient_is_shortened(folder):
    agent, episodes = collected(folder, max_grad_norm=1e-3)
    row = agent.step(agent.microbatches(episodes, torch.ones(8, 2)), functools.partial(policy_gradient_loss, agent))
    assert row["grad_norm"] > 1e-3
    norms = [parameter.grad.norm() for parameter in agent.lm.model.parameters()]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_before_the_first_step_the_ratio_is_one_and_the_kl_zero(folder):
    agent, episodes = collected(folder, "ppo", num_epochs=1, minibatch_size=8, sampling_temperature=1.0)
    row = agent.update(episodes, random.Random(0))
    assert row["clipped"] == 0.0
    assert row["kl"] == pytest.approx(0.0, abs=1e-6)
    assert row["loss"] == pytest.approx(0.0, abs=0.3)  # minus the mean of normalised advantages, over tokens
    again = agent.update(episodes, random.Random(0))
    assert again["kl"] > 0


def test_minibatches_hold_every_conversation_once(folder):
    agent, episodes = collected(folder, "ppo", minibatch_size=3)
    minibatches = agent._minibatches(episodes, torch.zeros(8, 2), random.Random(0))
    assert [sum(len(one.batch.num_turns) for one in microbatches) for microbatches in minibatches] == [3, 3, 2]
    tokens = sorted(one.batch.old_logprobs.sum().item() for microbatches in minibatches for one in microbatches)
    assert sum(tokens) == pytest.approx(sum(sum(episode.logprobs) for episode in episodes), rel=1e-5)


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
def test_the_tokens_of_the_budget_are_those_learned_from_once_for_every_pass(name, passes, folder):
    epochs = {"num_epochs": passes} if name == "ppo" else {}
    agent = make_agent(name, echo_env(), **settings(folder, **epochs))
    lengths, update = [], agent.update

    def counted(episodes, rng):
        lengths.extend(len(episode.ids) for episode in episodes)
        return update(episodes, rng)

    agent.update = counted
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
    for weight in (0.0, 100.0):
        rows = []
        agent = make_agent("ppo", echo_env(), **settings(folder, learning_rate=1e-2, env_turns=200, kl_weight=weight))
        agent.learn(echo_env(), log=rows.append)
        kls[weight] = rows[-1]["kl"]
    assert kls[100.0] < 0.2 * kls[0.0]


def test_random_weights_have_nothing_to_be_held_to(tmp_path):
    agent = make_agent("ppo", echo_env(), **settings(None, env_turns=1, num_reports=1, batch_conversations=2))
    rows = []
    agent.learn(echo_env(), log=rows.append)
    assert "kl" not in rows[0]


def test_conversations_of_a_group_are_about_one_goal(folder):
    agent = make_agent("reinforce", echo_env(), **settings(folder, group_size=4))
    envs = remake_vec(echo_env(), 8, interface="text", autoreset_mode="Disabled")
    agent._sample_episodes(envs, random.Random(0))
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
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
        ({"sampling_temperature": 0.0}, "sampling_temperature must be above 0, got 0.0"),
        ({"group_size": 4, "gamma": 0.9}, "gamma must be 1 where group_size is above 1, got 0.9"),
        ({"group_size": 3}, r"group_size must be at least 1 and divide batch_conversations \(128\), got 3"),
    ],
)
def test_a_wrong_setting_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        make_agent("ppo", echo_env(), **config)


def test_checkpoints_are_whole_agents(folder, tmp_path):
    agent = make_agent("ppo", echo_env(), **settings(folder))
    scores = itertools.count()
    agent.learn(echo_env(), checkpoint=tmp_path / "run", validate=lambda agent: float(next(scores)))
    for name in ("best", "last"):
        again = load_agent(tmp_path / "run" / name, echo_env())
        assert torch.equal(weights(again), weights(agent))
