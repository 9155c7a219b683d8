"""Estimates of success whose calibration is known, and slices that differ or do not."""

import numpy as np
import pytest

from dialogym.evaluation.calibration import (
    ScaledEstimates,
    _auc_parts,
    _bins,
    _error_parts,
    _logistic,
    as_probabilities,
    calibration,
    calibration_of_runs,
    calibration_rows,
    facts_of,
    slice_rows,
    slices_of,
    success_by_slices,
    told_slices,
)

pytest.importorskip("sklearn")
pytest.importorskip("scipy")


def test_a_calibrated_estimate_is_not_accused_and_its_error_is_what_chance_makes():
    rng = np.random.default_rng(0)
    accused = 0
    for seed in range(60):
        said = rng.random(200)
        found = calibration(said, rng.random(200) < said, seed)
        accused += found["p_calibrated"] < 0.05
        assert found["error"] == pytest.approx(found["error_expected"], abs=0.06)
        assert found["error_expected"] > 0.04  # though it is calibrated
    assert accused <= 8


def test_one_that_is_too_sure_is_found_out():
    rng = np.random.default_rng(1)
    said = rng.choice([0.1, 0.9], 300)
    found = calibration(said, rng.random(300) < np.where(said > 0.5, 0.7, 0.3))
    assert found["error"] == pytest.approx(0.2, abs=0.06)
    assert found["p_calibrated"] < 0.01
    assert [(one["said"], one["goals"]) for one in found["bins"]] == [
        (pytest.approx(0.1), int((said < 0.5).sum())),
        (pytest.approx(0.9), int((said > 0.5).sum())),
    ]
    assert all(one["low"] <= one["mean"] <= one["high"] for one in found["bins"])


def test_numbers_worked_by_hand():
    found = calibration([0.25, 0.75, 0.75, 0.5], [0, 1, 0, 1])
    assert found["brier"]["mean"] == pytest.approx((0.0625 + 0.0625 + 0.5625 + 0.25) / 4)
    assert found["base"] == 0.25
    assert found["auc"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert found["error"] == pytest.approx((0.25 + 2 * 0.25 + 0.5) / 4)
    assert calibration([0.5, 0.5], [1, 1])["auc"] is None
    assert len(calibration_rows({"value": found})[1]) == len(calibration_rows({})[0])


def test_what_each_goal_adds_to_error_and_auc_has_them_as_its_mean():
    rng = np.random.default_rng(4)
    said = rng.random(150).round(1)  # with ties
    came = (rng.random(150) < 0.4 + 0.3 * said).astype(float)
    found = calibration(said, came)
    assert _error_parts(said, came, _bins(said)).mean() == pytest.approx(found["error"])
    parts = _auc_parts(said, came)
    assert parts.mean() == pytest.approx(found["auc"])
    for name in ("error", "auc"):
        assert found[f"{name}_interval"]["low"] < found[name] < found[f"{name}_interval"]["high"]
    won = np.array(
        [[(a > b) + (a == b) / 2 for b in said[came == 0]] for a in said[came == 1]]
    )  # DeLong's, pair by pair
    variance = won.mean(1).var(ddof=1) / len(won) + won.mean(0).var(ddof=1) / won.shape[1]
    assert parts.var(ddof=1) / len(parts) == pytest.approx(variance, rel=0.02)


def test_one_run_alone_is_what_it_was():
    rng = np.random.default_rng(5)
    said = rng.random(80)
    came = rng.random(80) < said
    assert calibration_of_runs([said], [came]) == calibration(said, came)


def test_a_run_that_is_too_sure_and_one_that_is_too_shy_are_not_calibrated_together():
    rng = np.random.default_rng(6)
    right = rng.choice([0.3, 0.7], (2, 400))
    came = rng.random((2, 400)) < right
    said = np.where(right > 0.5, [[0.9], [0.55]], [[0.1], [0.45]])
    apart = [calibration(*one) for one in zip(said, came, strict=True)]
    found = calibration_of_runs(said, came)
    assert found["runs"] == 2
    assert [run["error"] for run in found["per_run"]] == [run["error"] for run in apart]
    assert found["error"] == pytest.approx(np.mean([run["error"] for run in apart]))
    assert found["error"] > 0.15
    assert found["p_calibrated"] == min(run["p_holm"] for run in found["per_run"]) < 0.01
    assert found["brier"]["mean"] == pytest.approx(((said - came) ** 2).mean())
    assert sum(one["goals"] for one in found["bins"]) == 800
    assert all(0 <= one["low"] <= one["mean"] <= one["high"] <= 1 for one in found["bins"])


def test_intervals_of_several_runs_are_wider_than_those_of_as_many_goals_where_the_runs_differ():
    rng = np.random.default_rng(7)
    said = np.full((3, 200), 0.5) + rng.uniform(-0.2, 0.2, (3, 200))
    came = rng.random((3, 200)) < np.array([[0.1], [0.5], [0.9]])
    several, one = calibration_of_runs(said, came), calibration(said.ravel(), came.ravel())
    assert _width(several["brier"]) > 2 * _width(one["brier"])
    assert _width(several["error_interval"]) > 2 * _width(one["error_interval"])


def test_calibrated_runs_are_accused_at_the_nominal_rate_though_their_goals_are_the_same(monkeypatch):
    monkeypatch.setattr("dialogym.evaluation.calibration.RESAMPLES", 99)
    rng = np.random.default_rng(8)
    accused = 0
    for seed in range(60):
        said = np.tile(rng.random(100), (3, 1))
        luck = rng.random(100)
        came = np.where(rng.random((3, 100)) < 0.5, luck, rng.random((3, 100))) < said  # half of the luck is the goal's
        accused += calibration_of_runs(said, came, seed)["p_calibrated"] < 0.05
    assert accused <= 8  # of 60 at 0.05: more than that in 3 of 1,000 cases


def _width(found):
    return found["high"] - found["low"]


@pytest.mark.parametrize(("said", "came"), [([], []), ([0.5], [1, 0]), ([1.5], [1]), ([0.5], [0.5])])
def test_what_is_no_forecast_is_refused(said, came):
    for judge in (calibration, calibration_of_runs):
        with pytest.raises(ValueError, match="expected"):
            judge(said, came)


def test_a_value_on_any_scale_becomes_a_probability_without_looking_at_its_own_outcome():
    rng = np.random.default_rng(2)
    value = rng.normal(5, 40, 400)
    came = (rng.random(400) < 1 / (1 + np.exp(-(value - 5) / 20))).astype(int)
    ids = [str(number) for number in range(400)]
    found = calibration(as_probabilities(value, came, ids), came)
    assert found["p_calibrated"] > 0.05
    assert found["auc"] > 0.8
    noise = calibration(as_probabilities(rng.random(400), came, ids), came)
    assert noise["auc"] < 0.6  # fitted to the goals themselves it would be above a half
    assert as_probabilities([1.0, 2.0], [1, 1], ["a", "b"]).max() <= 1


def test_the_scale_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(9)
    values, asked = rng.normal(size=60), rng.normal(size=7)
    came = (rng.random((3, 60)) < 1 / (1 + np.exp(-values * [[0.0], [1.0], [100.0]]))).astype(float)
    for own, found in zip(came, _logistic(values, came, asked), strict=True):
        fitted = LogisticRegression(C=100.0, tol=1e-10, max_iter=1000).fit(values[:, None], own.astype(int))
        assert found == pytest.approx(fitted.predict_proba(asked[:, None])[:, 1], abs=1e-5)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_an_estimate_is_not_accused_of_the_scale_that_few_goals_gave_it(monkeypatch, slope):
    monkeypatch.setattr("dialogym.evaluation.calibration.RESAMPLES", 99)
    rng, ids = np.random.default_rng(10), [str(number) for number in range(60)]
    accused, ranked = 0, []
    for seed in range(60):
        value = rng.normal(size=60)
        came = (rng.random(60) < 1 / (1 + np.exp(-slope * value - 0.5))).astype(float)
        found = calibration(as_probabilities(value, came, ids), came, seed, ScaledEstimates.of(value, ids))
        accused += found["p_calibrated"] < 0.05
        ranked.append(found["auc"])
        assert found["auc_interval"]["low"] <= found["auc"] <= found["auc_interval"]["high"]
    assert accused <= 8  # of 60 at 0.05; about 20 while the scale was taken for exact
    assert np.mean(ranked) == pytest.approx({0.0: 0.5, 1.0: 0.74}[slope], abs=0.03)  # 0.45 and 0.67 across two scales


def test_an_estimate_of_another_shape_is_found_out():
    rng, ids = np.random.default_rng(11), [str(number) for number in range(300)]
    value = rng.normal(size=(2, 300))
    came = (rng.random((2, 300)) < np.where(abs(value) < 0.7, 0.9, 0.3)).astype(float)  # best in the middle
    scaled = [ScaledEstimates.of(one, ids) for one in value]
    said = [as_probabilities(*one, ids) for one in zip(value, came, strict=True)]
    found = calibration_of_runs(said, came, scaled=scaled)
    assert found["p_calibrated"] < 0.01
    assert found["auc"] == pytest.approx(np.mean([run["auc"] for run in found["per_run"]]))


GOAL = {
    "constraints": (("food", "chinese"), ("area", "north")), "relax": None, "requests": ("phone", "address"),
    "booking": (("people", "3"),), "alternative": False, "price": 12, "language": {1: 2},
}  # fmt: skip


def test_the_facts_of_any_goal():
    assert facts_of(GOAL, "hello there") == {
        "opening words": 2, "constraints: food": "chinese", "constraints: area": "north", "number of constraints": 2,
        "relax": "none", "number of requests": 2, "booking: people": "3", "number of booking": 1, "alternative": False,
        "price": 12, "language": "some", "constraints": "some", "requests": "some", "booking": "some",
    }  # fmt: skip


def test_slices_are_large_enough_and_say_something():
    facts = [{"food": "thai" if n < 20 else f"rare {n}", "same": 1, "size": n, "id": f"x{n}"} for n in range(60)]
    found = slices_of(facts)
    assert set(found) == {"food", "size"}
    assert {value: len(places) for value, places in found["food"].items()} == {"thai": 20, "other": 40}
    assert [len(places) for places in found["size"].values()] == [20, 20, 20]


@pytest.mark.parametrize("runs", [1, 3])
def test_a_slice_that_differs_is_told_and_many_that_do_not_are_not(runs):
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(25):
        facts = [{f"field {k}": str(rng.integers(4)) for k in range(8)} for _ in range(200)]
        told += bool(told_slices(success_by_slices(rng.random((runs, 200)) < 0.7, slices_of(facts))))
    assert told <= 4  # of 25 times 32 slices, Holm lets one in twenty lists have any
    facts = [{"area": "north" if n % 4 == 0 else "south"} for n in range(200)]
    success = rng.random((runs, 200)) < np.where(np.arange(200) % 4 == 0, 0.3, 0.9)
    worst, best = told_slices(success_by_slices(success, slices_of(facts)))
    assert (worst["value"], worst["goals"], best["value"]) == ("north", 50, "south")
    assert worst["success"]["low"] <= 0.3 <= worst["success"]["high"] + 0.05
    assert slice_rows([worst])[1][0] == "area: north"


def test_values_and_log_probabilities_of_tokens_are_what_the_model_says(tmp_path):
    pytest.importorskip("torch")
    import gymnasium as gym
    import torch

    from dialogym.agents import load_agent, make_agent
    from dialogym.agents.language_model.critic import ValueHead
    from dialogym.evaluation.compare.speech import spoken
    from dialogym.evaluation.score import frozen_goals, score

    env = gym.make("dialogym:TextDialog-v0", interface="text", max_turns=2)
    goals = frozen_goals(env, "test", 3).goals
    agent = make_agent("ppo", env, hidden_size=16, num_layers=1, num_heads=2, max_reply_tokens=4)
    scores = score(agent, env, goals)
    assert scores.values is None  # nothing has learned a value yet
    agent.critic = ValueHead(agent.lm.hidden_size)
    torch.nn.init.normal_(agent.critic.linear.weight)
    agent.save(tmp_path)
    again = score(load_agent(tmp_path, env), env, goals, batch_size=2)
    assert again.values == pytest.approx(score(agent, env, goals).values)
    assert len(set(again.values.tolist())) > 1

    talks = [[{"role": role, "content": text} for role, text in kept.messages] for kept in scores.kept]
    for found, messages in zip(spoken(agent.lm, talks).logprobs, talks, strict=True):
        ids, said = agent.lm.tokenizer.encode_demonstration(messages)
        with torch.no_grad():
            logits = agent.lm.possible(agent.lm.model(torch.tensor([ids])).logits[0])
        own = [logits[place - 1].log_softmax(-1)[ids[place]].item() for place in range(1, len(ids)) if said[place]]
        assert found == pytest.approx(np.mean(own), abs=1e-4)


def test_a_table_expects_its_best_value_and_reports_say_how_right_it_is():
    pytest.importorskip("matplotlib")
    import gymnasium as gym

    from dialogym.agents import make_agent
    from dialogym.evaluation.report.page import html_report, markdown_report
    from dialogym.evaluation.report.results import check_results, results_of
    from dialogym.evaluation.score import frozen_goals, score

    from .fake_results import NUM_GOALS, fake_facts, fake_record

    env = gym.make("dialogym:TextDialog-v0")
    agent = make_agent("q_learning", env)
    scores = score(agent, env, frozen_goals(env, "test", 4).goals)
    assert scores.values.tolist() == [agent.config.initial_value] * 4

    rng = np.random.default_rng(0)
    records = {"rule": [fake_record("rule", 0, rng)], "sft_rl": [fake_record("sft_rl", 0, rng)]}
    success = np.array(records["sft_rl"][0]["best"]["success"])
    records["sft_rl"][0]["best"]["estimates"] = {"value": (success + rng.normal(0, 0.5, NUM_GOALS)).tolist()}
    failed = [int(place) for place in np.flatnonzero(success == 0)[:12]]
    slices = {"area": {"<i>north": failed, "south": [n for n in range(NUM_GOALS) if n not in failed]}}
    results = results_of(records, {}, {**fake_facts(), "slices": slices}, dict.fromkeys(("sft", "rl"), "not now"))
    left_out = {**results["left_out"], **dict.fromkeys(("do_nothing", "random", "untrained", "q_learning"), "")}
    check_results({**results, "left_out": {**left_out, "sb3_ppo": "", "ppo": ""}})
    found = results["agents"]["sft_rl"]
    assert found["calibration"]["value"]["auc"] > 0.8
    assert [row["value"] for row in found["slices"]] == ["<i>north", "south"]
    page, text = html_report(results), markdown_report(results)
    assert "<i>north" not in page.replace("&lt;i>", "")
    for words in ("Does it know?", "Where it fails"):
        assert words in page
        assert f"## {words}" in text
    assert "success in slices of the goals" in page


def test_every_run_is_judged_and_those_that_never_failed_are_counted():
    pytest.importorskip("matplotlib")
    from dialogym.evaluation.report.page import html_report, markdown_report
    from dialogym.evaluation.report.results import results_of

    from .fake_results import NUM_GOALS, fake_facts, fake_record

    rng = np.random.default_rng(0)
    records = {"rule": [fake_record("rule", 0, rng)], "sft_rl": [fake_record("sft_rl", seed, rng) for seed in range(3)]}
    records["sft_rl"][2]["best"]["success"] = [1] * NUM_GOALS
    for record, noise in zip(records["sft_rl"], (0.3, 3.0, 1.0), strict=True):  # the first run knows best
        success = np.array(record["best"]["success"])
        record["best"]["estimates"] = {"value": (success + rng.normal(0, noise, NUM_GOALS)).tolist()}
    left_out = dict.fromkeys(("sft", "rl", "do_nothing", "random", "q_learning", "sb3_ppo"), "not now")
    results = results_of(records, {}, fake_facts(3), left_out)
    found = results["agents"]["sft_rl"]["calibration"]["value"]
    assert (found["runs"], found["left_out"]) == (2, 1)
    knowing, guessing = (run["auc"] for run in found["per_run"])
    assert knowing > 0.9 > guessing
    assert found["auc"] == pytest.approx((knowing + guessing) / 2, abs=1e-3)
    for report in (html_report(results), markdown_report(results)):
        assert "value, 2 of 3 runs" in report
