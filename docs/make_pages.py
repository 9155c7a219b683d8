"""Writes a page for each environment from its docstring, its registration and a conversation of its rule.

python docs/make_pages.py            # writes docs/environments/*.md
python docs/make_pages.py --check    # only says whether they are as they would be written
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym

import dialogym  # registers the environments # noqa: F401
from dialogym.agents.registry import make_agent
from dialogym.envs import Task, TextEnv, remake, shipped_ids

FOLDER = Path(__file__).parent / "environments"
SUITE = Path(__file__).parent / "suite" / "suite.json"
SEED = 1
HEADER = re.compile(r"^(Args|Attributes|Raises|Returns|Reference|References|Example|Examples):", re.MULTILINE)
ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)


def page(env_id: str) -> str:
    """The page of an environment, as Markdown."""
    env = gym.make(env_id, interface="text")
    core = env.unwrapped
    assert isinstance(core, TextEnv)
    about, arguments = described(type(core.task))
    parts = [
        f"# {env_id}",
        about,
        f'```python\nimport gymnasium as gym\n\nenv = gym.make("dialogym:{env_id}"){default_interface(core.task)}\n'
        f'env = gym.make("dialogym:{env_id}", interface="text")  # str in, str out\n```',
        "## Spaces\n\n" + spaces(env_id, core.task),
        "## Ends, reward, ceiling and floor\n\n" + ends(env, core),
        "## Keyword arguments\n\n" + (arguments or "None of its own.") + COMMON,
        baselines(env_id),
        f"## A conversation\n\nThe rule, on a held-out goal (`seed={SEED}`):\n\n```text\n{conversation(env_id)}\n```",
    ]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


COMMON = (
    "\n\nAll environments take `interface`, `reward`, `split`, `max_turns` and `render_mode` as well, and the tokens "
    "interface `tokenizer`, `context_length` and `max_reply_tokens`."
)


def described(task: type[Task]) -> tuple[str, str]:
    """What a task's docstring says about it, and a list of its arguments."""
    text = inspect.getdoc(task) or ""
    found = HEADER.search(text)
    about = text[: found.start()].rstrip() if found else text
    args = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    defaults = {name: p.default for name, p in inspect.signature(task).parameters.items()}
    lines = [
        f"- `{name}={defaults.get(name)!r}`: {' '.join(words.split())}"
        for name, words in ARGUMENT.findall(args[1] if args else "")
    ]
    return about, "\n".join(lines)


def default_interface(task: Task) -> str:
    return "  # a menu of replies, for tables and stable-baselines3" if task.menu else "  # token by token"


def spaces(env_id: str, task: Task) -> str:
    """A table of what each interface shows and takes."""
    rows = ["| interface | observation | action |", "| --- | --- | --- |"]
    if task.menu:
        sizes = "`MultiDiscrete([" + " ".join(map(str, task.summary_sizes)) + "])`: what the agent has heard so far"
        rows.append(f"| `choices` (default) | {sizes} | `Discrete({len(task.menu)})`: the menu |")
    rows.append(
        f"| `text` | the conversation, a `role: text` line per message | any `str`, cut at {task.max_reply_chars} "
        f"characters |"
    )
    default = "" if task.menu else " (default)"
    rows.append(f"| `tokens`{default} | `MultiDiscrete([V] * context_length)`, padded on the left | `Discrete(V)` |")
    menu = ""
    if task.menu:
        shown = ", ".join(f"`{name}`" for name in task.menu[:40])
        menu = f"\n\nThe menu: {shown}" + (f" and {len(task.menu) - 40} more." if len(task.menu) > 40 else ".")
    return "\n".join(rows) + menu


def ends(env: gym.Env[Any, Any], core: TextEnv) -> str:
    """Limits, default reward, and what is declared about rule and floors."""
    assert env.spec is not None
    task, reward = core.task, env.spec.kwargs.get("reward", "pydial")
    floors = ", ".join(f"`{name}`" for name in task.policies if name != "rule")
    return (
        f"At most {core.max_turns} agent turn{'s' if core.max_turns > 1 else ''}. Default reward: `{reward!r}`. The "
        f"rule succeeds on at least {task.ceiling:g} of held-out goals; do-nothing, random, repeat-last"
        f"{' and ' + floors if floors else ''} on at most {task.floor:g}. `dialogym validate {core.spec.id}` checks it."  # type: ignore[union-attr]
    )


def baselines(env_id: str) -> str:
    """What the agents of the comparison across environments achieved, where it has been run."""
    if not SUITE.is_file():
        return ""
    results = json.loads(SUITE.read_text(encoding="utf-8"))
    if env_id not in results["environments"]:
        return ""
    rows = ["| agent | success (95 %) | return | turns to learn from |", "| --- | --- | --- | --- |"]
    for name, agent in results["environments"][env_id]["agents"].items():
        success, turns = agent["success"], f"{agent['env_turns']:,}" if agent["env_turns"] else "–"
        interval = f"{success['mean']:.3f} ({success['low']:.3f}–{success['high']:.3f})"
        rows.append(f"| `{name}` | {interval} | {agent['return']['mean']:.2f} | {turns} |")
    heading = "## Baselines\n\nOf `dialogym compare --suite`, on the same held-out goals, one training seed:\n\n"
    return heading + "\n".join(rows)


def conversation(env_id: str) -> str:
    """What the rule and its partner say to each other on one goal of the test split."""
    rule = make_agent("rule", gym.make(env_id))
    env = remake(env_id, interface=rule.interface, split="test")
    observation, info = env.reset(seed=SEED)
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(rule.act(observation, info))
        over = terminated or truncated
    core = env.unwrapped
    assert isinstance(core, TextEnv)
    lines = [f"{message['role']}: {message['content']}" for message in core.transcript.spoken_messages]
    return "\n".join([*lines, f"({'success' if info['success'] else 'no success'})"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is out of date")
    check = parser.parse_args().check
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for env_id in shipped_ids():
        path, text = FOLDER / f"{env_id}.md", page(env_id)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(env_id)
            if not check:
                path.write_text(text, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'none'}")
    raise SystemExit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
