import random

import pytest

from dialogym.rewards import RewardError, failure, parts, resolve, success, turn

from .conversations import saying

GOING_ON = {"max_turns": 20}
WON = {"max_turns": 20, "ended": True, "success": True}
LOST = {"max_turns": 20, "ended": True, "success": False}

NUM_PARTS = 3
PRESETS = {  # preset: (going on, success, failure), per turn
    "bounded": (-0.2 / 20, 0.6 - 0.2 / 20, -0.6 - 0.2 / 20),
    "pydial": (-1, 20 - 1, 0 - 1),
    "tcbot": (-1, 2 * 20 - 1, -20 - 1),
    "convlab": (-1, 40 - 1, -20 - 1),
    "sparse": (0, 1, 0),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_pays_what_its_paper_says(preset):
    reward = resolve(preset)
    paid = tuple(reward(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST))
    assert paid == pytest.approx(PRESETS[preset], abs=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
def test_success_scores_the_maximum_and_an_empty_reply_that_fails_the_floor(preset):
    reward = resolve(preset)
    scores = [reward(saying(reply, **facts)) for reply in ("", "hi") for facts in (GOING_ON, WON, LOST)]
    assert reward(saying("goodbye", **WON)) == max(scores)
    assert reward(saying("", **LOST)) == min(scores)


def test_convlab_pays_five_for_each_part_as_it_is_finished():
    assert resolve("convlab").terms(saying("hi", parts_done=3, parts_done_now=2)) == {
        "success": 0.0, "failure": 0.0, "parts": 10.0, "turn": -1.0,
    }  # fmt: skip


def paid_by(preset, parts_done, success, max_turns):
    """What a conversation returns in which ``parts_done`` parts are finished after each of its turns."""
    total, before = 0.0, 0
    for turn_number, done in enumerate(parts_done, start=1):
        facts = {
            "turn": turn_number,
            "max_turns": max_turns,
            "parts_done": done,
            "parts_done_now": done - before,
            "num_parts": NUM_PARTS,
        }
        ended = turn_number == len(parts_done)
        total += resolve(preset)(saying("hi", **facts, ended=ended, success=ended and success))
        before = done
    return total


def test_bounded_pays_each_part_its_share_and_needs_to_know_how_many_there_are():
    done = [(1, 1), (3, 2), (0, -3)]
    rows = [{"parts_done": so_far, "parts_done_now": now, "num_parts": 4} for so_far, now in done]
    terms = [resolve("bounded").terms(saying("hi", max_turns=20, **row)) for row in rows]
    assert [term["parts"] for term in terms] == pytest.approx([0.1, 0.2, -0.3])
    with pytest.raises(RewardError, match="num_parts must say how many parts the task has"):
        resolve("bounded").terms(saying("hi", max_turns=20, parts_done=1, parts_done_now=1))


@pytest.mark.parametrize("done", [3, -1])
def test_more_parts_than_there_are_is_an_error_and_no_reward_beyond_its_bounds(done):
    with pytest.raises(RewardError, match=rf"parts_done must be in \[0, 2\], got {done}"):
        resolve("bounded").terms(saying("hi", max_turns=20, parts_done=done, parts_done_now=done, num_parts=2))


@pytest.mark.parametrize("max_turns", [1, 6, 20, 200])
def test_whatever_happens_bounded_returns_between_minus_0_8_and_1_and_more_for_every_success_than_for_any_failure(
    max_turns,
):
    rng = random.Random(max_turns)
    returns = {True: [], False: []}
    for _ in range(300):
        count = rng.randint(1, max_turns)
        parts_done = [rng.randint(0, NUM_PARTS) for _ in range(count)]
        for won, found in returns.items():
            found.append(paid_by("bounded", parts_done, won, max_turns))
            expected = (0.6 if won else -0.6) + 0.4 * parts_done[-1] / NUM_PARTS
            assert found[-1] == pytest.approx(expected - 0.2 * count / max_turns, abs=1e-12)
    everything = returns[True] + returns[False]
    assert -0.8 - 1e-12 <= min(everything) <= max(everything) <= 1
    assert min(returns[True]) > 0.4 - 1e-12 > -0.2 > max(returns[False])
    assert paid_by("bounded", [0] * max_turns, False, max_turns) == pytest.approx(-0.8)
    assert paid_by("bounded", [NUM_PARTS], True, max_turns) == pytest.approx(1 - 0.2 / max_turns)


def test_tcbot_scales_with_the_turn_limit_and_needs_one():
    assert resolve("tcbot").terms(saying("hi", max_turns=40, ended=True, success=True))["success"] == 80.0
    assert resolve("tcbot").terms(saying("hi", max_turns=40, ended=True))["failure"] == -40.0
    for preset in ("tcbot", "bounded"):
        with pytest.raises(RewardError, match="max_turns must be a number of turns"):
            resolve(preset).terms(saying("hi", ended=True))


def test_success_and_failure_are_paid_once_at_the_end():
    assert [success(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST)] == [0.0, 1.0, 0.0]
    assert [failure(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST)] == [0.0, 0.0, 1.0]
    assert success(saying("hi", ended=False, success=True)) == 0.0  # a task that says so too early


def test_turn_and_parts_count():
    assert turn(saying("")) == turn(saying("a", "b")) == 1.0
    assert parts(saying("", parts_done=2, parts_done_now=0)) == 0.0
    assert parts(saying("here", parts_done=2, parts_done_now=2)) == 2.0
