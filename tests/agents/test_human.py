"""A person at the terminal: what is shown, what is said, and how it ends."""

from __future__ import annotations

import io
from typing import Any

import gymnasium as gym
import pytest
from rich.console import Console

from dialogym.agents.human import HumanAgent, menu_choice

ENV = "dialogym:TextDialog-v0"


class Terminal(Console):
    """A console whose person types the given lines."""

    def __init__(self, *lines: str):
        super().__init__(file=io.StringIO(), width=100, color_system=None)
        self.lines = list(lines)

    def input(self, *args: Any, **kwargs: Any) -> str:
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    @property
    def shown(self) -> str:
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()


def seated(*lines: str) -> tuple[HumanAgent, gym.Env, Any, Any, Terminal]:
    env = gym.make(ENV, interface="text")
    observation, info = env.reset(seed=1)
    terminal = Terminal(*lines)
    return HumanAgent(env, console=terminal), env, observation, info, terminal


def test_what_is_typed_is_said_and_the_conversation_is_shown_once() -> None:
    agent, env, observation, info, terminal = seated("which area ?", "and the price [range] ?")
    opening = info["messages"][-1]["content"]
    assert agent.act(observation, info) == "which area ?"
    assert opening in terminal.shown
    observation, _, _, _, info = env.step("which area ?")
    answer = info["messages"][-1]["content"]
    assert agent.act(observation, info) == "and the price [range] ?"
    assert answer in terminal.shown
    assert terminal.shown.count(opening) == 1


def test_a_number_or_a_name_says_that_reply_of_the_menu() -> None:
    for typed in ("goodbye", str(len(gym.make(ENV).unwrapped.task.menu) - 1)):
        agent, env, observation, info, terminal = seated(typed)
        said = agent.act(observation, info)
        assert said == env.unwrapped.partner.phrase(env.unwrapped.task.menu.index("goodbye"))
        assert said in terminal.shown


def test_a_question_mark_lists_the_replies() -> None:
    agent, env, observation, info, terminal = seated("?", "hello")
    assert agent.act(observation, info) == "hello"
    assert all(name in terminal.shown for name in env.unwrapped.task.menu)


def test_quotes_say_a_word_as_it_is() -> None:
    agent, _, observation, info, _ = seated('"goodbye"')
    assert agent.act(observation, info) == "goodbye"


def test_where_another_environment_is_played_there_is_no_menu() -> None:
    agent, _, _, _, terminal = seated("?", "goodbye")
    other = gym.make(ENV, interface="text")
    observation, info = other.reset(seed=2)
    assert agent.act(observation, info) == "goodbye"
    assert "there is no menu" in terminal.shown


def test_quit_ends_and_so_does_the_end_of_input() -> None:
    agent, _, observation, info, _ = seated("quit")
    with pytest.raises(KeyboardInterrupt):
        agent.act(observation, info)
    with pytest.raises(EOFError):
        agent.act(observation, info)


def test_a_new_conversation_is_shown_from_its_start() -> None:
    agent, env, observation, info, terminal = seated("hello", "hello")
    agent.act(observation, info)
    observation, info = env.reset(seed=5)
    agent.act(observation, info)
    assert terminal.shown.count("a new conversation") == 2


def test_markup_in_the_conversation_is_text() -> None:
    agent, _, _, _, terminal = seated("[bold]hi[/]")
    messages = [{"role": "user", "content": "[red]not markup[/red]"}]
    assert agent.act("", {"messages": messages}) == "[bold]hi[/]"
    assert "[red]not markup[/red]" in terminal.shown


@pytest.mark.parametrize(
    ("typed", "number"), [("b", 1), ("0", 0), ("1", 1), ("2", None), ("-1", None), ("", None), ("²", None), ("c", None)]
)
def test_only_numbers_and_names_of_the_menu_choose_from_it(typed: str, number: int | None) -> None:
    assert menu_choice(typed, ("a", "b")) == number
