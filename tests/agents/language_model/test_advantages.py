"""Returns and advantages, against numbers worked by hand."""

import pytest

pytest.importorskip("torch")

import torch

from dialogym.agents.language_model.advantages import (
    discounted_returns,
    gae,
    group_normalised,
    leave_one_out,
    normalised,
    others_mean,
    scaled,
    turn_baseline,
)
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.critic import ValueHead, estimate_advantages, fit_critic


def test_returns_discount_what_comes_later():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 0.0]])
    expected = torch.tensor([[1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4.0], [3 + 0.5 * 5, 5.0, 0.0]])
    assert torch.equal(discounted_returns(rewards, gamma=0.5), expected)


def test_advantages_of_two_turns_worked_by_hand():
    # delta_1 = 2 - 3 = -1; delta_0 = 1 + 0.9 * 3 - 2 = 1.7; A_0 = 1.7 + 0.9 * 0.5 * -1 = 1.25
    advantages = gae(
        rewards=torch.tensor([[1.0, 2.0]]),
        values=torch.tensor([[2.0, 3.0]]),
        num_turns=torch.tensor([2]),
        bootstrap=torch.tensor([0.0]),
        gamma=0.9,
        lam=0.5,
    )
    assert torch.allclose(advantages, torch.tensor([[1.25, -1.0]]))


def test_a_cut_conversation_is_bootstrapped():
    # delta_1 = 2 + 0.9 * 10 - 3 = 8; A_0 = 1.7 + 0.45 * 8 = 5.3
    advantages = gae(
        torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 3.0]]), torch.tensor([2]), torch.tensor([10.0]), 0.9, 0.5
    )
    assert torch.allclose(advantages, torch.tensor([[5.3, 8.0]]))


def test_what_stands_after_the_last_turn_does_not_matter():
    rewards, values = torch.tensor([[1.0, 2.0, 0.0, 0.0]]), torch.tensor([[2.0, 3.0, 77.0, -5.0]])
    advantages = gae(rewards, values, torch.tensor([2]), torch.tensor([0.0]), 0.9, 0.5)
    assert torch.allclose(advantages, torch.tensor([[1.25, -1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("bootstrap", [0.0, 4.0])
def test_with_lambda_one_the_advantage_is_the_return_less_the_value(bootstrap):
    rewards, values = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[0.5, 1.5, -1.0]])
    advantages = gae(rewards, values, torch.tensor([3]), torch.tensor([bootstrap]), 0.9, 1.0)
    rewards[0, -1] += 0.9 * bootstrap
    assert torch.allclose(advantages, discounted_returns(rewards, 0.9) - values)


def test_the_baseline_of_a_turn_is_the_mean_over_those_who_reached_it():
    baseline = turn_baseline(torch.tensor([[4.0, 8.0], [2.0, 99.0]]), torch.tensor([[True, True], [True, False]]))
    assert baseline.tolist() == [3.0, 8.0]


RETURNS, GROUP = torch.tensor([1.0, 4.0, 7.0, 2.0, 6.0, 9.0]), torch.tensor([0, 0, 0, 1, 1, 2])


def test_each_is_compared_with_the_mean_of_the_others_of_its_group():
    assert others_mean(RETURNS, GROUP).tolist() == [5.5, 4.0, 2.5, 6.0, 2.0, 0.0]
    assert leave_one_out(RETURNS, GROUP).tolist() == [-4.5, 0.0, 4.5, -4.0, 4.0, 0.0]  # the last has nobody


def test_groups_need_not_stand_together():
    order = torch.tensor([5, 2, 4, 0, 3, 1])
    assert torch.equal(leave_one_out(RETURNS[order], GROUP[order]), leave_one_out(RETURNS, GROUP)[order])


def test_group_normalised_returns_worked_by_hand():
    # 1, 4, 7: mean 4, standard deviation 3; 2, 6: mean 4, standard deviation sqrt(8)
    expected = torch.tensor([-1.0, 0.0, 1.0, -(0.5**0.5), 0.5**0.5, 0.0])
    assert torch.allclose(group_normalised(RETURNS, GROUP), expected, atol=1e-4)
    assert group_normalised(RETURNS, GROUP, by_std=False).tolist() == [-3.0, 0.0, 3.0, -2.0, 2.0, 0.0]


def test_without_the_standard_deviation_the_group_normalised_are_leave_one_out_shortened_by_one_nth():
    group = torch.arange(4).repeat_interleave(8)
    returns = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(group_normalised(returns, group, by_std=False), leave_one_out(returns, group) * 7 / 8)


def test_a_group_that_returned_the_same_has_no_advantage():
    returns, group = torch.tensor([3.1, 3.1, 3.1, 1.0, 2.0]), torch.tensor([0, 0, 0, 1, 1])
    for advantages in (leave_one_out(returns, group), group_normalised(returns, group)):
        assert advantages[:3].abs().max() < 1e-2


def test_turns_are_compared_with_the_same_turn_of_those_who_reached_it():
    returns = torch.tensor([[1.0, 5.0, 8.0], [3.0, 7.0, 0.0], [5.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    group = torch.tensor([0, 0, 0])
    assert leave_one_out(returns, group, mask).tolist() == [[-3.0, -2.0, 0.0], [0.0, 2.0, 0.0], [3.0, 0.0, 0.0]]
    assert group_normalised(returns, group, mask, by_std=False).tolist() == [[-2, -1, 0], [0, 1, 0], [2, 0, 0]]


def test_advantages_are_scaled_by_the_turns_that_took_place():
    advantages = scaled(torch.tensor([[1.0, 3.0], [5.0, 100.0]]), torch.tensor([[True, True], [True, False]]))
    assert torch.allclose(advantages[[0, 0, 1], [0, 1, 0]], torch.tensor([0.5, 1.5, 2.5]), atol=1e-5)


def critic_of(weights):
    critic = ValueHead(len(weights))
    with torch.no_grad():
        critic.linear.weight.copy_(torch.tensor([weights]))
    return critic


def batch_of(states, next_states, rewards, num_turns, truncated, group=None, num_later_turns=0):
    rewards, empty = torch.tensor(rewards), torch.zeros(len(num_turns), 0)
    return Batch(
        ids=empty, action_mask=empty.bool(), lengths=empty, turns=empty, sampled_logprobs=empty, old_logprobs=empty,
        reference_logprobs=empty, weights=empty, states=torch.tensor(states), next_states=torch.tensor(next_states),
        rewards=rewards, advantages=torch.zeros_like(rewards), num_turns=torch.tensor(num_turns),
        truncated=torch.tensor(truncated), group=torch.tensor(group or list(range(len(num_turns)))),
        num_later_turns=torch.full((len(num_turns),), num_later_turns),
    )  # fmt: skip


def test_the_critic_looks_past_the_turn_limit_and_not_past_the_end():
    batch = batch_of(
        states=[[[1.0], [2.0]], [[1.0], [2.0]]],
        next_states=[[5.0], [5.0]],
        rewards=[[10.0, 10.0], [10.0, 10.0]],
        num_turns=[2, 2],
        truncated=[True, False],
    )
    found = estimate_advantages(critic_of([1.0]), batch, reward_scale=0.1, gamma=1.0, lam=0.0)
    # one step: 0.1 * 10 + V' - V, with V = 1, 2 and V' = 5 where it was cut, 0 where it was over
    assert torch.allclose(found.advantages, torch.tensor([[2.0, 4.0], [2.0, -1.0]]))
    assert torch.allclose(found.targets, torch.tensor([[3.0, 6.0], [3.0, 1.0]]))


def test_what_the_critic_says_of_the_rest_is_discounted_by_the_turns_that_came_before_it():
    batch = batch_of(
        [[[1.0]] + [[0.0]] * 2], [[8.0]], [[0.0, 0.0, 0.0]], num_turns=[1], truncated=[True], num_later_turns=2
    )
    found = estimate_advantages(critic_of([1.0]), batch, reward_scale=1.0, gamma=0.5, lam=1.0)
    assert found.targets[:, 0].tolist() == [0.5**3 * 8.0]


def test_later_rewards_belong_discounted_to_the_last_turn_that_is_learned_from():
    batch = batch_of(
        [[[1.0], [2.0], [0.0], [0.0]]], [[0.0]], [[5.0, 7.0, 8.0, 4.0]], [2], truncated=[False], num_later_turns=2
    )
    found = estimate_advantages(critic_of([1.0]), batch, reward_scale=1.0, gamma=0.5, lam=0.0)
    # the last turn: 7 + 0.5 * 8 + 0.25 * 4 = 12, less V = 2; the one before: 5 + 0.5 * 2 - 1
    assert found.advantages.tolist() == [[5.0, 10.0, 0.0, 0.0]]


def test_the_critic_learns_what_stands_out_from_the_group():
    # returns 20 and 50 in one group: each is compared with the other's, and V = 1, 2 is on top of that
    batch = batch_of(
        states=[[[1.0], [2.0]], [[1.0], [2.0]]],
        next_states=[[5.0], [5.0]],
        rewards=[[10.0, 10.0], [20.0, 30.0]],
        num_turns=[2, 2],
        truncated=[True, False],
        group=[0, 0],
    )
    found = estimate_advantages(critic_of([1.0]), batch, reward_scale=0.1, gamma=1.0, lam=1.0)
    # cut: 2 + V' = 5, where V' has the baseline of 5 off as well: 7 and 6. over: 5 less the baseline of 2; 3 less it.
    assert torch.allclose(found.targets, torch.tensor([[7.0, 6.0], [3.0, 1.0]]))
    assert torch.allclose(found.advantages, torch.tensor([[6.0, 4.0], [2.0, -1.0]]))


def test_the_critic_learns_the_targets_and_says_how_good_it_was():
    batch = batch_of(
        states=[[[1.0], [9.0]], [[2.0], [9.0]], [[3.0], [9.0]]],
        next_states=[[0.0]] * 3,
        rewards=[[2.0, 0.0], [4.0, 0.0], [6.0, 0.0]],
        num_turns=[1, 1, 1],
        truncated=[False] * 3,
    )
    critic = critic_of([0.0])
    found = estimate_advantages(critic, batch, reward_scale=1.0, gamma=1.0, lam=1.0)
    row = fit_critic(critic, batch, found, num_steps=2000, learning_rate=0.05)
    assert row == {"value_loss": pytest.approx((4 + 16 + 36) / 3), "explained_variance": pytest.approx(0.0, abs=1e-6)}
    assert critic(torch.tensor([[1.0], [3.0]])).tolist() == pytest.approx([2.0, 6.0], abs=0.01)
    again = fit_critic(
        critic, batch, estimate_advantages(critic, batch, 1.0, 1.0, 1.0), num_steps=1, learning_rate=0.05
    )
    assert again["explained_variance"] > 0.999


def test_a_critic_that_is_given_no_steps_says_how_wrong_it_is():
    critic = critic_of([2.0])
    assert critic.fit(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 1.0]), 0, 0.1) == pytest.approx((1 + 9) / 2)
    assert critic.linear.weight.tolist() == [[2.0]]


def test_advantages_are_normalised_over_the_turns_that_took_place():
    advantages = normalised(torch.tensor([[1.0, 3.0], [5.0, 100.0]]), torch.tensor([[True, True], [True, False]]))
    assert torch.allclose(advantages[[0, 0, 1], [0, 1, 0]], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-5)


def test_the_advantage_of_a_single_turn_is_nothing():
    assert normalised(torch.tensor([[5.0]]), torch.tensor([[True]])).tolist() == [[0.0]]
