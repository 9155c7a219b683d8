"""A judge with a known bias is measured as such, and one that has none is not accused."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dialogym.agents.preference.judgements import FIRST, SECOND, TIE, Judgement, Pair, append_judgement, read_judgements
from dialogym.cli import app
from dialogym.evaluation.rating import judges
from dialogym.evaluation.rating.agreement import cohen_kappa
from dialogym.evaluation.report.page import html_report, markdown_report
from dialogym.rewards import resolve

from .fake_results import fake_results

pytest.importorskip("sklearn")
OTHER = {FIRST: SECOND, SECOND: FIRST}
ASKED = ({"role": "user", "content": "hello"},)


def pairs(num, rng):
    """Replies of two agents, one of them as long again as the other, whichever is better."""
    found = []
    for number in range(num):
        short, long = f"reply {number}", f"a much longer reply, number {number}"
        first, second = (short, long) if rng.random() < 0.5 else (long, short)
        agents = ("mine", "theirs") if rng.random() < 0.5 else ("theirs", "mine")
        found.append(Pair(ASKED, first, second, agents, str(number)))
    return found


def judged(pair, rater, rng, taste=0.0, position=0.0, length=0.0, own=0.0):
    """The choice of a rater: by what is better, or else, by so much of the time, by the side, the length or its own."""
    shown_first = FIRST if rng.random() < 0.5 else SECOND
    draw, better = rng.random(), FIRST if np.random.default_rng(int(pair.pair)).random() < 0.5 else SECOND
    longer = FIRST if len(pair.first) > len(pair.second) else SECOND
    mine = FIRST if pair.agents[0] == "mine" else SECOND
    rules = ((position, shown_first), (length, longer), (own, mine), (taste, better))
    choice = FIRST if rng.random() < 0.5 else SECOND
    for share, rule in rules:
        if draw < share:
            choice = rule
            break
        draw -= share
    return Judgement.of(pair, shown_first, choice, rater, 1.0)


def quality(num, seed, **biases):
    rng = np.random.default_rng(seed)
    both = [
        judgement
        for pair in pairs(num, rng)
        for judgement in (judged(pair, "anna", rng, taste=0.6), judged(pair, "judge", rng, **{"taste": 0.6, **biases}))
    ]
    return judges.judge_quality(both, "judge", ["mine"])


@pytest.mark.parametrize("bias", ["position", "length", "own"])
def test_a_known_bias_is_measured_and_the_others_are_not_invented(bias):
    # decides by its bias in 0.4 of the pairs: 0.2 more often than a half, with either side as likely to be better
    found = [quality(150, seed, taste=0.5, **{bias: 0.4}) for seed in range(20)]
    intervals = [getattr(one, bias) for one in found]
    assert np.mean([interval.mean for interval in intervals]) == pytest.approx(0.2, abs=0.03)
    assert sum(interval.low <= 0.2 <= interval.high for interval in intervals) >= 17
    words = {"position": "position", "length": "length", "own": "its own replies"}[bias]
    assert sum(words in one.sways for one in found) >= 18
    assert sum(len(one.sways) > 1 for one in found) <= 4


def test_a_judge_without_a_bias_is_accused_in_about_one_case_in_twenty():
    rng = np.random.default_rng(0)
    accused = np.zeros(3)
    num, rounds = 120, 1500
    for _ in range(rounds):
        better, side = rng.random(num) < 0.7, rng.random(num) < 0.5  # the longer reply is better in 0.7 of the pairs
        people, judge = ((rng.random(num) < 0.8) == better for _ in range(2))  # both err in 0.2
        length = judges.mean_of_differences(judge.astype(float) - people)
        few = judges.mean_of_differences((judge.astype(float) - people)[:15])
        position = judges.mean_of_differences(np.where(judge == side, 1.0, -1.0))
        accused += [not one.low <= 0 <= one.high for one in (length, few, position)]
    assert (accused / rounds < 0.065).all()
    assert (accused[[0, 2]] / rounds > 0.03).all()


def chosen(rng, num, liked=0.5, judge_errs=0.2, people_err=0.2, raters=1, bias=0.0):
    """(num,) choices of a judge and (num, raters) of people, 1 for the longer reply, which is better in ``liked``."""
    better = np.where(rng.random(num) < liked, 1.0, -1.0)
    judge = np.where(rng.random(num) < judge_errs, -better, better)
    people = np.where(rng.random((num, raters)) < people_err, -better[:, None], better[:, None])
    return np.where(rng.random(num) < bias, 1.0, judge), people


def share_accused(rounds, num, **world):
    rng = np.random.default_rng(0)
    found = [judges.bias_beside(*chosen(rng, num, **world)) for _ in range(rounds)]
    return np.mean([not one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize(
    "errors", [{}, {"judge_errs": 0.35, "people_err": 0.1}, {"judge_errs": 0.1, "people_err": 0.3}]
)
@pytest.mark.parametrize("liked", [0.5, 0.75])
def test_an_unbiased_judge_that_errs_more_or_less_than_people_is_accused_at_the_nominal_rate(liked, errors):
    pytest.importorskip("scipy")
    from scipy.stats import binom

    rounds = 300
    accused = share_accused(rounds, 150, liked=liked, raters=3, **errors)
    least, most = binom.ppf(0.0005, rounds, 0.02), binom.ppf(0.9995, rounds, 0.05)  # the interval is a little too wide
    assert least <= accused * rounds <= most
    if errors.get("judge_errs", 0.2) >= errors.get("people_err", 0.2):  # what one rater alone is taken for
        assert share_accused(rounds, 150, liked=liked, **errors) * rounds <= most


def test_what_is_liked_is_no_bias_and_what_a_judge_adds_is():
    rng = np.random.default_rng(0)
    noisy = {"liked": 0.8, "judge_errs": 0.35, "people_err": 0.1}
    judge, people = chosen(rng, 3000, raters=2, **noisy)
    assert (judge - people.mean(1)).mean() / 2 < -0.1  # it takes fewer long replies than people, by its errors alone
    assert judges.bias_beside(judge, people).mean == pytest.approx(0, abs=0.03)
    swayed = judges.bias_beside(*chosen(rng, 3000, raters=2, **noisy, bias=0.3))
    assert swayed.mean == pytest.approx(0.15, abs=0.04)
    assert swayed.low <= 0.15 <= swayed.high
    assert swayed.low > 0


def test_one_person_a_pair_leaves_open_how_much_of_a_difference_is_noise():
    rng = np.random.default_rng(0)
    judge, people = chosen(rng, 2000, liked=0.8, judge_errs=0.35, people_err=0.1)
    found = judges.bias_beside(judge, people)
    assert found.low <= judges.mean_of_differences((judge - people[:, 0]) / 2).mean <= found.high
    assert found.low <= 0 <= found.high
    assert judges.bias_beside([], []) is None
    alone = judges.bias_beside([1.0], [[-1.0]])
    assert (alone.low, alone.high) == (-0.5, 0.5)


def test_every_bias_of_an_unbiased_judge_is_found_as_often_as_chance_lets_it():
    rounds, accused = 60, np.zeros(3)
    for seed in range(rounds):
        rng = np.random.default_rng(1000 + seed)
        raters = {"judge": 0.3, "anna": 0.7, "ben": 0.7, "eve": 0.7}  # how often each goes by what is better
        both = [judged(pair, name, rng, taste=taste) for pair in pairs(60, rng) for name, taste in raters.items()]
        found = judges.judge_quality(both, "judge", ["mine"])
        assert found.num_repeated == 60
        accused += [not one.low <= 0 <= one.high for one in (found.position, found.length, found.own)]
    assert (accused <= 9).all()  # of 60 at 0.05: more than that in 1 of 1,300 cases


def test_kappa_is_scikit_learns_and_its_interval_covers():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        truth = rng.choice([FIRST, SECOND, TIE], 150, p=[0.4, 0.4, 0.2])
        said = np.where(rng.random(150) < 0.5, truth, rng.choice([FIRST, SECOND, TIE], 150, p=[0.4, 0.4, 0.2]))
        found = judges.kappa_interval(truth.tolist(), said.tolist())
        assert found.mean == cohen_kappa(truth.tolist(), said.tolist())
        covered += found.low <= 0.5 <= found.high  # half of the choices are copied, the others are chance
    assert 53 <= covered <= 60
    assert judges.kappa_interval([TIE] * 3, [TIE] * 3) is None


def columns(*rows):
    return [
        [value for value in column if value not in "*."] for column in zip(*(row.split() for row in rows), strict=True)
    ]


def test_krippendorffs_alpha_is_that_of_his_examples():
    four = columns(
        "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."
    )
    three = columns("* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4")
    assert judges.krippendorff_alpha(four) == pytest.approx(0.743, abs=0.0005)
    assert judges.krippendorff_alpha(three) == pytest.approx(0.691, abs=0.0005)
    assert judges.krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert judges.krippendorff_alpha([["a", "a"], ["b", "b"], ["a"]]) == 1.0


def test_both_orders_count_once_and_say_how_consistent_a_judge_is():
    pair, other = Pair(ASKED, "one", "another", pair="0"), Pair(ASKED, "this", "that", pair="1")
    asked = [Judgement.of(pair, side, side, "judge", 0.0) for side in (FIRST, SECOND)]  # always the first side
    asked += [Judgement.of(other, side, FIRST, "judge", 0.0) for side in (FIRST, SECOND)]
    people = [Judgement.of(one, FIRST, FIRST, "anna", 1.0) for one in (pair, other)]
    found = judges.judge_quality([*asked, *people], "judge")
    assert (found.num_pairs, found.consistency.mean, found.position.mean) == (2, 0.5, 0.25)
    assert found.accuracy.mean == 0.75  # a tie, and the same choice
    assert found.own is None


def test_a_judge_that_nobody_can_be_held_against_is_refused():
    one = Judgement.of(Pair(ASKED, "a", "b", pair="0"), FIRST, FIRST, "judge", 0.0)
    with pytest.raises(ValueError, match="expected people's judgements of pairs that 'judge' judged"):
        judges.judge_quality([one], "judge")
    with pytest.raises(ValueError, match="expected judgements of 'other', got those of judge"):
        judges.judge_quality([one], "other")


def test_the_command_reads_files_and_scores_by_a_reward(tmp_path):
    rng = np.random.default_rng(0)
    for pair in pairs(60, rng):
        append_judgement(tmp_path / "people.jsonl", judged(pair, "anna", rng, taste=1.0))
        first = judged(pair, "gpt", rng, taste=0.2, position=0.8)
        append_judgement(tmp_path / "judge.jsonl", first)
    assert len(read_judgements(tmp_path / "judge.jsonl", both_orders=True)) == 60
    files = [str(tmp_path / name) for name in ("people.jsonl", "judge.jsonl")]
    told = CliRunner().invoke(app, ["judge-quality", *files, "--judge", "gpt"])
    assert told.exit_code == 0, told.output
    assert "Swayed by: position" in told.output
    for reward in ("length", '{"length": 1.0, "relevance": 0.5}'):
        told = CliRunner().invoke(app, ["judge-quality", files[0], "--reward", reward])
        assert told.exit_code == 0, told.output
        assert "60 pairs of both" in told.output
        assert "Swayed by: position" not in told.output  # a reward scores each reply by itself
    told = CliRunner().invoke(app, ["judge-quality", files[0], "--reward", '{"length": 1'])
    assert "--reward must be a name or JSON" in str(told.exception)
    told = CliRunner().invoke(app, ["judge-quality", files[0]])
    assert "expected one judge" in str(told.exception)


class Opinion:
    """A judge's reward that was never measured, or that was."""

    def __init__(self, folder=None):
        from dialogym.rewards.base import Reward

        class Opinionated(Reward):
            name = "opinion"
            is_judge = True
            quality_file = None if folder is None else folder / "quality.json"

            def identity(self):
                return "version 1"

            def __call__(self, transcript):
                return float(len(transcript.reply))

        self.reward = Opinionated()


def test_a_report_says_how_good_its_judge_is_before_any_number(tmp_path):
    pytest.importorskip("matplotlib")
    one = Opinion(tmp_path).reward
    (before,) = judges.judges_in(resolve({one: 1.0, "sparse": 1.0}))
    assert before == {"reward": "opinion", "quality": None}
    found = quality(80, 0, position=0.4, taste=0.6)
    assert judges.save_quality(one, found) == tmp_path / "quality.json"
    (after,) = judges.judges_in(resolve(one))
    assert after["quality"]["num_pairs"] == 80
    type(one).identity = lambda self: "version 2"
    assert judges.read_quality(one) is None  # it is another judge now
    for judge, words in ((before, "was not measured"), (after, "It is swayed by position")):
        results = {**fake_results(), "judges": [json.loads(json.dumps(judge))]}
        for report in (markdown_report(results), html_report(results)):
            assert 0 < report.index(words) < report.index("95% interval" if "95% interval" in report else "%")
    assert "Returns rest on a judge" not in html_report(fake_results())


def test_the_reward_of_replies_judges_in_both_orders_alike():
    pair = Pair(ASKED, "short", "rather longer", pair="0")
    for one in judges.judged_by(resolve(Opinion().reward), [pair, pair], "opinion"):
        assert (one.choice, one.rater) == (SECOND, "opinion")
    assert [one.shown_first for one in judges.judged_by(resolve(Opinion().reward), [pair], "x")] == [FIRST, SECOND]


def test_a_judge_of_chosen_and_rejected_replies_agrees_beyond_chance(tmp_path):
    path = tmp_path / "preferences.jsonl"
    rows = [{"prompt": f"{n} ?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def mostly_right(transcript):  # on four pairs of five
        return ("good" in transcript.reply) == (int(transcript.reply.split()[-1]) % 5 != 0)

    people = read_judgements(path)
    found = judges.judge_quality([*people, *judges.judged_by(resolve(mostly_right), people, "judge")], "judge")
    assert found.accuracy.mean == 0.8
    assert found.kappa.mean == pytest.approx(0.6, abs=0.03)  # it was 0 while the better reply was always the first
    assert found.alpha == pytest.approx(0.6, abs=0.03)  # and -0.11
