import pytest

from dialogym.rewards import RewardError, failure, parts, resolve, success, turn

from .conversations import saying

GOING_ON = {"max_turns": 20}
WON = {"max_turns": 20, "ended": True, "success": True}
LOST = {"max_turns": 20, "ended": True, "success": False}

PRESETS = {  # preset: (going on, success, failure), per turn
    "pydial": (-1, 20 - 1, 0 - 1),
    "tcbot": (-1, 2 * 20 - 1, -20 - 1),
    "convlab": (-1, 40 - 1, -20 - 1),
    "sparse": (0, 1, 0),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_pays_what_its_paper_says(preset):
    reward = resolve(preset)
    paid = tuple(reward(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST))
    assert paid == PRESETS[preset]


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


def test_tcbot_scales_with_the_turn_limit_and_needs_one():
    assert resolve("tcbot").terms(saying("hi", max_turns=40, ended=True, success=True))["success"] == 80.0
    assert resolve("tcbot").terms(saying("hi", max_turns=40, ended=True))["failure"] == -40.0
    with pytest.raises(RewardError, match="max_turns must be a number of turns"):
        resolve("tcbot").terms(saying("hi", ended=True))


def test_success_and_failure_are_paid_once_at_the_end():
    assert [success(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST)] == [0.0, 1.0, 0.0]
    assert [failure(saying("hi", **facts)) for facts in (GOING_ON, WON, LOST)] == [0.0, 0.0, 1.0]
    assert success(saying("hi", ended=False, success=True)) == 0.0  # a task that says so too early


def test_turn_and_parts_count():
    assert turn(saying("")) == turn(saying("a", "b")) == 1.0
    assert parts(saying("", parts_done=2, parts_done_now=0)) == 0.0
    assert parts(saying("here", parts_done=2, parts_done_now=2)) == 2.0
