"""Batches of conversations: as tensors, indexed, and learned from in one gradient step."""

import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents.language_model.advantages import discounted_returns, leave_one_out
from dialogym.agents.language_model.batch import Batch, drawn_minibatches, gradient_step, logprobs_under, mean_row
from dialogym.agents.language_model.memory import TokenBudget
from dialogym.agents.language_model.reinforce import reinforce_loss
from dialogym.agents.language_model.rollout import Episode, sample_episodes, with_spread
from dialogym.envs import remake_vec

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer


def episode_of(turns, truncated=False, group=0):
    """Turns of (prompt, reply, reward); a token's log-probability is minus its number, a state its turn."""
    episode = Episode(truncated=truncated, group=group)
    for number, (prompt, reply, reward) in enumerate(turns):
        episode.read(prompt)
        episode.say(reply, [-float(token) for token in reply], torch.tensor([float(number)]))
        episode.rewards.append(reward)
    return episode


def two():
    one = episode_of([([11, 12], [1, 2], 5.0), ([13], [3], 7.0)], truncated=True)
    one.next_state = torch.tensor([9.0])
    return [one, episode_of([([14], [4], -1.0)], group=1)]


def test_a_batch_worked_by_hand():
    batch = Batch.of(two(), pad_id=0)
    assert batch.ids.tolist() == [[11, 12, 1, 2, 13, 3], [14, 4, 0, 0, 0, 0]]
    assert batch.action_mask.int().tolist() == [[0, 0, 1, 1, 0, 1], [0, 1, 0, 0, 0, 0]]
    assert batch.tokens(batch.old_logprobs).tolist() == [-1.0, -2.0, -3.0, -4.0]
    assert batch.token_turns.tolist() == [0, 0, 1, 0]
    assert batch.rows.tolist() == [0, 0, 0, 1]
    assert batch.actions(per_turn=False).tolist() == [0, 0, 0, 1]
    assert batch.actions(per_turn=True).tolist() == [0, 0, 1, 2]
    assert batch.rewards.tolist() == [[5.0, 7.0], [-1.0, 0.0]]
    assert batch.group.tolist() == [0, 1]
    assert batch.states.tolist() == [[[0.0], [1.0]], [[0.0], [0.0]]]
    assert batch.next_states.tolist() == [[9.0], [0.0]]
    assert batch.truncated.tolist() == [True, False]
    assert batch.turn_mask.tolist() == [[True, True], [True, False]]
    assert batch.num_sampled.tolist() == [3, 1]


def test_rewards_after_the_context_was_full_stand_behind_the_others_as_they_came():
    outgrown, other = two()
    outgrown.later_rewards = [8.0, 4.0]
    batch = Batch.of([outgrown, other], 0)
    assert batch.rewards.tolist() == [[5.0, 7.0, 8.0, 4.0], [-1.0, 0.0, 0.0, 0.0]]
    assert batch.turn_mask.sum(1).tolist() == batch.num_turns.tolist() == [2, 1]
    assert batch.num_later_turns.tolist() == [2, 0]
    assert batch.states.shape == (2, 4, 1)


def test_what_is_selected_is_what_a_batch_of_it_would_be():
    episodes = [*two(), episode_of([([15, 16, 17], [5, 6], 2.0)], group=2)]
    chosen = Batch.of(episodes, 0).select([2, 1])
    again = Batch.of([episodes[2], episodes[1]], 0)
    for name in ("ids", "action_mask", "lengths", "turns", "sampled_logprobs", "weights", "group", "num_turns"):
        assert torch.equal(getattr(chosen, name), getattr(again, name)), name
    assert torch.equal(chosen.rewards[:, :1], again.rewards)
    assert len(chosen) == 2


def test_a_token_has_the_advantage_of_its_turn():
    batch = Batch.of(two(), 0)
    batch.advantages.copy_(torch.tensor([[10.0, 20.0], [30.0, 40.0]]))
    assert batch.token_advantages.tolist() == [10.0, 10.0, 20.0, 30.0]
    assert batch.select([1, 0]).token_advantages.tolist() == [30.0, 10.0, 10.0, 20.0]


def test_groups_in_which_all_returned_the_same_are_left_out():
    episodes = [episode_of([([11], [1], reward)], group=group) for reward, group in ((1, 0), (1, 0), (1, 1), (2, 1))]
    assert with_spread(episodes) == episodes[2:]
    episodes[0].later_rewards = [1.0]
    assert with_spread(episodes) == episodes


def group_of(*rewards):
    return [episode_of([([11], [1], reward) for reward in one]) for one in rewards]


@pytest.mark.parametrize(
    ("rewards", "of_conversations", "discounted", "of_turns"),
    [
        (([0.0, 1.0], [1.0, 0.0]), False, True, True),  # the same in all, paid at another turn
        (([1.0, 0.5], [0.5, 1.0]), False, True, True),
        (([0.0, 0.5], [1.0, -1.5]), True, False, True),  # not the same in all; halved, the same
        (([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), False, False, False),
        (([1.0, 0.0], [1.0]), False, False, False),  # a turn that nobody else reached is compared with none
    ],
)
def test_a_group_is_kept_where_what_is_learned_from_it_differs(rewards, of_conversations, discounted, of_turns):
    group = group_of(*rewards)
    batch = Batch.of(group, 0)
    for gamma, per_turn, is_kept in ((1.0, False, of_conversations), (0.5, False, discounted), (1.0, True, of_turns)):
        returns = discounted_returns(batch.rewards, gamma)
        returns = returns if per_turn else returns[:, :1].expand_as(returns)
        advantages = leave_one_out(returns, batch.group, batch.turn_mask if per_turn else None)
        assert bool((advantages.abs() > 1e-6).any()) == is_kept
        assert with_spread(group, gamma, per_turn) == (group if is_kept else [])


def test_rewards_that_add_up_to_the_same_in_another_order_are_no_spread():
    group = group_of([-0.05, 0.3, -0.05, 0.1], [0.3, -0.05, 0.1, -0.05])
    assert group[0].total_reward != group[1].total_reward  # by rounding
    assert with_spread(group) == []


def test_minibatches_hold_every_conversation_once():
    minibatches = drawn_minibatches(8, 3, random.Random(0))
    assert [len(minibatch) for minibatch in minibatches] == [3, 3, 2]
    assert sorted(row for minibatch in minibatches for row in minibatch) == list(range(8))
    assert minibatches != drawn_minibatches(8, 3, random.Random(1))


def test_the_mean_of_rows():
    assert mean_row([{"loss": 1.0, "kl": 4.0}, {"loss": 3.0, "kl": 0.0}]) == {"loss": 2.0, "kl": 2.0}


# Gradients


@pytest.fixture
def collected():
    lm = tiny_model(tiny_tokenizer(), initializer_range=0.02)
    envs = remake_vec(echo_env(), 8, interface="text", autoreset_mode="Disabled")
    episodes = sample_episodes(lm, envs, 3, seeds=list(range(8)))
    batch = Batch.of(episodes, lm.tokenizer.pad_id)
    batch.advantages.copy_(torch.arange(batch.advantages.numel()).reshape(batch.advantages.shape))
    return lm, batch


def stepped(lm, batch, max_tokens=2048, rows=range(8), loss_of=None, max_grad_norm=100.0, **options):
    """A gradient step without effect: what it logs, how many passes it took, the gradient."""
    passes = []

    def of_tokens(part):
        passes.append(len(part))
        loss = reinforce_loss(lm.token_logprobs(part.ids, part.action_mask).logprobs, part.token_advantages)
        return loss, {"loss": loss.item()}

    optimizer = torch.optim.SGD(lm.trainable_parameters(), 0.0)
    budget = TokenBudget(max_tokens)
    row = gradient_step(lm, optimizer, loss_of or of_tokens, max_grad_norm, budget, batch, rows, **options)
    return row, len(passes), torch.cat([parameter.grad.flatten() for parameter in lm.trainable_parameters()])


def test_gradients_of_parts_add_up_to_that_of_the_whole(collected):
    few, many = stepped(*collected), stepped(*collected, max_tokens=10)
    assert few[1] == 1
    assert many[1] > 3
    assert few[0] == pytest.approx(many[0], rel=1e-4)
    assert torch.allclose(few[2], many[2], atol=1e-6)


def test_means_over_conversations_add_up_as_well(collected):
    lm, _ = collected

    def loss_of(part):
        tokens = lm.token_logprobs(part.ids, part.action_mask).logprobs * part.token_advantages
        loss = sum(tokens[part.rows == row].mean() for row in range(len(part))) / len(part)
        return loss, {"loss": loss.item()}

    whole = stepped(*collected, loss_of=loss_of, per_conversation=True)
    parts = stepped(*collected, loss_of=loss_of, per_conversation=True, max_tokens=10)
    assert torch.allclose(whole[2], parts[2], atol=1e-5)
    assert whole[0] == pytest.approx(parts[0], rel=1e-4)


@pytest.mark.parametrize("per_conversation", [False, True])
def test_conversations_that_teach_nothing_count_and_need_not_pass(collected, per_conversation):
    lm, batch = collected
    idle, passed = [1, 4, 5, 7], []
    batch.advantages[idle] = 0

    def loss_of(part):
        passed.append(len(part))
        terms = lm.token_logprobs(part.ids, part.action_mask).logprobs * part.token_advantages
        each = [terms[part.rows == row].mean() for row in range(len(part))]
        loss = sum(each) / len(part) if per_conversation else terms.mean()
        return loss, {"loss": loss.item(), "one": 1.0}

    options = {"loss_of": loss_of, "per_conversation": per_conversation}
    whole, fewer = stepped(*collected, **options), stepped(*collected, **options, teaching={0, 2, 3, 6})
    assert passed == [8, 4]
    assert torch.allclose(whole[2], fewer[2], atol=1e-6)
    assert whole[0] == pytest.approx(fewer[0], rel=1e-4)
    assert fewer[0]["one"] == pytest.approx(1.0)  # a mean over those that passed


def test_a_longer_gradient_is_shortened(collected):
    row, _, gradient = stepped(*collected, max_grad_norm=1e-3)
    assert row["grad_norm"] > 1e-3
    assert gradient.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_a_gradient_that_is_not_finite_changes_no_weight(collected):
    lm, batch = collected
    before = [parameter.clone() for parameter in lm.trainable_parameters()]
    optimizer = torch.optim.AdamW(lm.trainable_parameters(), 1e-2)

    def loss_of(part):
        loss = lm.token_logprobs(part.ids, part.action_mask).logprobs.mean() * float("nan")
        return loss, {"loss": loss.item()}

    with pytest.raises(FloatingPointError, match="length of the gradient is nan, and the losses are nan"):
        gradient_step(lm, optimizer, loss_of, 1.0, TokenBudget(), batch, range(8))
    assert all(torch.equal(one, other) for one, other in zip(before, lm.trainable_parameters(), strict=True))


def test_log_probabilities_taken_anew_are_those_of_the_sampler(collected):
    lm, batch = collected
    for max_tokens in (10, 2048):
        found = logprobs_under(lm, batch, 1.0, TokenBudget(max_tokens))
        assert torch.allclose(found, batch.sampled_logprobs, atol=1e-5)
        assert found[~batch.action_mask].abs().max() == 0
