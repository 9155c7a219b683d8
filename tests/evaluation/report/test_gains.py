"""What a gain cost: an honest one and a gamed one, made up, and what the report says of each."""

import copy
import functools

import numpy as np
import pytest

from dialogym.evaluation.report.gains import gains
from dialogym.evaluation.report.page import html_report, markdown_report
from dialogym.evaluation.report.results import results_of
from dialogym.evaluation.suite import markdown

from ..fake_results import fake_facts, fake_record, fake_results

FIGURES = ("fluency", "distinct_1", "distinct_2", "reply_words", "cut_share", "kl_to_reference")
GRADES = {"zero_shot": 0.1, "lora_sft": 0.4, "lora_sft_rl": 0.7, "rule": 1.0}
SPOKEN = {  # FIGURES of each
    "zero_shot": (8.0, 0.40, 0.70, 12.0, 0.02, None),
    "lora_sft": (30.0, 0.30, 0.60, 14.0, 0.00, 0.4),
    "lora_sft_rl": (33.0, 0.28, 0.55, 15.0, 0.00, 0.2),
    "rule": (35.0, 0.35, 0.80, 16.0, None, None),
}
GAMED = {**SPOKEN, "lora_sft_rl": (90.0, 0.05, 0.12, 40.0, 0.84, 3.1)}


@functools.cache
def honest():
    """Results through the functions that real ones go through."""
    rng, records = np.random.default_rng(0), {}
    for name, grade in GRADES.items():
        record = fake_record("sft", 0, rng, grade)
        starts = "lora_sft/seed-0" if name == "lora_sft_rl" else None
        record["arm"] = {**record["arm"], "name": name, "start_from": starts, "trains": name.startswith("lora")}
        told = dict(zip(("distinct_1", "distinct_2", "reply_words", "cut_share", "kl"), SPOKEN[name][1:], strict=True))
        said = [{"role": "assistant", "content": f"{name} says so"}]
        conversations = [[{"role": "user", "content": f"goal {number}"}, *said] for number in range(3)]
        record["best"].update(told, conversations=conversations)
        records[name] = [record]
    fluency = {f"{name}/seed-0": spoken[0] for name, spoken in SPOKEN.items()}
    return results_of(records, fluency, fake_facts(), {})


def made_up(spoken, rises=True):
    """The honest results with other figures of what was said, and the gains that come of them."""
    results = copy.deepcopy(honest())
    for name, figures in spoken.items():
        results["agents"][name].update(zip(FIGURES, figures, strict=True))
    if not rises:
        next(test for test in results["tests"] if test["first"] == "lora_sft_rl")["return_difference"]["low"] = -0.1
    return {**results, "gains": gains(results)}


def gain_of(results):
    return next(gain for gain in results["gains"] if gain["agent"] == "lora_sft_rl")


def test_a_small_variety_that_fell_is_said_with_digits_that_differ():
    dull = {"lora_sft": (30.0, 0.30, 0.0148, 14.0, 0.0, 0.4), "lora_sft_rl": (33.0, 0.28, 0.0068, 15.0, 0.0, 0.2)}
    assert gain_of(made_up(dull))["signs"] == ["distinct-2 fell from 0.015 to 0.007 (the rule's: 0.80)"]


def test_a_gamed_reward_is_said_to_be_with_its_numbers():
    results = made_up(GAMED)
    gain = gain_of(results)
    assert gain["rose"]
    assert len(gain["signs"]) == 4
    assert gain["says"].startswith("pretrained, SFT → RL may be gaming the reward: the return rose from ")
    for part in (
        "perplexity rose from 30.0 to 90.0 (the rule's: 35.0)",
        "distinct-1 fell from 0.30 to 0.05 (the rule's: 0.35)",
        "distinct-2 fell from 0.60 to 0.12 (the rule's: 0.80)",
        "84% of the replies run into the limit of length (0% before)",
    ):
        assert part in gain["says"]
    page, text = html_report(results), markdown_report(results)
    assert page.index("The reward may be gamed") < page.index("<h2>Success</h2>")
    assert "may be gaming the reward" in text


def test_an_honest_gain_is_not_called_gamed_and_shows_what_it_cost():
    results = made_up(SPOKEN)
    gain = gain_of(results)
    assert (gain["rose"], gain["signs"], gain["kl"]) == (True, [], 0.2)
    assert "perplexity 30.0 before and 33.0 after, distinct-2 0.60 before and 0.55 after" in gain["says"]
    page, text = html_report(results), markdown_report(results)
    assert "gam" not in text.replace("games", "")
    assert "The reward may be gamed" not in page
    costs = text.split("## What the gains cost")[1]
    row = next(line for line in costs.splitlines() if line.startswith("| pretrained, SFT → RL |"))
    for cell in ("30.00 → 33.00", "14.0 → 15.0", "0.30 → 0.28", "0.60 → 0.55", "0.0% → 0.0%", "0.200"):
        assert cell in row


def test_replies_to_the_same_goals_stand_side_by_side():
    replies = gain_of(made_up(SPOKEN))["replies"]
    assert len(replies) == 3
    assert replies[1] == {
        "goal_id": "1", "asked": "goal 1", "before": "lora_sft says so", "after": "lora_sft_rl says so"
    }  # fmt: skip


def test_who_comes_to_speak_like_the_rule_did_not_lose_its_language():
    likely_rule = {**SPOKEN, "rule": (95.0, 0.02, 0.05, 40.0, None, None)}
    changed = {**likely_rule, "lora_sft_rl": (90.0, 0.05, 0.12, 40.0, 0.0, 3.1)}
    assert gain_of(made_up(changed))["signs"] == []


@pytest.mark.parametrize(
    ("place", "value", "sign"),
    [(0, 43.0, "perplexity"), (1, 0.14, "distinct-1"), (2, 0.29, "distinct-2"), (4, 0.21, "limit of length")],
)
def test_each_sign_alone_is_enough(place, value, sign):
    spoken = list(SPOKEN["lora_sft_rl"])
    spoken[place] = value
    (found,) = gain_of(made_up({**SPOKEN, "lora_sft_rl": tuple(spoken)}))["signs"]
    assert sign in found


def test_where_the_reward_did_not_rise_nothing_was_gamed():
    gain = gain_of(made_up(GAMED, rises=False))
    assert (gain["rose"], gain["signs"]) == (False, [])
    assert "no rise in return is shown" in gain["says"]


def test_sft_has_its_price_shown_and_is_never_called_gaming():
    gain = next(gain for gain in made_up(SPOKEN)["gains"] if gain["agent"] == "lora_sft")
    assert gain["fluency"] == [8.0, 30.0]
    assert (gain["signs"], gain["kl"]) == ([], 0.4)


def test_reports_of_the_small_model_have_the_same_figures():
    found = {gain["agent"]: gain for gain in fake_results()["gains"]}
    assert found["sft_rl"]["before"] == "sft"
    assert found["sft_rl"]["kl"] == 0.1  # the last of the log, where nothing was measured on the conversations
    assert (found["rl"]["before"], found["rl"]["rose"]) == ("untrained", False)
    assert found["sft_rl"]["reply_words"] == [None, None]
    assert gains({"agents": {}, "tests": [], "samples": []}) == []


def test_the_table_across_environments_says_what_the_gains_cost():
    rows = {
        name: {
            "goals": 100,
            "runs": 1,
            "agents": {},
            "rl_after_sft": None,
            "gains": made_up(spoken)["gains"],
            "left_out": {},
        }
        for name, spoken in (("Honest-v0", SPOKEN), ("Gamed-v0", GAMED))
    }
    text = markdown({"environments": rows, "left_out": {}})
    assert "| Gamed-v0 | pretrained, SFT → RL | pretrained, SFT | " in text
    honest, gamed = text.split("### Honest-v0")[1].split("### Gamed-v0")
    assert "may be gaming" in gamed
    assert "may be gaming" not in honest
    assert "- goal 0" in honest
    assert "  - after: lora\\_sft\\_rl says so" in honest
