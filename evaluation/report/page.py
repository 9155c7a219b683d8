"""The report of a comparison, for people: ``report.html`` (one file, opens offline) and ``report.md``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...agents.files import atomic_write
from ...agents.training.log import late_fall
from ...envs.core.audit import MARKS, SIDES
from ..blame import SAYS
from ..calibration import calibration_rows, slice_rows, told_slices
from ..contenders import BY_NAME, SMALL, Stages, stages_of
from ..grading import in_words
from ..rating.judges import in_words as judge_in_words
from ..statistics import p_equals, p_in_words
from .charts import (
    colour,
    demonstration_chart,
    label,
    learning_chart,
    reliability_chart,
    return_chart,
    save_learning_picture,
    save_success_picture,
    slice_chart,
    success_chart,
)
from .efficiency import METHOD as EFFICIENCY
from .efficiency import efficiency_rows, what_it_took
from .gains import MAX_DRIFT
from .markdown import cell, markdown_table
from .results import BETTER, DIFFER, MODELS, WORSE

TEMPLATE = Path(__file__).with_name("report.html.jinja")
HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"
PICTURES = {"success.png": save_success_picture, "learning.png": save_learning_picture}


def write_reports(results: Mapping[str, Any], out: str | Path) -> None:
    """Writes ``report.html``, ``report.md`` and the pictures that the latter shows into the folder ``out``."""
    out = Path(out)
    atomic_write(out / HTML_FILE, html_report(results))
    for name, save in PICTURES.items():
        draft = out / f".draft-{name}"
        save(results, draft)
        draft.replace(out / name)
    atomic_write(out / MARKDOWN_FILE, markdown_report(results))


def html_report(results: Mapping[str, Any]) -> str:
    """The page. All text of the results is escaped."""
    jinja2, markup = _jinja()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(
        percent=percent, signed=signed_points, number=number, count=count, seconds=duration, p=p_in_words, label=label,
        colour=colour, plain=plain_json, solved=solved, wish=wish,
    )  # fmt: skip
    demonstrations = demonstration_chart(results)
    reliability = reliability_chart(results)
    slices = slice_chart(results, _stages(results).after)
    charts = {
        "reliability": None if reliability is None else markup(reliability),
        "slices": None if slices is None else markup(slices),
        "success": markup(success_chart(results)),
        "learning": markup(learning_chart(results)),
        "returns": markup(return_chart(results)),
        "demonstrations": None if demonstrations is None else markup(demonstrations),
    }
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        results=results, agents=results["agents"], charts=charts, labels=label_rows(results),
        blames=blame_rows(results), blame_says=blame_says(),
        question=question(results), shown_bold=_stages(results).after, answers=answers(results), notes=notes(results),
        calibration=_calibration_rows(results), slices=_slice_rows(results),
        efficiency=efficiency_rows(_called(results), ("agent",)),
        gains=gain_rows(results["gains"]), gamed=[gain for gain in results["gains"] if gain["signs"]],
        judges=[judge_in_words(judge) for judge in results.get("judges", ())],
        missed=[aim for aim in results["aims"] if not aim["met"]], provenance=results["provenance"],
    )  # fmt: skip


def check_can_report() -> None:
    """Raises ImportError where a package that a report is written or drawn with is missing, with its extra."""
    _jinja()


def _jinja() -> Any:
    try:
        import jinja2
        import matplotlib  # noqa: F401
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(f'a report needs {error.name}: pip install "dialogym[report]"', name=error.name) from error
    return jinja2, Markup


# How numbers are written


def percent(value: float | None) -> str:
    """A share: 0.934 is "93.4%"."""
    return "–" if value is None else f"{100 * value:.1f}%"


def signed_points(value: float) -> str:
    """A difference of shares, in percentage points with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def number(value: float | None, digits: int = 2) -> str:
    """A number, as long as it is of a readable size; a dash for none."""
    if value is None:
        return "–"
    if abs(value) >= 10_000:
        return f"{value:.1e}"
    return f"{value:.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """A count with its thousands set apart."""
    return "–" if not value else f"{round(value):,}".replace(",", " ")


def duration(value: float | None) -> str:
    """Seconds, or minutes where they are many."""
    if not value:
        return "–"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def solved(value: float) -> str:
    """A number of goals; of several runs the mean, with one decimal."""
    return number(value, 0 if float(value).is_integer() else 1)


def plain_json(value: Any) -> str:
    """Nested facts as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def wish(value: Any) -> str:
    """A part of a goal in words: pairs are written without their brackets."""
    if value is None or value == [] or value == ():
        return "–"
    if isinstance(value, (list, tuple)):
        joint = " " if all(isinstance(part, (str, int, float)) for part in value) and len(value) == 2 else ", "
        return joint.join(wish(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


# What it says


def question(results: Mapping[str, Any]) -> str:
    """What the report is about: of one training run, the model that came of it."""
    test = _gain_test(results)
    if test is not None and test["speaks_of"] == MODELS:
        return "How far does supervised fine-tuning get, and is the model after reinforcement learning another?"
    return "How far does supervised fine-tuning get, what does reinforcement learning add, and is the gain real?"


def answers(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """The three questions, with a figure and a sentence for each that the compared agents can answer."""
    found = [_how_far_sft_gets(results), _what_rl_adds(results), _is_the_gain_real(results)]
    return [answer for answer in found if answer is not None]


def _how_far_sft_gets(results: Mapping[str, Any]) -> dict[str, str] | None:
    name = _stages(results).before
    sft = results["agents"].get(name)
    if sft is None:
        return None
    success, budget = sft["success"], sft["budget"]
    text = f"of {results['goals']['count']} held-out conversations succeed after supervised fine-tuning on "
    text += f"{count(budget['demonstrations'])} demonstrations {_interval(success)}."
    rule = results["agents"].get("rule")
    if rule is not None:
        text += f" The rule that knows the task reaches {percent(rule['success']['mean'])}."
    return {"question": "How far does SFT get?", "figure": percent(success["mean"]), "text": text, "agent": name}


def _what_rl_adds(results: Mapping[str, Any]) -> dict[str, str] | None:
    agents, test, stages = results["agents"], _gain_test(results), _stages(results)
    if test is None:
        return None
    after, difference, algorithm = agents[stages.after], test["difference"], BY_NAME[stages.after].agent.upper()
    turns = after["budget"]["env_turns"] - after["budget"]["demonstration_turns"]
    text = f"of success [95% interval {signed_points(difference['low'])} to {signed_points(difference['high'])}]: "
    text += f"{percent(after['success']['mean'])} succeed {_interval(after['success'])} with the best model, on "
    text += f"validation goals, of {count(turns)} more environment turns of {algorithm}."
    if stages.alone in agents:
        alone = "From scratch, on equally many turns in all," if stages == SMALL else "Without SFT"
        text += f" {alone} {algorithm} reaches {percent(agents[stages.alone]['success']['mean'])}."
    of_models = test["speaks_of"] == MODELS
    return {
        "question": "How does this model differ after RL?" if of_models else "What does RL add?",
        "figure": f"{signed_points(difference['mean'])} points",
        "text": text,
        "agent": stages.after,
    }


def _is_the_gain_real(results: Mapping[str, Any]) -> dict[str, str] | None:
    test, stages = _gain_test(results), _stages(results)
    if test is None:
        return None
    of_models = test["speaks_of"] == MODELS
    text = _of_models(test) if of_models else _of_runs(test)
    figure = {BETTER: "yes", WORSE: "it is a loss", DIFFER: "yes"}.get(test["verdict"], "not shown")
    before, after = (results["agents"][name]["fluency"] for name in (stages.before, stages.after))
    if before and after:
        drift = after / before - 1
        judged = "the words stay those of the task" if drift <= MAX_DRIFT - 1 else "the words drift"
        text += f" Perplexity of what it says: {number(after)} against {number(before)} ({round(100 * drift):+d}%), "
        text += f"so {judged}."
    return {
        "question": "Do these two models differ?" if of_models else "Is the gain real?",
        "figure": figure,
        "text": text,
        "agent": "rule" if figure == "yes" else stages.alone,
    }


def _of_models(test: Mapping[str, Any]) -> str:
    """What one training run of each shows."""
    verdict = "These two models differ" if test["significant"] else "No difference shown between these two models"
    text = f"{verdict}: on the same goals under the same noise, {number(test['first_only'], 0)} "
    text += f"succeeded only after RL and {number(test['second_only'], 0)} only before; exact McNemar test, "
    text += f"{p_equals(test['p_holm'])} after Holm's correction. That is one training run of each: another may turn "
    return text + "out differently, and whether RL adds anything takes several."


def _of_runs(test: Mapping[str, Any]) -> str:
    """What several training runs show."""
    text = f"Over {test['runs'][0]} training runs, each against the run of SFT that it began from, and over goals: "
    return text + f"Student's t, {p_equals(test['p_holm'])} after Holm's correction."


def _stages(results: Mapping[str, Any]) -> Stages:
    return stages_of(results["agents"])


def _gain_test(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What comes after SFT against SFT."""
    stages = _stages(results)
    return _test(results, stages.after, stages.before)


def _test(results: Mapping[str, Any], first: str, second: str) -> Mapping[str, Any] | None:
    return next((test for test in results["tests"] if (test["first"], test["second"]) == (first, second)), None)


def _interval(interval: Mapping[str, float]) -> str:
    return f"[95% interval {percent(interval['low'])} to {percent(interval['high'])}]"


def notes(results: Mapping[str, Any]) -> list[str]:
    """What a sceptical reader should know."""
    settings, agents = results["settings"], results["agents"]
    seeds = settings["num_seeds"]
    found = [
        f"Preset “{settings['preset']}”: "
        + (
            "one training run of each agent, so intervals and tests speak of these models over goals, not of what "
            "another training would yield."
            if seeds == 1
            else f"{seeds} training runs; intervals and tests speak of trainings and of goals."
        ),
        f"Every agent played the same {results['goals']['count']} goals of the {results['goals']['split']} split under "
        "the same noise seeds. Nobody was trained here on the goals of that split, nor on wordings that the task keeps "
        "for it; what a pretrained model or encoder had read before is not known.",
        "The reported model is the one with the best success on validation goals; “final” is where training stopped.",
    ]
    _, alone, after = _stages(results)
    if after in agents and alone in agents:
        a, b = agents[after]["budget"], agents[alone]["budget"]
        found.append(
            f"{label(alone)} had {count(b['env_turns'])} environment turns, {label(after)} {count(a['env_turns'])}, of "
            f"which {count(a['demonstration_turns'])} are the demonstrations; the last batch of each was finished."
        )
    found += [f"{line}." for line in cut_short(agents)]
    commits = results["provenance"]["arm_commits"]
    if len(commits) > 1:
        found.append(f"The agents were not all trained and scored by the same code, but at {', '.join(commits)}.")
    reasons: dict[str, list[str]] = {}
    for name, reason in results["left_out"].items():
        reasons.setdefault(reason.strip().splitlines()[-1], []).append(label(name))
    found += [f"Left out: {', '.join(names)} ({reason})." for reason, names in reasons.items()]
    return found + _graded(results)


def cut_short(agents: Mapping[str, Any]) -> list[str]:
    """Which supervised agents were still learning when their training ended: RL may add what they had yet to learn."""
    found = []
    for name, agent in agents.items():
        curves = [seed.get("learning_curve", ()) for seed in agent["per_seed"]]
        losses = [[row["validation_loss"] for row in rows if row.get("validation_loss") is not None] for rows in curves]
        falls = [fall for fall in map(late_fall, losses) if fall is not None]
        if falls:
            before, after = (sum(losses) / len(falls) for losses in zip(*falls, strict=True))
            runs = f"{len(falls)} of {len(agent['per_seed'])} training runs"
            found.append(
                f"{label(name)} was still learning when it ended: in {runs} the last epoch took the loss on held-out "
                f"data from {number(before)} to {number(after)}, so that more updates would have lowered it further, "
                "and what RL adds may be in part what it had yet to learn"
            )
    return found


def _graded(results: Mapping[str, Any]) -> list[str]:
    """By which versions of task and reward, and whether that was after the agents were scored."""
    graded, found = results["settings"].get("grading"), []
    if graded is not None:
        found.append(f"Graded: {in_words(graded)}.")
    if "rescored" in results:
        found += _regraded(results["rescored"], graded)
    return found


def _regraded(rescored: Mapping[str, Any], graded: Mapping[str, Any] | None) -> list[str]:
    """What was graded after the agents were scored, and what was not."""
    was, changed = rescored["before"], rescored.get("changed_verdicts")
    before = in_words(was) if was is not None else "by a version not known"
    found = []
    if rescored.get("reward_changed", True):
        found.append(f"Returns are of a reward that the agents did not learn from; they were graded: {before}.")
    if changed is not None:
        counts = ", ".join(f"{key} {count}" for key, count in changed.items())
        found.append(
            f"Success was judged anew, by saying to the task what the agents had said; they were graded: {before}. "
            f"Verdicts that changed: {counts}. Learning curves, validation and the measures of labels and words are of "
            "before; pass^k is left out."
        )
    now = rescored.get("task_version_now")
    if changed is None and graded is not None and now is not None and now != graded["task"]["version"]:
        found.append(
            f"Success is that of version {graded['task']['version']} of the task, and returns were taken from the task "
            f"at version {now}: dialogym rescore with the option success judges success anew."
        )
    return found


# Markdown


def markdown_report(results: Mapping[str, Any]) -> str:
    """The answers, the table and the tests in Markdown; cells are escaped."""
    env, goals, provenance = results["env"], results["goals"], results["provenance"]
    lines = [f"# {cell(env['id'])}: {question(results)}", ""]
    for judge in results.get("judges", ()):
        lines += [f"**{cell(judge_in_words(judge))}**", ""]
    for answer in answers(results):
        lines += [f"**{answer['question']}** {answer['figure']}: {cell(answer['text'])}", ""]
    lines += ["![success of each agent with 95% intervals](success.png)", "", *markdown_table(_rows(results)), ""]
    lines += ["![success on validation goals against environment turns](learning.png)", ""]
    if any(agent.get("labels") for agent in results["agents"].values()):
        lines += ["## Labels", "", *markdown_table(label_rows(results)), ""]
    if len(blame_rows(results)) > 1:
        lines += ["## Whose fault", "", blame_says(), "", *markdown_table(blame_rows(results)), ""]
    method = results["methods"].get("sample_efficiency", EFFICIENCY)
    lines += what_it_took(_called(results), ("agent",), method)
    for title, rows in (("Does it know?", _calibration_rows(results)), ("Where it fails", _slice_rows(results))):
        if len(rows) > 1:
            lines += [f"## {title}", "", *markdown_table(rows), ""]
    lines += ["## Paired tests", "", *markdown_table(_test_rows(results)), ""]
    if results["gains"]:
        lines += ["## What the gains cost", "", *markdown_table(gain_rows(results["gains"])), ""]
        lines += [line for gain in results["gains"] for line in gain_lines(gain)]
    lines += ["## Notes", ""]
    lines += [f"- {cell(note)}" for note in notes(results)]
    for aim in results["aims"]:
        if not aim["met"]:
            lines.append(
                f"- **Missed:** {cell(label(aim['agent']))}, {cell(aim['aim'])}; found {number(aim['found'], 3)}"
            )
    lines += [
        f"- {goals['count']} {goals['split']} goals, SHA-256 `{goals['hash']}`; commit `{provenance['commit']}`; "
        f"{cell(provenance['date'])}; {cell(provenance['hardware']['processor'])}.",
        "",
    ]
    return "\n".join(lines)


def _rows(results: Mapping[str, Any]) -> list[list[str]]:
    rows = [[
        "agent", "success [95%]", "final", "return", "turns", "invalid", "perplexity", "distinct-2", "normalised",
        "env turns", "seconds",
    ]]  # fmt: skip
    for name, agent in results["agents"].items():
        success, budget = agent["success"], agent["budget"]
        rows.append([
            label(name),
            f"{percent(success['mean'])} [{percent(success['low'])}, {percent(success['high'])}]",
            percent(agent["final"]["success"]["mean"]) if agent["final"] else "–",
            number(agent["return"]["mean"], 1),
            number(agent["turns"]["mean"], 1),
            percent(agent["invalid_rate"]),
            number(agent["fluency"]),
            number(agent["distinct_2"]),
            number(agent["normalised"]),
            count(budget["env_turns"]),
            count(budget["seconds"]),
        ])  # fmt: skip
    return rows


def _called(results: Mapping[str, Any]) -> dict[tuple[str], Any]:
    """The agents by what they are called."""
    return {(label(name),): agent for name, agent in results["agents"].items()}


def _calibration_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Of all agents that estimate their success; the first row has the headings."""
    return calibration_rows(
        {
            f"{label(name)}, {estimate}{_judged_runs(found)}": found
            for name, agent in results["agents"].items()
            for estimate, found in (agent.get("calibration") or {}).items()
        }
    )


def _judged_runs(found: Mapping[str, Any]) -> str:
    """How many runs an estimate is of, where there were several."""
    runs = found.get("runs", 1)
    of_all = runs + found.get("left_out", 0)
    return "" if of_all == 1 else f", {runs} runs" if runs == of_all else f", {runs} of {of_all} runs"


def _slice_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The slices of the goals on which an agent differs from itself elsewhere; the first row has the headings."""
    (head, *_), rows = slice_rows([]), []
    for name, agent in results["agents"].items():
        rows += [[label(name), *row] for row in slice_rows(told_slices(agent.get("slices") or ()))[1:]]
    return [["agent", *head], *rows]


def label_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Accuracy, macro F1 and calibration of the agents on a labelled task; the first row has the headings."""
    rows = [["agent", "accuracy", "macro F1", "calibration error"]]
    for name, agent in results["agents"].items():
        found = agent.get("labels")
        if found:
            measures = (found["accuracy"], found["macro_f1"], found["calibration_error"])
            rows.append([label(name), *(number(measure, 3) for measure in measures)])
    return rows


def _test_rows(results: Mapping[str, Any]) -> list[list[str]]:
    rows = [["first", "second", "difference in points [95%]", "first only", "second only", "p (Holm)", "verdict"]]
    for test in results["tests"]:
        low, high = (signed_points(test["difference"][end]) for end in ("low", "high"))
        rows.append([
            label(test["first"]), label(test["second"]), f"{signed_points(test['difference']['mean'])} [{low}, {high}]",
            solved(test["first_only"]), solved(test["second_only"]), p_in_words(test["p_holm"]), test["verdict"],
        ])  # fmt: skip
    return rows


def blame_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Whose fault the failed conversations of each agent are; the first row has the headings."""
    rows = [["agent", "failed", *(f"by the {side}" for side in SIDES), *(f"partner {_kind(kind)}" for kind in MARKS)]]
    for name, agent in results["agents"].items():
        found = agent.get("blame")
        if found is not None:
            counts = [found[side] for side in SIDES] + [found["marks"][kind] for kind in MARKS]
            rows.append([label(name), f"{found['failed']} of {found['conversations']}", *map(str, counts)])
    return rows


def _kind(kind: str) -> str:
    return kind.replace("_", " ")


def blame_says() -> str:
    """How failures are laid to a side, in words."""
    said = "; ".join(f"to the {side} where {why}" for side, why in SAYS.items())
    return (
        f"Failed conversations are laid, by rules, {said}. The last columns count the conversations with such a turn."
    )


def gain_rows(gains: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What changed beside the reward, before → after; the first row has the headings."""
    rows = [[
        "agent", "before", "return", "success", "perplexity", "words a reply", "distinct-1", "distinct-2",
        "at the limit", "KL, nats a token",
    ]]  # fmt: skip
    for gain in gains:
        rows.append([
            label(gain["agent"]), label(gain["before"]), _change(gain["return"], number),
            _change(gain["success"], percent), _change(gain["fluency"], number),
            _change(gain["reply_words"], lambda value: number(value, 1)), _change(gain["distinct_1"], number),
            _change(gain["distinct_2"], number), _change(gain["cut_share"], percent), number(gain["kl"], 3),
        ])  # fmt: skip
    return rows


def _change(pair: Sequence[float | None], written: Callable[[float | None], str]) -> str:
    before, after = map(written, pair)
    return f"{before} → {after}"


def gain_lines(gain: Mapping[str, Any]) -> list[str]:
    """The sentence about a gain and the replies to read, in Markdown."""
    said = cell(gain["says"])
    lines = [f"**{said}**" if gain["signs"] else said, ""]
    for reply in gain["replies"]:
        lines += [f"- {cell(reply['asked']) or '(nothing was asked)'}"]
        lines += [f"  - {when}: {cell(reply[when]) or '(says nothing)'}" for when in ("before", "after")]
    return [*lines, ""]
