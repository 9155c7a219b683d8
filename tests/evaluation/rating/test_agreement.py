"""Win rates, agreement and scores of a preference model, against numbers worked by hand; and pairs of two agents."""

import math
import random

import pytest

from dialogym.agents.floors import ClaimSuccessAgent
from dialogym.agents.preference.judgements import read_pairs, save_pairs
from dialogym.agents.registry import make_agent
from dialogym.envs.tokenizer import SHIPPED
from dialogym.evaluation.rating.agreement import agreements, cohen_kappa, left_rate, pairwise_scores, win_rates
from dialogym.evaluation.rating.pairs import PairSampler, sampled_at
from dialogym.evaluation.statistics import wilson_interval

from ...agents.judged import judgement


def judged(choices, rater="anna", **rest):
    return [judgement(choice, str(pair), rater, **rest) for pair, choice in enumerate(choices)]


def test_a_tie_counts_half_to_each_and_the_interval_is_wilsons():
    (row,) = win_rates(judged(["first"] * 5 + ["second"] * 2 + ["tie"] * 3))
    assert (row.agent, row.other, row.num_pairs, row.num_judgements, row.ties) == ("a", "b", 10, 10, 0.3)
    assert row.rate == wilson_interval(6.5, 10)
    assert row.rate.mean == 0.65


def test_an_agent_wins_whichever_way_round_the_pair_names_it():
    turned = judged(["second"] * 3, agents=("b", "a"))
    (row,) = win_rates(turned)
    assert (row.agent, row.rate.mean) == ("a", 1.0)
    assert win_rates(judged(["first"], agents=("a", "a"))) == []


def test_a_pair_that_two_people_judged_counts_once_by_their_mean():
    judgements = judged(["first", "first"]) + judged(["second", "first"], rater="ben")
    (row,) = win_rates(judgements)
    assert row.rate == wilson_interval(1.5, 2)
    assert (row.num_pairs, row.num_judgements) == (2, 4)


def test_the_side_is_counted_without_ties():
    choices = judged(["first", "second", "tie"]) + judged(["first", "second"], rater="ben", shown_first="second")
    assert left_rate(choices) == wilson_interval(2, 4)
    assert left_rate(judged(["tie"])) is None


def test_kappa_is_that_worked_by_hand():
    pytest.importorskip("sklearn")
    first = ["first"] * 25 + ["second"] * 25
    second = ["first"] * 20 + ["second"] * 5 + ["first"] * 10 + ["second"] * 15
    # Equal 35 of 50; by chance 25/50 * 30/50 + 25/50 * 20/50 = 0.5; (0.7 - 0.5) / (1 - 0.5) = 0.4.
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == 1.0
    assert cohen_kappa(["tie"] * 3, ["tie"] * 3) is None


def test_kappa_of_random_raters_is_about_zero_and_agreement_needs_shared_pairs():
    pytest.importorskip("sklearn")
    rng = random.Random(0)
    raters = [judged(rng.choices(("first", "second", "tie"), k=3000), rater=rater) for rater in ("anna", "ben")]
    (found,) = agreements([*raters[0], *raters[1]])
    assert found.raters == ("anna", "ben")
    assert found.num_pairs == 3000
    assert abs(found.kappa) < 0.06  # four standard errors
    assert found.same == pytest.approx(1 / 3, abs=0.04)
    assert agreements([judgement(pair="p"), judgement(pair="q", rater="ben")]) == []
    assert agreements([judgement(), judgement(rater="ben", first="we are .")]) == []  # one id, other content


def test_scores_of_a_model_are_those_worked_by_hand():
    margins = {"0": 2.0, "1": 1.0, "2": 0.0}
    scores = pairwise_scores(lambda pairs: [margins[pair.pair] for pair in pairs], judged(["first", "second", "tie"]))
    assert scores.accuracy == wilson_interval(1, 2)
    # -ln s(2) = 0.126928, -ln s(-1) = 1.313262, and ln 2 for the tie.
    assert scores.loss == pytest.approx((0.126928 + 1.313262 + math.log(2)) / 3, abs=1e-6)
    # Confidences s(2) = 0.880797, right, and s(1) = 0.731059, wrong, each in a bin of its own.
    assert scores.calibration_error == pytest.approx(((1 - 0.880797) + 0.731059) / 2, abs=1e-6)
    assert scores.num_judgements == 3


def test_a_model_that_cannot_tell_is_not_right():
    scores = pairwise_scores(lambda pairs: [0.0, 0.0], judged(["first", "second"]))
    assert scores.accuracy.mean == 0


def test_a_pair_that_was_judged_twice_is_one_of_those_a_model_is_right_about():
    judgements = judged(["first", "first"]) + judged(["second", "first"], rater="ben")
    assert pairwise_scores(lambda pairs: [1.0] * len(pairs), judgements).accuracy == wilson_interval(1.5, 2)


def test_ties_alone_are_refused():
    with pytest.raises(ValueError, match="at least one judgement that is no tie, got 2"):
        pairwise_scores(lambda pairs: [0.0, 0.0], judged(["tie", "tie"]))


# Pairs of two agents


def sampler(first, second, **options):
    return PairSampler("TextDialog-v0", *(make_agent(name, "TextDialog-v0") for name in (first, second)), **options)


def test_two_agents_of_different_interfaces_reply_to_the_same_contexts():
    pairs = sampler("rule", "claim_success", seed=1).sample(30)
    claim = ClaimSuccessAgent("TextDialog-v0")
    assert len({pair.pair for pair in pairs}) == 30
    for pair in pairs:
        assert pair.agents == ("rule", "claim_success")
        assert pair.second == claim.act(None, {"messages": list(pair.messages)})
        assert pair.messages[-1]["role"] in ("user", "tool")
        assert "[" not in pair.first  # as people read it: placeholders filled
    assert {len(pair.messages) for pair in pairs} > {2}  # not first turns alone
    led_by_claim = [
        pair for pair in pairs if any("your table is booked" in one["content"].lower() for one in pair.messages)
    ]
    assert 0 < len(led_by_claim) < 30


def test_the_same_seed_samples_the_same_pairs():
    first, again, other = (sampler("rule", "random", seed=seed).sample(5) for seed in (3, 3, 4))
    assert first == again != other


def test_half_a_character_is_written_as_a_question_mark(tmp_path):
    class Torn(ClaimSuccessAgent):
        interface = "text"

        def act_batch(self, observations, infos):
            return ["cheap \ud83d food"] * len(infos)

    torn = Torn("TextDialog-v0")
    pairs = PairSampler("TextDialog-v0", torn, make_agent("rule", "TextDialog-v0")).sample(2)
    assert {pair.first for pair in pairs} == {"cheap ? food"}
    save_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl") == pairs


def test_agents_that_say_the_same_cannot_be_compared():
    with pytest.raises(ValueError, match="expected 2 pairs of different replies from rule and rule, got 0 of 10"):
        sampler("rule", "rule").sample(2)


def test_a_language_model_is_sampled_twice_even_after_it_spoke_at_another_temperature():
    pytest.importorskip("torch")
    from ...agents.tiny_lm import echo_env

    env = echo_env()
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2}
    speaker = make_agent("sft", env, tokenizer=str(SHIPPED), max_reply_tokens=3, **sizes)
    with pytest.raises(ValueError, match="ask for fewer, or sample at a higher temperature"):
        PairSampler(env, speaker, speaker).sample(2)
    assert sampled_at(speaker, 1.0, 3) is speaker
    pairs = PairSampler(env, speaker, speaker).sample(5)
    assert all(pair.first != pair.second for pair in pairs)
    rule = make_agent("rule", env)
    assert sampled_at(rule, 1.0, 3) is rule
    assert rule.seed == 0
