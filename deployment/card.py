"""The card of an agent: a README.md in its folder that says what it is for, what it learned from, and how good it is.

It is written from what is there: what was saved with the agent, the log of its training beside the folder, the scores
that ``measurement.py`` keeps in it, and what people said who talked to it. What nobody knows is not on it. Its head is
the metadata that the Hugging Face hub reads (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

from ..agents.base import AGENT_FILE, read_description
from ..agents.files import CARD_FILE, atomic_write
from ..agents.registry import ENTRIES, agent_class
from ..agents.training.stages import stages_of
from ..envs import is_bridged, shipped_ids, task_class
from ..evaluation.digests import DIGESTS
from ..evaluation.partners import label
from ..evaluation.rating.judges import in_words as judge_in_words
from ..evaluation.report.efficiency import folder_took
from ..evaluation.statistics import Interval, wilson_interval
from .measurement import CEILING, TRAINED, is_of, read_evaluation
from .records import read_records

LIBRARY = "dialogym"
MAX_SETTING = 80
"""Characters of a setting."""
_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


class Opinions(NamedTuple):
    """What people said of their conversations.

    Attributes:
        judged: how many they judged.
        silent: how many they did not.
        success: share of the former in which they got what they wanted; None where nobody judged.
    """

    judged: int
    silent: int
    success: Interval | None


def write_card(
    folder: str | Path,
    people: str | Path | None = None,
    license: str | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the card of the agent in a folder, and returns its path.

    Args:
        folder: that an agent was saved to.
        people: conversations that ``dialogym serve`` kept of it, if there are any to tell of.
        license: of the weights, as the hub names it; None says nothing about it, but for a base model whose is known.
        evaluation: scores that were just taken of it; None are those in the folder, if they are of this agent.

    Raises:
        ValueError: if no agent was saved in ``folder``, or for files that hold something else.
    """
    folder = Path(folder)
    opinions = None if people is None else opinions_of(people)
    path = folder / CARD_FILE
    atomic_write(path, card_of(folder, opinions, license, evaluation))
    return path


def card_of(
    folder: Path,
    opinions: Opinions | None = None,
    license: str | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> str:
    """The card as text; see :func:`write_card`."""
    about = read_description(folder)
    if evaluation is None:
        kept = read_evaluation(folder)
        evaluation = kept if kept is not None and is_of(kept, folder) else None
    base = _base_of(about["config"], folder)
    if license is None:
        license = base.get("license")
    env_id = (about["env"] or {}).get("id")
    sections = [
        _front_matter(about, evaluation, base, license, env_id),
        f"# {about['agent']} on {env_id or 'an environment of its own'}",
        _introduction(about, env_id),
        _task(about["env"]),
        _use(about),
        _training(about, base, folder),
        _scores(evaluation),
        _what_it_took(evaluation),
        _people(opinions),
        _limits(about, evaluation, opinions, license),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def opinions_of(path: str | Path) -> Opinions:
    """What people said at the end of the conversations that ``dialogym serve`` kept in a file.

    Raises:
        ValueError: for a line that is none of them.
    """
    said = read_records(path, lambda record: record["success"])
    judged = [one for one in said if one is not None]
    success = wilson_interval(sum(judged), len(judged)) if judged else None
    return Opinions(len(judged), len(said) - len(judged), success)


# The head, for the hub


def _front_matter(
    about: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    base: Mapping[str, str],
    license: str | None,
    env_id: str | None,
) -> str:
    """YAML, whose values are written as JSON, which is YAML too."""
    head: dict[str, Any] = {"library_name": LIBRARY, "tags": _tags(about, env_id)}
    if license is not None:
        head["license"] = license.lower()
    if "hub" in base:
        head["base_model"] = base["hub"]
    if _speaks(about):
        head["pipeline_tag"] = "text-generation"
    lines = [f"{name}: {json.dumps(value)}" for name, value in head.items()]
    if evaluation is not None:
        lines.append(f"model-index: {json.dumps([_indexed(about, evaluation)])}")
    return "\n".join(["---", *lines, "---"])


def _tags(about: Mapping[str, Any], env_id: str | None) -> list[str]:
    tags = [LIBRARY, "gymnasium", "reinforcement-learning", "dialogue", about["agent"]]
    return [*tags, env_id] if env_id else tags


def _indexed(about: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The agent's scores as the hub's index of models has them."""
    row = evaluation["rows"][TRAINED]
    env_id = evaluation["env"] or "environment"
    metrics = [
        {
            "type": name,
            "name": f"{name} (95% {row[name][1]:.3f} to {row[name][2]:.3f})",
            "value": round(row[name][0], 4),
        }
        for name in ("success", "return")
    ]
    return {
        "name": f"{about['agent']} on {env_id}",
        "results": [
            {
                "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
                "dataset": {"type": env_id, "name": env_id, "split": evaluation["split"]},
                "metrics": metrics,
            }
        ],
    }


# What people read


def _introduction(about: Mapping[str, Any], env_id: str | None) -> str:
    entry = ENTRIES.get(about["agent"])
    what = entry.about if entry is not None else "an agent of its author's"
    return f"An agent of dialogym: {what}." + (f" It plays `{env_id}`." if env_id else "")


def _task(env: Mapping[str, Any] | None) -> str:
    """What the agent is asked to do."""
    if env is None:
        return "## Task\n\nThe environment was made with objects that no file describes; ask whoever trained the agent."
    lines = ["## Task", ""]
    try:
        kind = task_class(env["id"])
        lines += [_first_line(kind), ""]
        declared = f"The task's rule reaches a success of at least {kind.ceiling:g} with the default settings"
        declared += f"; no floor exceeds {kind.floor:g}."
        lines += [declared, ""]
    except (ValueError, TypeError, ImportError):  # an environment that this machine has not, or that a function makes
        pass
    options = [f"`{name}={_shown(value)}`" for name, value in env["options"].items()]
    lines.append(f"Settings of `{env['id']}`: {', '.join(options) or 'the defaults'}.")
    for wrapper in env.get("wrappers", ()):
        lines.append(f"Wrapped in `{wrapper['entry_point']}`.")
    return "\n".join(lines)


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _use(about: Mapping[str, Any]) -> str:
    extras = ["lm"] if _speaks(about) else ["sb3"] if about["agent"].startswith("sb3_") else []
    env = about["env"]
    words, serve, imports = ["dialogym", "evaluate", "FOLDER"], "FOLDER", ""
    if env is not None:
        env_id = _with_module(env["id"])
        words += ["--env", env_id]
        if env_id != env["id"]:
            serve += f" --env {env_id}"
            imports = f"import MODULE  # which registers {env['id']}\n"
        for name, value in env["options"].items():
            words += ["--set", f"{name}={_without_root(value) if isinstance(value, str) else json.dumps(value)}"]
    return f"""## Use

```bash
pip install "dialogym[{",".join([*extras, "serve"])}]"
dialogym serve {serve}       # a page to talk to it on, and an OpenAI-compatible API
{shlex.join(words)}
```

```python
{imports}from dialogym.agents import load_agent

agent = load_agent("FOLDER"{"" if env else ", env=..."})
```"""


def _with_module(env_id: str) -> str:
    """An id as the command line finds it: behind MODULE where neither dialogym nor gymnasium registers it."""
    spec = gym.registry.get(env_id)
    known = env_id in shipped_ids() or is_bridged(env_id) or ":" in env_id
    return env_id if known or str(getattr(spec, "entry_point", "")).startswith("gymnasium.") else f"MODULE:{env_id}"


def _training(about: Mapping[str, Any], base: Mapping[str, str], folder: Path) -> str:
    budget = about["budget"]
    amounts = [
        f"{budget[name]:,} {words}"
        for name, words in (
            ("env_turns", "agent turns"),
            ("demonstrations", "demonstrations"),
            ("tokens", "tokens, once for each pass"),
        )
        if budget[name]
    ]
    lines = ["## Training", ""]
    if not amounts:
        lines += ["It has learned nothing: it is as it was made.", ""]
    else:
        lines += [f"Learned from {', '.join(amounts)}, in {_duration(budget['seconds'])}; seed {about['seed']}.", ""]
    started = base.get("hub") or base.get("name")
    if started:
        lines += [f"It started from `{started}`.", ""]
    elif _speaks(about):
        lines += ["It started from random weights.", ""]
    data = about["config"].get("data")
    if amounts and about["agent"] == "sft":
        told = f"the conversations in `{_shown(data)}`" if data else "conversations of the task's rule"
        lines += [f"Data: {told}.", ""]
    lines += _validations(folder)
    return "\n".join([*lines, *_settings(about)])


def _validations(folder: Path) -> list[str]:
    """How validation went, where the folder, or a log beside it, tells of the training."""
    try:
        found = [row["validation"] for row in stages_of(folder)[-1].log if row.get("validation") is not None]
    except LookupError:
        return []
    if not found:
        return []
    return [
        f"Success on validation goals: {found[0]:.3f} at the first of {len(found)} validations, {max(found):.3f} at "
        "the best, which was kept.",
        "",
    ]


def _settings(about: Mapping[str, Any]) -> list[str]:
    """A table of the settings that differ from their defaults."""
    try:
        fields = dataclasses.fields(agent_class(about["agent"]).Config)
        defaults = {field.name: field.default for field in fields}
    except (ImportError, ValueError):
        defaults = {}
    changed = {
        name: value
        for name, value in {**about["config"], **about.get("by_model", {})}.items()
        if name not in defaults or not _equal(value, defaults[name])
    }
    if not changed:
        return ["All settings are the defaults."]
    rows = [f"| `{name}` | `{_shown(value)}` |" for name, value in changed.items()]
    return ["Settings that differ from their defaults:", "", "| setting | value |", "| --- | --- |", *rows]


def _equal(value: Any, default: Any) -> bool:
    return value == (list(default) if isinstance(default, tuple) else default)


def _scores(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None:
        return "## Scores\n\nIt was not scored: `dialogym card FOLDER --goals 200` does."
    rows = evaluation["rows"]
    order = [TRAINED, *(name for name in rows if name == CEILING), *(n for n in rows if n not in (TRAINED, CEILING))]
    table = [
        f"| {_row_name(name)} | {' | '.join(_cell(rows[name][what]) for what in ('success', 'return', 'turns'))} |"
        for name in order
    ]
    graded = evaluation["grading"]
    return "\n".join(
        [
            "## Scores",
            "",
            f"On {evaluation['goals']} {evaluation['split']} goals of `{evaluation['env']}`{_under(evaluation)}, "
            "which no training sees, each played once; the mean, and a 95% interval over goals (Wilson's for success, "
            "else bootstrap).",
            "",
            *(line for judge in evaluation.get("judges", []) for line in (judge_in_words(judge), "")),
            "| | success | return | turns |",
            "| --- | --- | --- | --- |",
            *table,
            "",
            f"Task {graded['task']['name']}, version {graded['task']['version']}; reward `{graded['reward']['spec']}`, "
            f"version {graded['reward']['version']}; goals {evaluation['goals_sha256'][:12]}"
            f"{_other_side(evaluation)}; dialogym "
            f"{evaluation['dialogym']}, {evaluation['date']}.",
        ]
    )


def _what_it_took(evaluation: Mapping[str, Any] | None) -> str:
    """Nothing of an agent that was not scored: what its training shall be measured by is not known."""
    if evaluation is None:
        return ""
    unknown = {"unknown": "a version that did not ask for it took the scores"}
    return "\n".join(folder_took(evaluation.get("what_it_took", unknown))).rstrip()


def _other_side(evaluation: Mapping[str, Any]) -> str:
    """Which model or agent was on the other side, where a folder is named for it."""
    found = evaluation.get(DIGESTS, {})
    return "".join(f"; SHA-256 of the files of `{label(who)}` {digest[:12]}" for who, digest in found.items())


def _under(evaluation: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in evaluation.get("options", {}).items())
    return f" with `{options}`" if options else ""


def _row_name(name: str) -> str:
    if name == TRAINED:
        return f"**{name}**"
    return f"`{name}`, the ceiling" if name == CEILING else f"`{name}`, a floor"


def _cell(interval: Sequence[float]) -> str:
    mean, low, high = interval
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def _people(opinions: Opinions | None) -> str:
    if opinions is None:
        return ""
    lines = ["## People", ""]
    if opinions.success is None:
        lines.append(f"Of {opinions.silent} conversations with people none was judged.")
    else:
        mean, low, high = opinions.success
        lines.append(
            f"In {mean:.3f} of {opinions.judged} conversations people said that they got what they wanted (95% "
            f"{low:.3f} to {high:.3f}); of {opinions.silent} more nobody said anything."
        )
    return "\n".join(lines)


def _limits(
    about: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    opinions: Opinions | None,
    license: str | None,
) -> str:
    """What the numbers do not say."""
    limits = []
    if evaluation is not None:
        limits += [
            "The scores are of this one agent; another training run with another seed may turn out differently.",
            "They were won with the partner that the task simulates, not with people.",
        ]
        limits += _beside_floors(evaluation["rows"])
    if opinions is None or opinions.success is None:
        limits.append("No person has judged it.")
    else:
        limits.append("Who talked to it chose to, and who judged it chose to: people elsewhere may see it otherwise.")
    if _speaks(about):
        limits.append("It is a language model: what it says can be wrong, whatever its tools found.")
    limits.append("It is made for its task; what is said outside that is not what it learned from.")
    if license is None:
        limits.append("Nothing is said about its license.")
    return "\n".join(["## Limits", "", *(f"- {limit}" for limit in limits)])


def _beside_floors(rows: Mapping[str, Any]) -> list[str]:
    """That the agent is not shown to be better than the best floor, if so."""
    floors = [row["success"] for name, row in rows.items() if name not in (TRAINED, CEILING)]
    if not floors:
        return []
    _, low, high = rows[TRAINED]["success"]
    best = max(floors)
    if high < best[1]:
        return ["Its success is below the best floor's."]
    if low <= best[2]:
        return ["Its success is not told apart from the best floor's: the intervals overlap."]
    return []


# Where it comes from


def _speaks(about: Mapping[str, Any]) -> bool:
    """It is a language model."""
    return "model_kind" in about


def _base_of(config: Mapping[str, Any], folder: Path, passed: frozenset[Path] = frozenset()) -> dict[str, str]:
    """What an agent started from: "hub", its name there, "name", what it is called here, and "license", if known."""
    for name in ("model", "init"):
        started = config.get(name)
        if not started:
            continue
        for place in (Path(started), folder / started):
            source = place / "source.json"
            if source.is_file():
                found = json.loads(source.read_text())
                return {"name": str(found["model"]), "hub": str(found["hub"]), "license": str(found["license"])}
            where = place.resolve()
            if (place / AGENT_FILE).is_file() and where not in passed:  # an agent, which started from something itself
                return _base_of(read_description(place)["config"], place, passed | {where}) or {"name": _shown(started)}
        if name == "model" and _ON_THE_HUB.fullmatch(started) and not Path(started).exists():
            return {"hub": started, "name": started}
        return {"name": _shown(started)}
    return {}


def _shown(value: Any) -> str:
    """A setting in short."""
    text = _without_root(value) if isinstance(value, str) else json.dumps(value)
    text = text.replace("`", "'").replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= MAX_SETTING else text[: MAX_SETTING - 3] + "..."


def _without_root(text: str) -> str:
    """The text, but of a path from the root, which says where somebody's files are, its end: ``lm:.../a/b``."""
    kind, colon, rest = text.partition(":")
    before, path = (f"{kind}:", rest) if colon and not rest.startswith("//") else ("", text)
    return f"{before}.../{'/'.join(Path(path).parts[-2:])}" if Path(path).is_absolute() else text


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def files_to_push(folder: str | Path) -> Iterable[Path]:
    """The files of an agent, relative to its folder.

    Hidden ones, drafts, and the card that peft writes beside an adapter are aside: that one says nothing but where the
    model below lies.
    """
    for path in sorted(Path(folder).rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        is_of_peft = relative.name == CARD_FILE and relative.name != str(relative)
        if path.is_file() and not (is_hidden or is_of_peft or path.suffix == ".tmp"):
            yield relative
