"""The card of an agent: what is known stands on it, in figures that can be checked, and what is not known does not."""

import hashlib
import json
import shutil

import gymnasium as gym
import pytest
import yaml
from typer.testing import CliRunner

from dialogym import cli
from dialogym.agents import load_agent, make_agent
from dialogym.agents.files import EVALUATION_FILE, digest_of
from dialogym.deployment import measurement
from dialogym.deployment.card import CEILING, _beside_floors, _shown, card_of, opinions_of, write_card
from dialogym.deployment.measurement import TRAINED, measure
from dialogym.envs import register_task
from dialogym.envs.speakers import SPEAKERS, FunctionSpeaker
from dialogym.envs.text_wordle import TextWordle
from dialogym.evaluation.rating.judges import in_words, judges_in
from dialogym.evaluation.report.efficiency import in_words as in_cell
from dialogym.evaluation.score import frozen_goals, score
from dialogym.evaluation.statistics import wilson_interval
from dialogym.rewards import Reward, resolve

NOISY = {"noise": 0.15}
NUM_GOALS = 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a table that learned a little."""
    folder = tmp_path_factory.mktemp("run") / "agent"
    made = gym.make("TextDialog-v0", **NOISY)
    agent = make_agent("q_learning", made, seed=4, env_turns=4000, gamma=0.9)
    agent.learn(made)
    agent.save(folder)
    return folder


def head_of(card):
    """The metadata, as the hub reads it."""
    _, head, text = card.split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_scores_on_the_card_are_those_of_the_agent(trained):
    told = measure(trained, num_goals=NUM_GOALS)
    made = gym.make("TextDialog-v0", **NOISY)
    goals = frozen_goals(made, "test", NUM_GOALS, seed=0)
    found = score(load_agent(trained), made, goals.goals)
    interval = wilson_interval(int(found.success.sum()), NUM_GOALS)
    assert told["rows"][TRAINED]["success"] == list(interval)
    assert told["rows"][TRAINED]["turns"][0] == pytest.approx(found.turns.mean())
    assert told["goals_sha256"] == goals.hash
    head, text = head_of(card_of(trained))
    row = f"| **this agent** | {interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f}) |"
    assert row in text
    assert "| `rule`, the ceiling | " in text
    assert "| `do_nothing`, a floor | 0.000 (0.000 to " in text
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"] == {"type": "TextDialog-v0", "name": "TextDialog-v0", "split": "test"}
    assert result["metrics"][0]["value"] == pytest.approx(interval.mean, abs=1e-4)


def test_the_card_tells_what_it_learned_from_and_with_which_settings(trained):
    _, text = head_of(card_of(trained))
    budget = json.loads((trained / "agent.json").read_text())["budget"]
    assert f"Learned from {budget['env_turns']:,} agent turns" in text
    assert "| `gamma` | `0.9` |" in text
    assert "`step_size`" not in text  # a default
    assert "Settings of `TextDialog-v0`: `noise=0.15`." in text
    assert "dialogym evaluate FOLDER --env TextDialog-v0 --set noise=0.15" in text
    assert "No person has judged it." in text


def test_hugging_face_reads_the_metadata(trained):
    from huggingface_hub import ModelCard

    card = ModelCard(card_of(trained))
    assert card.data.library_name == "dialogym"
    assert "TextDialog-v0" in card.data.tags
    measure(trained, num_goals=NUM_GOALS)
    (result, _) = ModelCard(card_of(trained)).data.eval_results
    assert (result.metric_type, result.dataset_split) == ("success", "test")


def test_scores_are_taken_again_only_for_another_agent_or_other_goals(trained, tmp_path):
    import shutil

    folder = shutil.copytree(trained, tmp_path / "agent")
    first, names = measure(folder, num_goals=5), []
    assert measure(folder, num_goals=5, step=names.append) == first
    assert names == []
    write_card(folder)  # which is not part of the agent
    assert measure(folder, num_goals=5, step=names.append) == first
    assert names == []
    assert "5 test goals" in card_of(folder)
    load_agent(folder).save(folder)
    assert "5 test goals" in card_of(folder)  # the same agent
    before = digest_of(folder)
    make_agent("q_learning", gym.make("TextDialog-v0"), seed=9, env_turns=50).save(folder)
    assert digest_of(folder) != before
    assert "It was not scored" in card_of(folder)  # the scores are of another one
    measure(folder, num_goals=6, step=names.append)
    assert names[0] == TRAINED
    assert "6 test goals" in card_of(folder)


def test_scores_under_other_options_are_taken_anew_and_told_as_such(tmp_path):
    make_agent("rule", "TextDialog-v0").save(tmp_path)
    plain = measure(tmp_path, num_goals=20)
    assert "goals of `TextDialog-v0`, which" in card_of(tmp_path)
    noisy = measure(tmp_path, gym.make("TextDialog-v0", noise=0.6), num_goals=20)
    assert noisy["goals_sha256"] == plain["goals_sha256"]
    assert noisy["rows"][TRAINED]["success"][0] < plain["rows"][TRAINED]["success"][0]
    assert "goals of `TextDialog-v0` with `noise=0.6`, which" in card_of(tmp_path)


def test_a_return_that_rests_on_a_judge_is_told_with_how_good_the_judge_is(tmp_path):
    class Opinion(Reward):
        name, low, high, is_judge = "opinion", 0.0, 1.0, True
        quality_file = tmp_path / "quality.json"

        def identity(self):
            return "version 1"

        def __call__(self, transcript):
            return 0.5

    one, names = Opinion(), []
    make_agent("rule", "TextDialog-v0").save(tmp_path / "agent")
    made = gym.make("TextDialog-v0", reward={one: 1.0, "sparse": 1.0})
    told = measure(tmp_path / "agent", made, num_goals=3)
    assert told["judges"] == [{"reward": "opinion", "quality": None}]
    card = card_of(tmp_path / "agent")
    words = in_words(told["judges"][0])
    assert "was not measured" in words
    assert card.index("## Scores") < card.index(words) < card.index("| | success | return | turns |")
    found = {"mean": 0.7, "low": 0.6, "high": 0.8}
    quality = {"num_pairs": 40, "accuracy": found, "kappa": found, "position": None, "length": None, "own": None}
    one.quality_file.write_text(
        json.dumps({"of": hashlib.sha256(b"version 1").hexdigest()[:16], "sways": [], **quality})
    )
    assert judges_in(resolve(one)) != told["judges"]
    again = measure(tmp_path / "agent", made, num_goals=3, step=names.append)
    assert names == []  # the same scores
    assert again == {**told, "judges": judges_in(resolve(one))}
    assert "on 40 pairs it chose as most people did in 0.70 [0.60, 0.80]" in card_of(tmp_path / "agent")


def says_goodbye(who):
    return FunctionSpeaker(lambda messages: "Thank you, goodbye.")


def test_scores_with_a_partner_whose_model_was_trained_anew_are_taken_anew_and_the_card_says_which(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(SPEAKERS, "lm", f"{__name__}:says_goodbye")
    model, names = tmp_path / "model", []
    model.mkdir()
    (model / "config.json").write_text("one")
    make_agent("rule", gym.make("TextDialog-v0", partner=f"lm:{model}")).save(tmp_path / "agent")
    told = measure(tmp_path / "agent", num_goals=2)
    assert told["digests"] == {f"lm:{model}": digest_of(model)}
    assert measure(tmp_path / "agent", num_goals=2, step=names.append) == told
    assert names == []
    card = card_of(tmp_path / "agent")
    assert f"; SHA-256 of the files of `lm:model` {digest_of(model)[:12]}; dialogym " in card
    assert f"`partner=lm:.../{tmp_path.name}/model`" in card
    assert str(tmp_path) not in card
    (model / "config.json").write_text("another")
    anew = measure(tmp_path / "agent", num_goals=2, step=names.append)
    assert names[0] == TRAINED
    assert anew["digests"] != told["digests"]


def test_the_card_says_nothing_of_judges_where_there_are_none(tmp_path):
    make_agent("rule", "TextDialog-v0").save(tmp_path)
    assert measure(tmp_path, num_goals=2)["judges"] == []
    before = json.loads((tmp_path / EVALUATION_FILE).read_text())
    with_none = card_of(tmp_path)
    del before["judges"]  # of a version that did not note them
    (tmp_path / EVALUATION_FILE).write_text(json.dumps(before))
    assert card_of(tmp_path) == with_none
    assert "opinion" not in with_none


def test_the_command_reads_the_files_of_an_agent_once(tmp_path, monkeypatch):
    make_agent("q_learning", gym.make("TextDialog-v0")).save(tmp_path)
    asked = []
    monkeypatch.setattr(measurement, "digest_of", lambda folder: [digest_of(folder), asked.append(folder)][0])
    result = CliRunner().invoke(cli.app, ["card", str(tmp_path), "--goals", "5"])
    assert result.exception is None, result.output
    assert "On 5 test goals" in (tmp_path / "README.md").read_text()
    assert asked == [tmp_path]


def test_the_command_tells_what_is_wrong_with_the_conversations_before_it_scores_anything(tmp_path):
    make_agent("q_learning", gym.make("TextDialog-v0")).save(tmp_path)
    (tmp_path / "people.jsonl").write_text("[]\n")
    people = ["--people", str(tmp_path / "people.jsonl")]
    result = CliRunner().invoke(cli.app, ["card", str(tmp_path), "--goals", "5", *people])
    assert "people.jsonl, line 1: expected a conversation that serve kept" in str(result.exception)
    assert not (tmp_path / EVALUATION_FILE).exists()


def test_the_command_changes_options_of_the_environment_that_the_agent_was_made_for(tmp_path):
    make_agent("rule", "TextWordle-v0").save(tmp_path)
    result = CliRunner().invoke(cli.app, ["card", str(tmp_path), "--goals", "2", "--set", "hard=true"])
    assert result.exception is None, result.output
    assert "goals of `TextWordle-v0` with `hard=True`, which" in (tmp_path / "README.md").read_text()


def test_commands_of_an_environment_of_ones_own_name_a_module_and_those_of_ours_none(tmp_path):
    register_task("Own-v0", TextWordle)
    try:
        for env_id in ("Own-v0", "TextWordle-v0"):
            make_agent("rule", env_id).save(tmp_path / env_id)
        own, ours = card_of(tmp_path / "Own-v0"), card_of(tmp_path / "TextWordle-v0")
    finally:
        gym.registry.pop("Own-v0")
    assert "dialogym evaluate FOLDER --env MODULE:Own-v0\n" in own
    assert "dialogym serve FOLDER --env MODULE:Own-v0 " in own
    assert "import MODULE  # which registers Own-v0\nfrom dialogym.agents" in own
    assert "dialogym evaluate FOLDER --env TextWordle-v0\n" in ours
    assert "MODULE" not in ours


def test_a_success_that_a_floor_reaches_is_told_as_such(tmp_path):
    folder = tmp_path / "agent"
    make_agent("q_learning", gym.make("TextDialog-v0"), env_turns=50).save(folder)
    measure(folder, num_goals=5)
    assert "not told apart from the best floor's" in card_of(folder)
    assert "It has learned nothing" in card_of(folder)


@pytest.mark.parametrize(
    ("success", "said"),
    [
        ([0.02, 0.01, 0.05], ["Its success is below the best floor's."]),
        ([0.45, 0.40, 0.50], ["Its success is not told apart from the best floor's: the intervals overlap."]),
        ([0.90, 0.85, 0.95], []),
    ],
)
def test_where_the_agent_stands_beside_the_best_floor(success, said):
    floors = {"do_nothing": {"success": [0.0, 0.0, 0.02]}, "random": {"success": [0.5, 0.43, 0.57]}}
    assert _beside_floors({TRAINED: {"success": success}, **floors, CEILING: {"success": [1.0, 0.99, 1.0]}}) == said
    assert _beside_floors({TRAINED: {"success": success}}) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/models/small", ".../models/small"),
        ("lm:/home/me/models/small?temperature=0.7", "lm:.../models/small?temperature=0.7"),
        ("lm:models/small", "lm:models/small"),
        ("http://localhost:8000/v1#small", "http://localhost:8000/v1#small"),
        ("rule", "rule"),
    ],
)
def test_a_path_from_the_root_is_cut_to_its_end(text, shown):
    assert _shown(text) == shown


def test_people_who_talked_to_it_are_counted(trained, tmp_path):
    kept = tmp_path / "kept.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": "a\u2028b"}], "success": one} for one in (True, False, True, None)
    ]
    kept.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    opinions = opinions_of(kept)
    assert (opinions.judged, opinions.silent) == (3, 1)
    low, high = (f"{value:.3f}" for value in wilson_interval(2, 3)[1:])
    told = f"In 0.667 of 3 conversations people said that they got what they wanted (95% {low} to {high})"
    assert told in card_of(trained, opinions)
    kept.write_text('{"messages": []}\n')
    with pytest.raises(ValueError, match="line 1: expected a conversation that serve kept"):
        opinions_of(kept)


def test_a_card_shows_where_a_model_is_from_and_nobodys_folders(tmp_path):
    folder, model = tmp_path / "agent", tmp_path / "somebody" / "models" / "small"
    shape = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
    agent = make_agent("sft", gym.make("TextDialog-v0"), **shape)
    agent.lm.save(model)
    make_agent("sft", gym.make("TextDialog-v0"), model=str(model)).save(folder)
    head, text = head_of(card_of(folder))
    assert "It started from `.../models/small`." in text
    assert "somebody" not in text
    assert "base_model" not in head
    assert "license" not in head
    assert "Nothing is said about its license." in text
    source = {"model": "small", "hub": "owner/Small", "license": "Apache-2.0"}
    (model / "source.json").write_text(json.dumps(source))
    head, text = head_of(card_of(folder))
    assert (head["base_model"], head["license"], head["pipeline_tag"]) == (
        "owner/Small",
        "apache-2.0",
        "text-generation",
    )
    assert "It started from `owner/Small`." in text
    assert head_of(card_of(folder, license="MIT"))[0]["license"] == "mit"
    make_agent("ppo", gym.make("TextDialog-v0"), init=str(folder)).save(tmp_path / "later")
    assert head_of(card_of(tmp_path / "later"))[0]["base_model"] == "owner/Small"
    shutil.copy(tmp_path / "later" / "agent.json", folder)  # now it is told to have started from itself
    assert "It started from `.../" in card_of(folder)


def test_a_training_leaves_a_card_and_the_command_adds_scores(tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "run"
    trained = run(
        cli.app, ["train", "q_learning", "--out", str(out), "--config", "env_turns=500", "--validate-goals", "20"]
    )
    assert trained.exception is None, trained.output
    folder = out / "agent"
    assert "It was not scored" in (folder / "README.md").read_text()
    validated = "Success on validation goals: "
    assert validated in (folder / "README.md").read_text()
    assert validated in card_of(shutil.copytree(folder, tmp_path / "elsewhere"))
    result = run(cli.app, ["card", str(folder), "--goals", "5", "--license", "mit"])
    assert result.exception is None, result.output
    head, text = head_of((folder / "README.md").read_text())
    assert head["license"] == "mit"
    assert "On 5 test goals" in text
    took = json.loads((folder / EVALUATION_FILE).read_text())["what_it_took"]
    assert took["ceiling"] == 1.0
    (half, *_) = took["sample_efficiency"]
    assert "\n## What it took\n" in text
    assert f"| 0.5 (success 0.50) | {in_cell(half, 'env_turns').replace('>', '&gt;')} |" in text
    evaluated = run(cli.app, ["evaluate", str(folder), "--goals", "5", "--json", str(out / "scores.json")])
    assert evaluated.exception is None, evaluated.output
    assert "What its training took" in evaluated.output
    told = json.loads((out / "scores.json").read_text())
    assert told["what_it_took"] == took
    assert (told["agent"], told["goals"], told["success"]["high"] > 0) == ("q_learning", 5, True)
    elsewhere = run(cli.app, ["evaluate", str(folder), "--goals", "5", "--set", "noise=0.3"])
    assert "What its training took is not known: it learned in another environment" in elsewhere.output
    told = json.loads((folder / EVALUATION_FILE).read_text())
    del told["what_it_took"]  # as an earlier version kept the scores
    (folder / EVALUATION_FILE).write_text(json.dumps(told))
    assert "Not known: a version that did not ask for it took the scores." in card_of(folder)
    assert measure(folder, num_goals=5)["what_it_took"] == took
    (folder / EVALUATION_FILE).write_text("[]")
    assert isinstance(run(cli.app, ["card", str(folder), "--goals", "0"]).exception, ValueError)
    assert isinstance(run(cli.app, ["card", str(tmp_path)]).exception, ValueError)
