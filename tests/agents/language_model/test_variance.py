"""What credit from the turn on, the critic and lambda take off the variance of the gradient, and at what bias.

Simulated conversations of six turns, in each of which one of four words pays 1 at once and 1 more a turn later; goals
differ in how much every turn pays besides, and rewards are noisy. So the mean gradient is known, and so is the value of
a turn. The gradient in the logits is taken 1,000 times from eight conversations about one goal. Groups and importance
weights are simulated beside GRPO and RLOO; here the last test measures those of a language model in training.
"""

import dataclasses
import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import make_agent
from dialogym.agents.language_model.advantages import discounted_returns, leave_one_out
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.critic import ValueHead, estimate_advantages, fit_critic
from dialogym.agents.language_model.rloo import rloo_loss
from dialogym.agents.language_model.rollout import collect, playing

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer

BATCHES, SIZE, TURNS, PAYS = 1000, 8, 6, 3
LOG_POLICY = torch.log_softmax(torch.linspace(-1, 1, 4), 0)
CHANCE = LOG_POLICY[PAYS].exp().item()
LEFT = torch.arange(TURNS, 0, -1.0)
"""(K,) turns from each one on."""


def conversations(seed=0):
    """(B, K) words, and a batch with the rewards and with states that the value of a turn is linear in."""
    generator, count = torch.Generator().manual_seed(seed), BATCHES * SIZE
    words = torch.multinomial(LOG_POLICY.exp().expand(count, 4), TURNS, replacement=True, generator=generator)
    ease = torch.randn(BATCHES, 1, generator=generator).repeat_interleave(SIZE, 0)
    hit = (words == PAYS).float()
    late = torch.nn.functional.pad(hit[:, :-1], (1, 0))  # what the word before pays now
    rewards = ease + hit + late + torch.randn(count, TURNS, generator=generator)
    states = torch.stack((LEFT.expand_as(late), LEFT * ease, late), 2)
    empty = torch.zeros(count, 0)
    batch = Batch(
        ids=empty, action_mask=empty.bool(), lengths=empty, turns=empty, sampled_logprobs=empty, old_logprobs=empty,
        reference_logprobs=empty, weights=empty, states=states, next_states=torch.zeros(count, 3), rewards=rewards,
        advantages=torch.zeros_like(rewards), num_turns=torch.full((count,), TURNS),
        truncated=torch.zeros(count, dtype=torch.bool), group=torch.arange(count),
        num_later_turns=torch.zeros(count, dtype=torch.long),
    )  # fmt: skip
    return words, batch


def critic_of(late):
    """Right in all but what the word before pays now, which is 1."""
    critic = ValueHead(3)
    with torch.no_grad():
        critic.linear.weight.copy_(torch.tensor([[2 * CHANCE, 1.0, late]]))  # of each turn left, its ease
        critic.linear.bias.fill_(-CHANCE)  # what the last word would pay later
    return critic


def variance_and_mean(words, advantages):
    """Of the gradient in the logits, by batches."""
    scores = torch.nn.functional.one_hot(words, 4) - LOG_POLICY.exp()
    gradients = -(advantages[:, :, None] * scores).mean(1).reshape(BATCHES, SIZE, 4).mean(1)
    return gradients.var(0).sum().item(), gradients.mean(0)


def right_mean(late=1.0):
    """The mean gradient where a word that pays is credited with 1, and with ``late`` more in all turns but the last."""
    scores = torch.nn.functional.one_hot(torch.tensor(PAYS), 4) - LOG_POLICY.exp()
    return -CHANCE * scores * (1 + late * (TURNS - 1) / TURNS)


def test_credit_from_the_turn_on_takes_off_what_earlier_turns_were_paid():
    words, batch = conversations()
    from_turn_on = discounted_returns(batch.rewards, 1.0)
    whole, group = from_turn_on[:, :1].expand_as(from_turn_on), torch.arange(BATCHES).repeat_interleave(SIZE)
    found = {}
    for name, returns in (("whole", whole), ("turn", from_turn_on)):
        for baseline, advantages in (("none", returns), ("group", leave_one_out(returns, group))):
            variance, mean = variance_and_mean(words, advantages)
            assert torch.allclose(mean, right_mean(), atol=0.05)
            found[name, baseline] = variance
    assert found == pytest.approx(
        {("whole", "none"): 1.03, ("turn", "none"): 0.466, ("whole", "group"): 0.192, ("turn", "group"): 0.096},
        rel=0.05,
    )  # a half, beside the baseline of a group as well


def test_the_value_of_a_turn_takes_off_what_its_words_do_not_decide():
    words, batch = conversations()
    critic = ValueHead(3)
    raw, raw_mean = variance_and_mean(words, estimate_advantages(critic, batch, 1.0, 1.0, lam=1.0).advantages)
    _, earlier = conversations(seed=1)
    seen = estimate_advantages(critic, earlier, 1.0, 1.0, lam=1.0)
    fit_critic(critic, earlier, seen, num_steps=300, learning_rate=0.03)
    found = estimate_advantages(critic, batch, 1.0, 1.0, lam=1.0)
    less, mean = variance_and_mean(words, found.advantages)
    assert raw == pytest.approx(0.466, rel=0.05)
    assert less == pytest.approx(0.077, rel=0.05)  # a sixth
    assert torch.allclose(raw_mean, right_mean(), atol=0.05)
    assert torch.allclose(mean, right_mean(), atol=0.02)


def test_a_lower_lambda_takes_off_what_later_turns_are_paid_at_the_bias_of_the_critic():
    words, batch = conversations()
    critic, found = critic_of(late=0.8), {}
    for lam in (1.0, 0.5, 0.0):
        variance, mean = variance_and_mean(words, estimate_advantages(critic, batch, 1.0, 1.0, lam).advantages)
        assert torch.allclose(mean, right_mean(0.8 + 0.2 * lam), atol=0.015)  # what it misses comes lam times
        found[lam] = variance, (mean - right_mean()).norm().item()
    assert found[1.0] == pytest.approx((0.075, 0.0), abs=0.006)
    assert found[0.5] == pytest.approx((0.025, 0.023), abs=0.006)  # a third, at an error of 4 %
    assert found[0.0] == pytest.approx((0.018, 0.049), abs=0.006)  # a quarter, at one of 9 %


def test_the_leave_one_out_baseline_takes_off_variance_of_a_language_model_in_training(tmp_path):
    """Of the gradient of all weights, by 64 batches of two groups, after a little of SFT."""
    tiny_model(tiny_tokenizer()).save(tmp_path)
    sft = make_agent("sft", echo_env(), model=str(tmp_path), demonstrations=48, epochs=3, learning_rate=1e-2)
    sft.learn(echo_env())
    sft.save(tmp_path / "sft")
    settings = {"batch_conversations": 512, "group_size": 4, "max_reply_tokens": 3, "sampling_temperature": 1.0}
    agent = make_agent("rloo", echo_env(), init=str(tmp_path / "sft"), **settings)
    with playing(echo_env(), agent.config) as envs:
        episodes = collect(agent.lm, envs, agent.config, random.Random(0), next_states=False)
    batch = Batch.of(episodes, agent.lm.tokenizer.pad_id)
    returns = discounted_returns(batch.rewards, 1.0)[:, :1].expand_as(batch.rewards)

    raw, compared = (gradients(agent.lm, batch, one) for one in (returns, leave_one_out(returns, batch.group)))
    variance, left = raw.var(0).sum().item(), compared.var(0).sum().item()
    difference = raw - compared
    standard_error = (difference.var(0).sum() / len(difference)).sqrt()
    assert left < 0.9 * variance  # 0.59 to 0.77 of it with six other seeds
    assert difference.mean(0).norm() < 2 * standard_error < compared.mean(0).norm()  # unbiased, and could be told


def gradients(lm, batch, advantages):
    """(N, D) of the policy loss of RLOO in all weights, by batches of eight conversations."""
    found, whole = [], dataclasses.replace(batch, advantages=advantages)
    for start in range(0, len(batch), 8):
        part = whole.select(range(start, start + 8))
        logprobs = lm.token_logprobs(part.ids, part.action_mask).logprobs
        loss = rloo_loss(logprobs, logprobs.detach(), part.token_advantages, part.rows, part.actions(False))
        parts = torch.autograd.grad(loss, lm.trainable_parameters())
        found.append(torch.cat([one.flatten() for one in parts]))
    return torch.stack(found)
