"""Trainings of language models that are killed, run out of disk, diverge, or whose reward fails: nothing is lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model import grpo
from dialogym.agents.language_model.history import history_of
from dialogym.rewards import RewardError

from ..tiny_lm import WORDS, echo_env, parts_done, tiny_model, tiny_tokenizer
from .test_sft import weights

LOSSES = {
    "reinforce": "reinforce_loss",
    "a2c": "actor_loss",
    "ppo": "ppo_loss",
    "grpo": "grpo_loss",
    "rloo": "rloo_loss",
}
SETTINGS = {
    "env_turns": 128, "batch_conversations": 8, "max_reply_tokens": 3, "num_reports": 4, "learning_rate": 1e-2,
}  # fmt: skip
"""Eight updates of 16 turns each, and a report after every second."""


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def options_of(name):
    return {**SETTINGS, "kl_weight": 0.1} if name in ("grpo", "rloo") else SETTINGS


def trained(name, folder, env=None, conversations_at_once=None, **options):
    settings = {**options_of(name), "conversations_at_once": conversations_at_once}
    agent = make_agent(name, env or echo_env(), init=folder, **settings)
    agent.learn(env or echo_env(), **options)
    return agent


@pytest.fixture
def whole(folder):
    return weights(trained("grpo", folder))


class Killed(BaseException):
    """As if the process were gone: nothing tidies up after it."""


@pytest.mark.parametrize("call", range(1, 9))
def test_killed_between_any_two_renames_of_a_checkpoint(call, folder, tmp_path, whole, monkeypatch):
    count, gone, renamed, removed = [0], [False], os.replace, shutil.rmtree

    def replace(source, target):
        if Path(target).name in ("last", "last.old", "best", "best.old"):
            count[0] += 1
            if count[0] == call:
                gone[0] = True
                raise Killed
        renamed(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        patched.setattr(shutil, "rmtree", lambda *arguments, **options: gone[0] or removed(*arguments, **options))
        with pytest.raises(Killed):
            trained("grpo", folder, checkpoint=tmp_path / "run", validate=lambda agent: 0.0)
    again = trained("grpo", folder, checkpoint=tmp_path / "run", validate=lambda agent: 0.0, resume=True)
    assert torch.equal(weights(again), whole)


CHILD = """
import sys
from dialogym.agents import make_agent
from tests.agents.tiny_lm import echo_env
from tests.agents.language_model.test_bad_luck import SETTINGS
agent = make_agent("grpo", echo_env(), init=sys.argv[1], kl_weight=0.1, **SETTINGS)
agent.learn(echo_env(), checkpoint=sys.argv[2], log=lambda row: print(row["env_turns"], flush=True))
"""


def test_a_process_that_was_killed_loses_one_report_interval_at_most(folder, tmp_path, whole):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, folder, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 80:
            child.kill()
            break
    child.wait()
    child.stdout.close()
    assert child.returncode < 0
    rows = []
    again = trained("grpo", folder, checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert rows[0]["env_turns"] >= 64 + 16  # the report at 64 turns is there
    assert torch.equal(weights(again), whole)


@pytest.mark.parametrize("name", ["ppo", "grpo", "rloo"])
def test_the_very_agent_that_was_interrupted_goes_on_with_the_reference_it_had(name, folder, tmp_path):
    whole, agent = trained(name, folder), make_agent(name, echo_env(), init=folder, **options_of(name))

    def interrupt(row):
        if row["env_turns"] == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.learn(echo_env(), checkpoint=tmp_path / "run", log=interrupt)
    agent.learn(echo_env(), checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(weights(agent), weights(whole))


def test_an_agent_that_was_interrupted_has_forgotten_what_it_read_with_weights_that_it_has_no_more(
    folder, tmp_path, monkeypatch
):
    agent = make_agent("grpo", echo_env(), init=folder, **options_of("grpo"))
    heard = [history_of([{"role": "user", "content": WORDS[0]}])]
    before = agent._reply_to(heard)[0].hidden

    def interrupt(rows):  # its steps are taken
        raise KeyboardInterrupt

    monkeypatch.setattr(grpo, "mean_row", interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(echo_env())
    agent.save(tmp_path / "agent")
    fresh = load_agent(tmp_path / "agent", echo_env())._reply_to(heard)[0].hidden
    assert not torch.allclose(fresh, before, atol=1e-3)
    assert torch.allclose(agent._reply_to(heard)[0].hidden, fresh, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_not_a_number_stops_it_before_any_weight_is_changed(name, folder, tmp_path, monkeypatch):
    whole = trained(name, folder)
    module = sys.modules[type(whole).__module__]
    right = getattr(module, LOSSES[name])

    def diverging(*arguments, **options):
        return right(*arguments, **options) * (float("nan") if updates[0] == 5 else 1.0)

    updates, rows = [1], []

    def log(row):
        updates[0] += 1
        rows.append(row)

    with monkeypatch.context() as patched:
        patched.setattr(module, LOSSES[name], diverging)
        message = (
            r"update 5, after 64 agent turns learned from: the length of the gradient is nan.* is of 64 agent turns"
        )
        with pytest.raises(FloatingPointError, match=message):
            trained(name, folder, checkpoint=tmp_path / "run", log=log)
    assert len(rows) == 4
    assert torch.isfinite(weights(load_agent(tmp_path / "run" / "last", echo_env()))).all()
    again = trained(name, folder, checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(weights(again), weights(whole))


class Unlucky:
    """A reward that fails on turn 2 of one conversation of the fourth batch."""

    name = "unlucky"

    def __init__(self):
        self.broken, self.seen = True, 0

    def __call__(self, transcript):
        self.seen += transcript.turn == 2
        if self.broken and transcript.turn == 2 and self.seen == 3 * 8 + 6:
            raise KeyError("no such price")
        return parts_done(transcript)


def test_a_reward_that_fails_is_told_with_its_conversation_and_turn_and_nothing_is_lost(folder, tmp_path, whole):
    reward = Unlucky()
    env = echo_env(reward=reward)
    where = r"conversation [1-8] of the batch's 8, in row [0-7] \(goal '.*'\), turn 2"
    with pytest.raises(RewardError, match=f"{where}: reward 'unlucky' raised KeyError: 'no such price'") as caught:
        trained("grpo", folder, env, checkpoint=tmp_path / "run")
    assert isinstance(caught.value.__cause__, KeyError)
    reward.broken = False
    rows = []
    again = trained("grpo", folder, env, checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert rows[0]["env_turns"] == 48  # from the report at 32 turns on
    assert torch.equal(weights(again), whole)


class UnluckySixth:
    """A reward that fails on turn 2 with the sixth conversation that gets there."""

    name, seen = "unlucky", 0

    def __call__(self, transcript):
        self.seen += transcript.turn == 2
        if self.seen == 6:
            raise KeyError("no such price")
        return 0.0


def test_a_conversation_whose_reward_fails_is_told_by_its_number_in_the_batch_not_by_its_row(folder):
    env = echo_env(reward=UnluckySixth())
    with pytest.raises(RewardError, match=r"^conversation [5-7] of the batch's 8, in row [01] \(goal"):
        trained("grpo", folder, env, conversations_at_once=2)


def test_a_full_disk_leaves_the_checkpoint_before(folder, tmp_path, whole, monkeypatch):
    saved, calls = torch.save, []

    def save(state, path):
        calls.append(path)
        if len(calls) == 3:
            Path(path).write_bytes(b"half of")
            raise OSError(28, "No space left on device")
        saved(state, path)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", save)
        message = (
            r"could not write the checkpoint .*last \(OSError: .*No space left on device\); what it held before is"
        )
        with pytest.raises(OSError, match=message):
            trained("grpo", folder, checkpoint=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["last"]
    rows = []
    again = trained("grpo", folder, checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert rows[0]["env_turns"] == 48
    assert torch.equal(weights(again), whole)


@pytest.mark.parametrize("name", ["training.pt", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_torn_checkpoint_is_told_and_kept(name, damage, folder, tmp_path):
    trained("grpo", folder, checkpoint=tmp_path / "run", validate=lambda agent: 0.0)
    path = tmp_path / "run" / "last" / name
    path.write_bytes(path.read_bytes()[:100]) if damage == "cut" else path.unlink()
    with pytest.raises(ValueError, match=r"checkpoint .*last is damaged .*the best agent so far is in .*best"):
        trained("grpo", folder, checkpoint=tmp_path / "run", validate=lambda agent: 0.0, resume=True)
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()


def test_a_checkpoint_of_another_algorithm_or_of_other_settings_is_refused(folder, tmp_path):
    trained("rloo", folder, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match=r"expected a checkpoint of an agent 'grpo' in .*run, got one of 'rloo'"):
        trained("grpo", folder, checkpoint=tmp_path / "run", resume=True)
    plain = make_agent("grpo", echo_env(), init=folder, **{**options_of("grpo"), "kl_weight": 0.0})
    plain.learn(echo_env(), checkpoint=tmp_path / "plain")
    with pytest.raises(ValueError, match=r"holds no reference, which kl_weight=0\.1 \(it was 0\.0\) needs: resume"):
        trained("grpo", folder, checkpoint=tmp_path / "plain", resume=True)
    adapted = make_agent("grpo", echo_env(), init=folder, **{**options_of("grpo"), "lora_rank": 2})
    with pytest.raises(ValueError, match=r"does not go with .*lora_rank=2 \(it was None\)"):
        adapted.learn(echo_env(), checkpoint=tmp_path / "plain", resume=True)


def test_supervised_learning_stops_at_a_loss_that_is_not_a_number(tmp_path, monkeypatch):
    from dialogym.agents.language_model import sft

    right, calls = sft.sft_loss, []

    def diverging(*arguments):
        calls.append(1)
        loss, count = right(*arguments)
        return loss * (float("nan") if torch.is_grad_enabled() and len(calls) > 9 else 1.0), count

    tiny_model(tiny_tokenizer()).save(tmp_path / "tiny")
    agent = make_agent("sft", echo_env(), model=str(tmp_path / "tiny"), demonstrations=40, max_reply_tokens=3, epochs=4)
    monkeypatch.setattr(sft, "sft_loss", diverging)
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch \d of \d: the loss is nan.* is of epoch 1\."):
        agent.learn(echo_env(), checkpoint=tmp_path / "run")
    assert torch.isfinite(weights(agent)).all()
