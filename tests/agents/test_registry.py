"""Agents by name: every name makes an agent of that name, and a wrong one says which is right."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from dialogym.agents import agent_names, load_agent, make_agent
from dialogym.agents.registry import ENTRIES, agent_class, describe_agents

ENV = "dialogym:TextDialog-v0"
NAMES = [
    "do_nothing", "random", "repeat_last", "inform_everything", "claim_success", "rule", "human", "api",
    "q_learning", "sarsa", "expected_sarsa", "double_q_learning",
    "sb3_ppo", "sb3_a2c", "sb3_dqn", "sb3_maskable_ppo",
    "sft", "reinforce", "a2c", "ppo", "grpo", "rloo", "bert",
]  # fmt: skip
NEEDS_TORCH = NAMES[NAMES.index("sb3_ppo") :]
LIGHT = [name for name in ENTRIES if name not in NEEDS_TORCH and name != "api"]  # needs a model: test_api.py


def test_the_registry_was_filled() -> None:
    assert agent_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_the_registry_says_is_what_the_class_says(name: str) -> None:
    if name in NEEDS_TORCH:
        pytest.importorskip("stable_baselines3" if name.startswith("sb3") else "transformers")
    kind, entry = agent_class(name), ENTRIES[name]
    assert kind.name == name
    assert kind.learns == entry.learns
    assert entry.plays in (kind.interface, "any")
    assert kind.__doc__


@pytest.mark.parametrize("name", [name for name in LIGHT if name != "bert"])  # needs labels: test_bert.py
def test_an_agent_made_by_name_saves_and_loads_by_folder(name: str, tmp_path: Path) -> None:
    make_agent(name, ENV, seed=2).save(tmp_path)
    again = load_agent(tmp_path)
    assert (again.name, again.seed) == (name, 2)


def test_a_saved_agent_has_the_settings_of_its_training_but_those_that_it_plays_with(tmp_path: Path) -> None:
    make_agent("q_learning", ENV, gamma=0.9).save(tmp_path / "table")
    with pytest.raises(ValueError, match=r"settings of its training: none can be another, got gamma"):
        load_agent(tmp_path / "table", gamma=0.5)
    with pytest.raises(TypeError, match=r"unexpected option 'gama'; did you mean 'gamma'\?"):
        load_agent(tmp_path / "table", gama=0.5)
    pytest.importorskip("transformers")
    tiny = {"hidden_size": 16, "num_layers": 1, "num_heads": 2}
    make_agent("sft", ENV, **tiny).save(tmp_path / "words")
    again = load_agent(tmp_path / "words", temperature=0.7, max_reply_tokens=5)
    assert (again.config.temperature, again.config.max_reply_tokens, again.config.hidden_size) == (0.7, 5, 16)
    env = gym.make(ENV, interface="text")
    observation, info = env.reset(seed=0)
    said = {again.act(observation, info) for _ in range(8)}
    assert len(said) > 1  # it samples
    with pytest.raises(ValueError, match="only device, max_reply_tokens, temperature can be others, got learning_rate"):
        load_agent(tmp_path / "words", learning_rate=1e-3)
    with pytest.raises(ValueError, match="temperature must not be negative, got -1"):
        load_agent(tmp_path / "words", temperature=-1.0)


def test_options_reach_the_configuration() -> None:
    assert make_agent("q_learning", ENV, gamma=0.5, env_turns=7).config.gamma == 0.5


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"env_turns": "abc"}, "agent 'q_learning': expected int for env_turns, got 'abc'"),
        ({"env_turns": 7.5}, "expected int for env_turns, got 7.5"),
        ({"env_turns": True}, "expected int for env_turns, got True"),
        ({"gamma": None}, "expected float for gamma, got None"),
    ],
)
def test_an_option_of_another_type_is_told(option: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make_agent("q_learning", ENV, **option)


def test_a_whole_number_will_do_for_a_float() -> None:
    assert make_agent("q_learning", ENV, gamma=1).config.gamma == 1


def test_a_wrong_name_names_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"do_nothing, random, .*got 'q_lerning'; did you mean 'q_learning'\?"):
        make_agent("q_lerning", ENV)
    with pytest.raises(ValueError, match=r"got 'xyzzy'$"):
        make_agent("xyzzy", ENV)


def test_a_wrong_option_names_the_right_one() -> None:
    with pytest.raises(TypeError, match=r"'q_learning' got an unexpected option 'gama'; did you mean 'gamma'\?"):
        make_agent("q_learning", ENV, gama=0.9)
    with pytest.raises(TypeError, match="unexpected option 'gamma'; it takes none"):
        make_agent("rule", ENV, gamma=0.9)


def test_a_list_of_agents_has_a_row_for_each() -> None:
    rows = describe_agents()
    assert [row[0] for row in rows] == NAMES
    assert ("q_learning", "choices", "yes") in [row[:3] for row in rows]
    assert all(isinstance(cell, str) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("sb3_dqn", "stable_baselines3", "sb3"), ("ppo", "torch", "lm")]
)
def test_a_missing_package_names_its_extra(name: str, package: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from dialogym.agents import make_agent\n"
        f"try: make_agent({name!r}, {ENV!r})\n"
        "except ImportError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f'pip install "dialogym[{extra}]"' in done.stdout


def test_names_and_tables_cost_no_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed, so it cannot be imported by mistake")
    program = (
        "import sys, dialogym.agents as agents\n"
        f"[agents.make_agent(name, {ENV!r}) for name in {LIGHT!r}]\n"
        "agents.registry.describe_agents()\n"
        "print([name for name in ('torch', 'transformers', 'stable_baselines3') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
