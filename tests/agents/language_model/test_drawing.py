"""Each reply has random numbers of its own, and tokens are drawn by them as their probabilities say."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import gymnasium as gym
import torch

from dialogym.agents import make_agent
from dialogym.agents.language_model.drawing import Turn, rows_at, sample_tokens, uniform_numbers
from dialogym.agents.language_model.generation import Draw
from dialogym.evaluation.score import frozen_goals, score

from .test_language_model import terse

ENV = "TextNegotiation-v0"
WEIGHTS = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])


def test_a_reply_has_the_same_numbers_beside_any_other_and_no_two_replies_have_them():
    turns = [Turn(conversation, reply) for conversation in range(20) for reply in range(5)]
    numbers = uniform_numbers(7, turns, 30)
    assert numbers.shape == (100, 30)
    assert torch.equal(uniform_numbers(7, [turns[61]], 30)[0], numbers[61])
    assert torch.equal(uniform_numbers(7, turns[::-1], 9), numbers.flip(0)[:, :9])
    assert not torch.equal(uniform_numbers(8, turns[:1], 30), numbers[:1])
    assert len(numbers.flatten().unique()) > 2990  # 24 bits each, so that a few of 3,000 may be equal


def test_the_numbers_are_uniform_along_a_reply_and_across_replies_conversations_and_seeds():
    count = 40_000
    samples = [
        uniform_numbers(0, [Turn(0)], count)[0],
        uniform_numbers(0, [Turn(number) for number in range(count)], 1)[:, 0],
        uniform_numbers(0, [Turn(0, number) for number in range(count)], 1)[:, 0],
        torch.cat([uniform_numbers(seed, [Turn(0)], 1)[:, 0] for seed in range(count)]),
    ]
    for sample in samples:
        assert 0 <= sample.min() <= sample.max() < 1
        shares = np.histogram(sample.numpy(), bins=20, range=(0, 1))[0] / count
        assert np.allclose(shares, 1 / 20, atol=0.005)  # five standard errors
        following = torch.corrcoef(torch.stack([sample[:-1], sample[1:]]))[0, 1]
        assert abs(float(following)) < 5 / count**0.5


def test_draws_follow_the_distribution_and_never_take_the_impossible():
    uniform = uniform_numbers(0, [Turn(0)], 40_000)[0, :, None]
    draws = rows_at(WEIGHTS.expand(40_000, -1), uniform)
    shares = torch.bincount(draws, minlength=6) / len(draws)
    assert shares[WEIGHTS == 0].tolist() == [0.0] * 3
    assert torch.allclose(shares, WEIGHTS, atol=0.01)  # four standard errors


def test_the_last_possible_token_is_drawn_at_the_end_of_the_unit_interval():
    logits = torch.randn(500, 1058, generator=torch.Generator().manual_seed(0))
    logits[:, -3:] = -1e9
    assert rows_at(logits.softmax(-1), torch.full((500, 1), 1 - 2.0**-24)).max() == 1058 - 4


def test_the_first_possible_token_is_drawn_at_the_beginning_of_the_unit_interval():
    assert rows_at(torch.tensor([[-1e9, -1e9, -0.1, -2.4]]).softmax(-1), torch.zeros(1, 1)).tolist() == [2]


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_the_logprob_is_that_of_the_distribution_that_is_drawn_from(temperature):
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = sample_tokens(logits, temperature, uniform_numbers(0, [Turn(0)], 50)[0, :, None])
    expected = (logits / (temperature or 1.0)).log_softmax(-1)
    assert torch.allclose(logprobs, expected.gather(1, tokens[:, None])[:, 0], atol=1e-6)
    assert (temperature > 0) == (tokens != logits.argmax(-1)).any().item()


def test_generate_is_left_the_token_that_the_given_number_draws():
    scores = torch.tensor([[0.5, 0.0, 0.25, 0.25]]).log().expand(5, 4)
    draw = Draw(lambda _, scores: scores, torch.tensor([[0.0], [0.49], [0.51], [0.76], [1 - 2.0**-24]]))
    ids = torch.zeros(5, 1, dtype=torch.long)
    assert draw(ids, scores).argmax(-1).tolist() == [0, 0, 2, 3, 3]  # never the one of weight 0
    assert torch.allclose(draw.logprobs[0].exp(), torch.tensor([0.5, 0.5, 0.25, 0.25, 0.25]))
    assert Draw(lambda _, scores: scores, None)(ids[:1], scores[:1]).argmax() == 0


@pytest.mark.parametrize(("family", "attention"), [("llama", None), ("gpt_neo", "eager")])
def test_scores_of_an_agent_that_samples_do_not_hang_on_how_many_play_side_by_side(family, attention):
    agent = make_agent("sft", gym.make(ENV, interface="text"), temperature=1.0, max_reply_tokens=3)
    agent.take_over(terse(family, attention))
    goals = frozen_goals(ENV, "test", 24).goals
    found = []
    for batch_size in (24, 5, 1):
        agent.forget()
        found.append(score(agent, ENV, goals, batch_size=batch_size).conversations)
    assert found[0] == found[1] == found[2]
    assert len({str(conversation) for conversation in found[0]}) > 20
