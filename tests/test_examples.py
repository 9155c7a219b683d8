"""What the examples show is there to be seen: they run in the script of CI, here they are right."""

import argparse
import functools
import io
import pathlib
import random
import sys
import types

import gymnasium as gym
import pytest

from .scripts import load

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


@functools.cache
def example(name):
    return load(EXAMPLES / f"{name}.py")


def test_the_custom_reward_pays_for_checks_and_for_nothing_else():
    env = gym.make("dialogym:TextDialog-v0", reward={"pydial": 1.0, example("custom_reward").checks: 0.5})
    menu, paid = env.unwrapped.task.menu, set()
    for choice, name in enumerate(menu):
        env.reset(seed=0)
        *_, info = env.step(choice)
        if info["reward_terms"]["checks"] > 0:
            paid.add(name)
    assert paid == {"confirm_food", "confirm_area", "confirm_pricerange"}


def test_the_guessed_number_is_found_by_halving():
    task = example("custom_task")
    env = gym.make("Guess-v0")
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, ended, _, info = env.step(task.halve(observation, info))
        assert info["success"]


@pytest.mark.parametrize(
    ("reply", "tasteful", "booked"),
    [("Thank you. It is booked.", 0.5, True), ("Is it?", -0.2, False), ("Please, it's BOOKED!", 0.6, True)],
)
def test_the_taste_of_the_raters_and_the_task_read_words_however_they_are_written(reply, tasteful, booked):
    preferences = example("preferences")
    assert preferences.taste(reply) == pytest.approx(tasteful)
    assert preferences.says_it_is_booked(reply) is booked


def test_a_learned_partner_is_told_and_says_what_the_simulated_user_does():
    partner = example("train_partner")
    chats = partner.conversations_of_the_user(partner.ENV, 3, seed=5)
    assert chats == partner.conversations_of_the_user(partner.ENV, 3, seed=5)
    assert chats != partner.conversations_of_the_user(partner.ENV, 3, seed=6)
    for chat in chats:
        assert [message["role"] for message in chat] == ["system", *["user", "assistant"] * (len(chat) // 2)]
        assert "What you want, in this order:" in chat[0]["content"]
        said = " ".join(message["content"].lower() for message in chat if message["role"] == "assistant")
        assert any(word in said for word in ("thank", "bye"))
        heard = [message["content"] for message in chat if message["role"] == "user"]
        assert not any(words.startswith("search(") for words in heard)  # tools are the agent's


def test_a_partner_to_go_on_from_that_is_not_there_is_told_before_anything_is_played(monkeypatch):
    partner = example("train_partner")
    monkeypatch.setattr(sys, "argv", ["train_partner.py", "--init", "no/such/folder"])
    monkeypatch.delattr(partner, "conversations_of_the_user")
    with pytest.raises(ValueError, match="got 'no/such/folder', which does not exist"):
        partner.main()


def test_one_folder_does_not_mix_two_models(tmp_path, monkeypatch):
    pretrained = example("train_pretrained")
    monkeypatch.setattr(pretrained, "trained", lambda agent, env, out, num_goals: agent.save(out / "agent"))
    monkeypatch.setattr(pretrained, "tested", lambda *_: {})
    command = ["train_pretrained.py", "--quick", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    pretrained.main()
    monkeypatch.setattr(sys, "argv", [*command, "--model", str(tmp_path / "tiny")])
    with pytest.raises(SystemExit, match=r"holds a training with other settings, .*: choose another --out"):
        pretrained.main()


def test_trl_begins_with_the_model_that_is_named_or_not_at_all(tmp_path):
    pytest.importorskip("trl")
    named = tmp_path / "no" / "such" / "model"
    alone = types.SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None)
    with pytest.raises(SystemExit, match=r"--model must be a folder or a name on the hub, got '.*model'"):
        example("train_trl").train(argparse.Namespace(quick=True, model=str(named)), alone, tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_example_of_trl_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r'needs trl: pip install "dialogym\[trl\]"'):
        load(EXAMPLES / "train_trl.py")


@pytest.mark.parametrize("ending", ["quit\n", ""])
def test_whoever_quits_the_talk_ends_it_quietly(ending, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["talk_to_agent.py"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(ending))
    example("talk_to_agent").main()
    assert capsys.readouterr().out.endswith("You ended the conversation.\n")


def test_other_values_stand_wherever_the_old_ones_stood():
    chat = [
        {"role": "system", "content": "Book a table for 4 people on Friday. After 4 answers you lose patience."},
        {"role": "assistant", "content": "For 4 people on friday, or on Monday."},
    ]
    words = [f"word{number}" for number in range(1000)]
    told, said = [one["content"] for one in example("train_partner").with_other_values(chat, words, random.Random(0))]
    people, day, other_day = (word for word in said.replace(",", "").replace(".", "").split() if word in words)
    assert told == f"Book a table for {people} people on {day}. After 4 answers you lose patience."
    assert said == f"For {people} people on {day}, or on {other_day}."
    assert len({people, day, other_day}) == 3
