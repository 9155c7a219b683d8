"""A person at the terminal plays the agent: types what to say, or the number or name of a reply from the menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from .base import Agent, Info

HELP = 'Type what to say, or the number or name of a reply; "?" lists the replies, "quit" ends. Quoted words are said.'
STYLES = {"system": "dim", "user": "bold cyan", "assistant": "green", "tool": "yellow"}


class HumanAgent(Agent):
    """Shows the conversation, asks, and says what was typed.

    The replies of the menu can be chosen while the environment that the agent was made for, in the text interface, is
    the one that is played.

    Args:
        console: where to show and ask; None is the terminal.

    Raises:
        KeyboardInterrupt: from ``act``, when the person types "quit".
        EOFError: from ``act``, when there is nothing more to read.
    """

    name = "human"

    def __init__(self, env: Any, seed: int = 0, config: Any = None, console: Console | None = None):
        super().__init__(env, seed, config)
        self.console = console or Console()
        self._core: Any = env.unwrapped if isinstance(env, gym.Env) else None
        self._shown: list[Any] = []

    def act(self, observation: Any, info: Info) -> str:
        messages = list(info["messages"])
        self._show(messages)
        menu = self._menu(messages)
        while True:
            typed = self.console.input("[bold green]you:[/] ").strip()
            if typed == "quit":
                raise KeyboardInterrupt("the person ended the conversation")
            if typed == "?":
                self._show_menu(menu)
                continue
            number = menu_choice(typed, menu)
            if number is None:
                said = typed[1:-1] if len(typed) > 1 and typed[0] == typed[-1] == '"' else typed
            else:
                said = self._core.partner.phrase(number)
                self.console.print(f"[green]assistant: {escape(said)}[/]", soft_wrap=True)
            self._shown = [*messages, {"role": "assistant", "content": said}]
            return said

    def _show(self, messages: Sequence[Any]) -> None:
        """Prints what is new since the last turn; a new conversation from its start."""
        if messages[: len(self._shown)] != self._shown or not self._shown:
            self._shown = []
            self.console.rule("a new conversation")
            self.console.print(f"[dim]{escape(HELP)}[/]", soft_wrap=True)
        for message in messages[len(self._shown) :]:
            style = STYLES.get(message["role"], "white")
            self.console.print(f"[{style}]{message['role']}: {escape(message['content'])}[/]", soft_wrap=True)

    def _menu(self, messages: Sequence[Any]) -> Sequence[str]:
        """The replies that can be chosen: none where another environment is played, which would word them otherwise."""
        core = self._core
        played = core is not None and getattr(core, "partner", None) is not None and core.messages == messages
        return self.task.menu if played and self.task is not None else ()

    def _show_menu(self, menu: Sequence[str]) -> None:
        if not menu:
            self.console.print("[dim]there is no menu: type what to say[/]")
            return
        allowed = self._core.partner.allowed()
        shown = [Text(f"{number:>2} {name}", "" if allowed[number] else "dim") for number, name in enumerate(menu)]
        self.console.print(Columns(shown, column_first=True))


def menu_choice(typed: str, menu: Sequence[str]) -> int | None:
    """The number of the reply that was typed by number or by name, or None where it is something to say."""
    if typed in menu:
        return list(menu).index(typed)
    if typed.isascii() and typed.isdigit() and int(typed) < len(menu):
        return int(typed)
    return None
