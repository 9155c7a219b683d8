"""Writes a page for each environment, one of the settings of agents, and one of what they log.

The former are made from docstrings, registrations and conversations of the rules, the latter from configurations and
the table of metrics.

python docs/make_pages.py            # writes docs/environments/*.md, docs/agents.md and docs/metrics.md
python docs/make_pages.py --check    # only says whether they are as they would be written
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym

import dialogym  # registers the environments # noqa: F401
from dialogym.agents.language_model.defaults import DEFAULTS
from dialogym.agents.preference.train import PreferenceConfig
from dialogym.agents.registry import agent_class, agent_names, describe_agents, make_agent
from dialogym.agents.rule import PolicyAgent
from dialogym.agents.training.metrics import METRICS, OTHER
from dialogym.agents.training.trackers import PROJECT
from dialogym.envs import Task, TextEnv, remake, shipped_ids
from dialogym.evaluation.validate import FLOORS

FOLDER = Path(__file__).parent / "environments"
AGENTS = Path(__file__).parent / "agents.md"
METRICS_PAGE = Path(__file__).parent / "metrics.md"
SUITE = Path(__file__).parent / "suite" / "suite.json"
SEED = 1
HEADER = re.compile(r"^(Args|Attributes|Raises|Returns|Reference|References|Example|Examples):", re.MULTILINE)
ARGUMENT = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", re.MULTILINE)


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
    "\n\nAll environments take `interface`, `reward`, `split`, `max_turns`, `render_mode`, `prompt` and `partner` as "
    "well, and the tokens interface `tokenizer`, `context_length` and `max_reply_tokens`."
)


def described(task: type[Task]) -> tuple[str, str]:
    """What a task's docstring says about it, and a list of its arguments."""
    text = inspect.getdoc(task) or ""
    found = HEADER.search(text)
    about = text[: found.start()].rstrip() if found else text
    args = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    defaults = {name: p.default for name, p in inspect.signature(task).parameters.items()}
    lines = [
        f"- {in_code([f'{name}={defaults.get(name)!r}' for name in names.split(', ')])}: {' '.join(words.split())}"
        for names, words in ARGUMENT.findall(args[1] if args else "")
    ]
    return about, "\n".join(lines)


def default_interface(task: Task) -> str:
    return "  # a menu of replies, for tables and stable-baselines3" if task.menu else "  # token by token"


def spaces(env_id: str, task: Task) -> str:
    """A table of what each interface shows and takes."""
    rows = ["| interface | observation | action |", "| --- | --- | --- |"]
    if task.menu:
        sizes = "`MultiDiscrete([" + " ".join(map(str, task.summary_sizes)) + "])`: a summary of the conversation"
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
    task, reward = core.task, env.spec.kwargs.get("reward", "bounded")
    floors = [f"`{name}`" for name in FLOORS if name in task.policies or not issubclass(agent_class(name), PolicyAgent)]
    return (
        f"At most {core.max_turns} agent turn{'s' if core.max_turns > 1 else ''}. Default reward: `{reward!r}`. The "
        f"rule succeeds on {'all' if task.ceiling == 1 else f'at least {percent(task.ceiling)} of'} held-out goals; "
        f"{', '.join(floors[:-1])} and {floors[-1]} on at most {percent(task.floor)}. "
        f"`dialogym validate {env.spec.id}` checks it."
    )


def percent(share: float) -> str:
    """A share as people say it: 0.98 is 98 %, 0.594 is 59.4 %."""
    return f"{100 * share:g} %"


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
    goals, runs = (results["environments"][env_id][name] for name in ("goals", "runs"))
    which = "one training run of each (intervals over goals)"
    if runs > 1:
        which = f"{runs} training runs of each that learns (means, and intervals over runs and goals)"
    about = f"Of `dialogym compare --suite`, on the same {goals} held-out goals, {which}:"
    return "\n".join(["## Baselines", "", about, "", *rows])


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


# The settings of agents

SETTINGS = """# Settings of agents

Of an agent made by name: `--config SETTING=VALUE` of `dialogym train` and `dialogym evaluate`, repeated for several;
`make_agent(NAME, env, SETTING=VALUE)` in Python. A value is read as JSON where it is some (`0.5`, `true`, `null` for
None), else as text. The folder of a trained agent holds the settings that it was trained with; a language model may
play with another `temperature`, `max_reply_tokens` or `device`: `dialogym evaluate FOLDER --config temperature=0.7`,
`load_agent(FOLDER, temperature=0.7)`.

## Folders from strangers

`load_agent(FOLDER)`, `dialogym evaluate FOLDER` and `--resume` run no code of whoever wrote the folder: they read
JSON, weights as safetensors or as tensors alone, and arrays without objects. No pickle is loaded. stable-baselines3's
archive `model.zip` holds pickles for the library's own `PPO.load`, which does run them; our agents take only the
weights from it. A model that brings its own code (`auto_map`, "trust_remote_code") is refused, and nobody is asked.
What a folder names is refused too, unless you pass `trust=True` (on the command line `--trust`): a module or a task to
import for its environment, a wrapper that neither gymnasium, dialogym nor your program has, and a server that would
get the key in your environment variable.
"""

DEFAULTS_BY_MODEL = """What these settings are where nobody says. A model is from scratch where an agent of ours made
it from random weights, `init` folders of such included; any other `model` or `init` is pretrained, with all its weights
trained, or an adapter (`lora_rank`). `dialogym train` says what it took, and the agent's `agent.json` keeps it.
Schulman et al. (2025): [LoRA Without Regret](https://thinkingmachines.ai/blog/lora/); SmolLM2's recipe:
[alignment-handbook](https://github.com/huggingface/alignment-handbook/tree/main/recipes/smollm2)."""


def agents_page() -> str:
    """The settings of every agent, a table for those that share one configuration, as Markdown."""
    about = {name: words for name, _, _, words in describe_agents()}
    kinds: dict[type[Any], list[str]] = {}
    for name in agent_names():
        kinds.setdefault(agent_class(name).Config, []).append(name)
    parts, bare = [SETTINGS], []
    for config, names in kinds.items():
        if dataclasses.fields(config):
            listed = "\n".join(f"- `{name}`: {about[name]}" for name in names)
            parts.append(f"## {in_code(names)}\n\n{listed}\n\n{settings(config)}")
        else:
            bare += names
    parts.append(
        "## `preference`\n\nNo agent but a reward model: `dialogym train preference --data FILE` "
        f"([how](preferences.md)).\n\n{settings(PreferenceConfig)}"
    )
    parts.append(f"## Defaults by the model\n\n{DEFAULTS_BY_MODEL}\n\n{defaults_by_model()}")
    parts.append(f"## Without settings\n\n{in_code(bare)}.")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def defaults_by_model() -> str:
    """A table of the defaults that follow the kind of model."""
    rows = [
        "| setting | agents | from scratch | full fine-tuning | LoRA | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for setting, of_agents in DEFAULTS.items():
        for name, default in of_agents.items():
            numbers = f"{default.scratch:g} | {default.full:g} | {default.lora:g}"
            rows.append(f"| `{setting}` | {f'`{name}`' if name else 'all others'} | {numbers} | {default.source} |")
    return "\n".join(rows)


def settings(config: type[Any]) -> str:
    """A table of a configuration: name, default and meaning of each field; what is explained together shares a row."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    meanings: dict[str, list[dataclasses.Field[Any]]] = {}
    for field in dataclasses.fields(config):
        meanings.setdefault(meaning(config, field.name), []).append(field)
    for words, fields in meanings.items():
        defaults = [repr(default_of(field)) for field in fields]
        if fields[0].name in DEFAULTS and default_of(fields[0]) is None and config is not PreferenceConfig:
            words += " None: [by the model](#defaults-by-the-model)."
        rows.append(f"| {in_code([field.name for field in fields])} | {in_code(defaults)} | {words} |")
    return "\n".join(rows)


def meaning(config: type[Any], name: str) -> str:
    """What the docstring of a configuration, or of one that it extends, says of a field, on its own or with another;
    else the first line of the docstring."""
    explained: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        found = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", inspect.getdoc(kind) or "", re.MULTILINE)
        for names, words in ARGUMENT.findall(found[1] if found else ""):
            explained.update(dict.fromkeys(names.split(", "), plain(words)))
    if name in explained:
        return explained[name]
    beside = [other for other, words in explained.items() if f"`{name}`" in words]
    if beside:
        return f"see `{beside[0]}`."
    owner = next(kind for kind in config.__mro__ if name in inspect.get_annotations(kind))
    return plain((inspect.getdoc(owner) or "").partition("\n")[0])


def plain(words: str) -> str:
    """A docstring's words in one line of Markdown."""
    words = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(words.split()))
    return words.replace("``", "`").replace("|", "\\|")


def default_of(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def in_code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


# What agents log

LOGS = f"""# The log of a training

`dialogym train AGENT --out FOLDER` writes `FOLDER/log.jsonl`: JSON Lines, a row each update, epoch or report, on disk
when it was logged; what is not finite is `null`. Trackers show the same numbers:

    pip install "dialogym[tensorboard,wandb]"
    dialogym train ppo --log tensorboard      # tensorboard --logdir runs
    dialogym train ppo --log tensorboard,wandb --out runs/ppo-both

A folder that holds a trained agent or a checkpoint is not trained in again, unless `--resume` goes on there or
`--overwrite` begins anew.

- The step is `env_turns`, so that agents that learn by reinforcement are compared at equal experience; of trainings in
  epochs, `sft` and `bert`, it is the epoch, for their demonstrations stay as many.
- With `--resume` the same run goes on. Rows between the checkpoint and the interruption are logged again: the log and
  TensorBoard keep the later row; Weights & Biases, which takes no step twice, keeps the earlier. A tracker that joins
  with `--resume` is told of the rows that the log holds. With `--overwrite`, `FOLDER/tensorboard` is written anew and a
  new run of Weights & Biases begins.
- Weights & Biases goes by its own variables: `WANDB_MODE=offline` keeps the run in `FOLDER/wandb`, for `wandb sync`;
  the project is `{PROJECT}` where `WANDB_PROJECT` names no other.
- In Python: `with open_trackers(["tensorboard"], folder, settings) as log: agent.learn(env, log=log)`, from
  `dialogym.agents.training.trackers`.

The progress line of `dialogym train` and `dialogym compare` shows the speed of the last row and the time left, which is
estimated from the share that is over, validation included; a training that stops early takes less.

| in the log | in trackers | what it is |
| --- | --- | --- |
"""
LOGS_END = f"""
Anything else is shown as `{OTHER}/NAME`, or by its own name where that has a group (`group/name`).
"""


def metrics_page() -> str:
    """What agents log, as Markdown."""
    rows = [f"| `{key}` | `{metric.name}` | {metric.about} |" for key, metric in METRICS.items()]
    return LOGS + "\n".join(rows) + "\n" + LOGS_END


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is out of date")
    check = parser.parse_args().check
    FOLDER.mkdir(exist_ok=True)
    stale = []
    pages = {FOLDER / f"{env_id}.md": page(env_id) for env_id in shipped_ids()}
    for path, text in {**pages, AGENTS: agents_page(), METRICS_PAGE: metrics_page()}.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.stem)
            if not check:
                path.write_text(text, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'none'}")
    raise SystemExit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
