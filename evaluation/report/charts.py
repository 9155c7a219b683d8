"""The pictures of a report, as inline SVG that takes its text colour from the page, light or dark."""

from __future__ import annotations

import html
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ...agents.files import atomic_write
from ..contenders import CONTENDERS, MENU, TURNS, Contender, named, stages_of

INK, FAINT = "#010203", "#040506"
"""Colours that stand for the page's own: they are replaced in the SVG."""
ON_WHITE = {INK: "#222222", FAINT: "#dddddd"}


MAX_SLICES = 20
"""Of the goals in a picture: those that differ most."""


def label(name: str) -> str:
    """What an agent is called in a report."""
    contender = named(name)
    return name if contender is None else contender.label


def colour(name: str) -> str:
    """The colour of an agent, the same in every picture."""
    contender = named(name)
    return "#888888" if contender is None else contender.colour


@contextmanager
def drawing(width: float, height: float) -> Iterator[Any]:
    """A matplotlib figure in our style, without any of pyplot's global state."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "dialogym", "font.size": 10, "font.family": "sans-serif",
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT,
        "grid.linewidth": 0.5, "axes.axisbelow": True, "xtick.major.size": 0, "ytick.major.size": 0,
        "legend.frameon": False,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        yield Figure(figsize=(width, height), layout="constrained")


@contextmanager
def _drawing(width: float, height: float, columns: int = 1) -> Iterator[tuple[Any, Any]]:
    """The figure of :func:`drawing`, with its axes side by side."""
    with drawing(width, height) as figure:
        yield figure, figure.subplots(1, columns)


def svg(figure: Any, description: str) -> str:
    """The figure as an SVG element for a page, told to those who cannot see it by ``description``.

    It says nothing of when it was made, so that equal figures are equal text.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px; font-family: inherit", text)
    text = re.sub(r'(<svg [^>]*?)\bwidth="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)\bheight="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(description)}" ', 1)


# Success


def success_chart(results: Mapping[str, Any]) -> str:
    """A dot with its interval for each agent, and a small dot for each seed."""
    with success_figure(results) as figure:
        return svg(figure, "success of each agent with its interval")


@contextmanager
def success_figure(results: Mapping[str, Any]) -> Iterator[Any]:
    """The figure of :func:`success_chart`."""
    agents = results["agents"]
    with _drawing(8.4, 0.44 * len(agents) + 0.7) as (figure, axes):
        for row, (name, agent) in enumerate(agents.items()):
            success = agent["success"]
            axes.barh(row, success["mean"], height=0.62, color=colour(name), alpha=0.28, linewidth=0)
            axes.plot(
                [success["low"], success["high"]], [row, row], color=colour(name), linewidth=3.5, solid_capstyle="round"
            )
            axes.plot(success["mean"], row, "o", color=colour(name), markersize=7)
            if len(agent["per_seed"]) > 1:
                means = [seed["success"]["mean"] for seed in agent["per_seed"]]
                axes.plot(means, [row + 0.24] * len(means), "|", color=INK, markersize=5)
            text = f"{success['mean']:.1%}  [{success['low']:.1%}, {success['high']:.1%}]"
            axes.text(1.03, row, text, va="center", fontsize=9)
        axes.set_yticks(range(len(agents)), [label(name) for name in agents])
        axes.invert_yaxis()
        axes.set_xlim(-0.01, 1.01)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("held-out conversations that succeed, with 95% interval")
        yield figure


def save_success_picture(results: Mapping[str, Any], path: str | Path) -> None:
    """The success chart as a PNG on white, for pages that show no inline SVG."""
    with success_figure(results) as figure:
        save(figure, path)


def save_learning_picture(results: Mapping[str, Any], path: str | Path) -> None:
    """The learning curves as a PNG on white."""
    with learning_figure(results) as figure:
        save(figure, path)


def save(figure: Any, path: str | Path | IO[bytes]) -> None:
    """Writes a figure of ours as a picture on white, a PNG unless the name says otherwise."""
    for artist in figure.findobj(match=lambda artist: hasattr(artist, "get_color")):
        if artist.get_color() in ON_WHITE:
            artist.set_color(ON_WHITE[artist.get_color()])
    figure.savefig(path, dpi=160, facecolor="white")


# Estimates of success, and slices of the goals


def reliability_chart(results: Mapping[str, Any]) -> str | None:
    """Success against the estimate of it, a dot with its interval for each bin; None where nobody estimates."""
    found = [
        (name, estimate, calibrated["bins"])
        for name, agent in results["agents"].items()
        for estimate, calibrated in (agent.get("calibration") or {}).items()
    ]
    if not found:
        return None
    with _drawing(8.4, 4.2) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for name, estimate, bins in found:
            said, mean = [one["said"] for one in bins], [one["mean"] for one in bins]
            off = [[one["mean"] - one["low"] for one in bins], [one["high"] - one["mean"] for one in bins]]
            marker = "o" if estimate == "value" else "s"
            axes.errorbar(
                said, mean, off, fmt=marker, color=colour(name), markersize=4, linewidth=1,
                label=f"{label(name)}, {estimate}",
            )  # fmt: skip
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="estimated chance of success", ylabel="success")
        axes.legend(fontsize=8, loc="upper left")
        return svg(figure, "success against the estimate of it")


def slice_chart(results: Mapping[str, Any], name: str) -> str | None:
    """Success of an agent in each slice of the goals, with intervals; None where there are none."""
    rows = (results["agents"].get(name) or {}).get("slices") or []
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row["p_holm"])[:MAX_SLICES]
    with _drawing(8.4, 0.3 * len(rows) + 0.8) as (figure, axes):
        for place, row in enumerate(rows):
            success = row["success"]
            axes.plot([success["low"], success["high"]], [place, place], color=colour(name), linewidth=2.5)
            axes.plot(success["mean"], place, "o", color=colour(name), markersize=5)
            axes.plot(row["rest"], place, "|", color=INK, markersize=8)
        axes.set_yticks(
            range(len(rows)), [f"{row['field']}: {row['value']} ({row['goals']})" for row in rows], fontsize=8
        )
        axes.invert_yaxis()
        axes.set_xlim(-0.01, 1.01)
        axes.set_xlabel(f"success of {label(name)} in slices of the goals, 95% intervals; tick: on all other goals")
        return svg(figure, "success in slices of the goals with intervals")


# Learning curves


def _learners(with_menu: bool) -> list[Contender]:
    """Those that learn by acting, from a menu or in words; in the table they stand the other way round."""
    return [one for one in reversed(CONTENDERS) if one.learns_from == TURNS and (MENU in one.needs) == with_menu]


def learning_chart(results: Mapping[str, Any]) -> str:
    """Success on validation goals against environment turns."""
    with learning_figure(results) as figure:
        return svg(figure, "success on validation goals against environment turns")


@contextmanager
def learning_figure(results: Mapping[str, Any]) -> Iterator[Any]:
    """Success on validation goals against environment turns: language models left, agents with a menu right.

    Where there are none of either kind the others have all the room.
    """
    agents = results["agents"]
    shown = stages_of(agents).before
    starts = _sft_points(agents[shown]) if shown in agents else []
    speaking, choosing = ([one for one in _learners(menu) if one.name in agents] for menu in (False, True))
    titles = [title for title, has in (("language models", speaking or starts), ("menu agents", choosing)) if has]
    with _drawing(8.8, 3.5, columns=max(1, len(titles))) as (figure, _):
        axes_of = dict(zip(titles, figure.axes, strict=False))
        left, right = axes_of.get("language models"), axes_of.get("menu agents")
        if left is not None:
            _language_model_curves(left, agents, speaking, shown, starts)
            _finish_learning_axes(left, "language models", "center right")
        if right is not None:
            for one in choosing:
                _curves(right, one.name, agents[one.name], [])
            _finish_learning_axes(right, "menu agents", "lower right")
        figure.axes[0].set_ylabel("success on validation goals")
        if not titles:
            _finish_learning_axes(figure.axes[0], "nobody learned by acting", "center right")
        yield figure


def _language_model_curves(
    axes: Any, agents: Mapping[str, Any], learners: Sequence[Contender], shown: str, starts: list[tuple[float, float]]
) -> None:
    """Those after SFT begin where it came to, behind the turns of its demonstrations."""
    if starts:
        axes.axvspan(0, starts[0][0], color=colour(shown), alpha=0.15, linewidth=0)
        axes.text(0, 1.04, "demonstrations", fontsize=8, va="bottom", color=colour(shown))
    for one in learners:
        _curves(axes, one.name, agents[one.name], starts if one.starts_from == shown else [])
    if starts:
        axes.plot(*zip(*starts, strict=True), "D", color=colour(shown), markersize=6, label=label(shown))


def _sft_points(sft: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Where each seed of SFT came to: the turns of its demonstrations, and its best validation."""
    points = []
    for seed in sft["per_seed"]:
        _, values = _validated(seed["learning_curve"])
        points.append((seed["budget"]["demonstration_turns"], max(values, default=seed["success"]["mean"])))
    return points


def _finish_learning_axes(axes: Any, title: str, legend: str) -> None:
    axes.set_title(title, fontsize=10, loc="right")
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(_max_ticks(5))
    axes.xaxis.set_major_formatter(lambda turns, _: f"{turns / 1000:g}k" if turns else "0")
    axes.set_xlabel("environment turns")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc=legend)


def _max_ticks(count: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count)


def _curves(axes: Any, name: str, agent: Mapping[str, Any], starts: Sequence[tuple[float, float]]) -> None:
    """One line for each seed, from where it started; several are thin, and their mean is drawn over them."""
    lines = []
    for number, seed in enumerate(agent["per_seed"]):
        turns, values = _validated(seed["learning_curve"])
        shown = seed["budget"]["demonstration_turns"]
        start = [starts[number]] if number < len(starts) else []
        lines.append([*start, *[(turn + shown, value) for turn, value in zip(turns, values, strict=True)]])
    lines = [line for line in lines if line]
    averaged = len(lines) > 1 and len({len(line) for line in lines}) == 1
    style = {"linewidth": 1.8, "marker": "o", "markersize": 3} if len(lines) == 1 else {"linewidth": 1.0, "alpha": 0.6}
    for number, line in enumerate(lines):
        named = None if number or averaged else label(name)
        axes.plot(*zip(*line, strict=True), color=colour(name), label=named, **style)
    if averaged:
        columns = [list(zip(*points, strict=True)) for points in zip(*lines, strict=True)]
        means = [[sum(values) / len(values) for values in column] for column in columns]
        axes.plot(*zip(*means, strict=True), color=colour(name), linewidth=2.6, label=label(name))


def _validated(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Turns and validation success of the rows of a log that have one."""
    found = [(row["env_turns"], row["validation"]) for row in rows if row.get("validation") is not None]
    return [turns for turns, _ in found], [value for _, value in found]


# Returns


def return_chart(results: Mapping[str, Any]) -> str:
    """How the returns of each agent are spread: one small histogram each, on one scale."""
    returns = {
        name: [value for seed in agent["per_seed"] for value in seed["per_goal"]["return"]]
        for name, agent in results["agents"].items()
    }
    edges = _bin_edges([value for values in returns.values() for value in values])
    widths = [right - left for left, right in itertools.pairwise(edges)]
    with _drawing(8.4, 0.5 * len(returns) + 0.7) as (figure, axes):
        for row, (name, values) in enumerate(returns.items()):
            # y points down, so a histogram hangs from its row's base; the root lets rare returns be seen
            heights = [-0.86 * math.sqrt(number / len(values)) for number in _histogram(values, edges)]
            base = row + 0.9
            axes.bar(edges[:-1], heights, widths, base, align="edge", color=colour(name), alpha=0.75, linewidth=0)
            axes.plot([sum(values) / len(values)] * 2, [base, base - 0.8], color=INK, linewidth=1.2)
        axes.set_yticks([row + 0.7 for row in range(len(returns))], [label(name) for name in returns])
        axes.set_ylim(len(returns), -0.05)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("return of a conversation (line: mean; heights: square root of the share)")
        return svg(figure, "returns of each agent as histograms")


def _bin_edges(values: Sequence[float], count: int = 45) -> list[float]:
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    if all(float(value).is_integer() for value in values) and high - low <= 80:
        return [low - 0.5 + step for step in range(int(high - low) + 2)]
    return [low + (high - low) * step / count for step in range(count + 1)]


def _histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    import numpy as np

    return np.histogram(values, bins=list(edges))[0].tolist()


# Demonstrations


def demonstration_chart(results: Mapping[str, Any]) -> str | None:
    """Success of SFT against the number of demonstrations, and where RL took it; None where only one is known."""
    points = results["demonstration_curve"]
    if len(points) < 2:
        return None
    sft, _, sft_rl = stages_of(results["agents"])
    with _drawing(8.4, 3.0) as (figure, axes):
        x = [point["demonstrations"] for point in points]
        mean, low, high = ([point["success"][part] for point in points] for part in ("mean", "low", "high"))
        axes.fill_between(x, low, high, color=colour(sft), alpha=0.2, linewidth=0)
        axes.plot(x, mean, "o-", color=colour(sft), label=label(sft))
        if {sft, sft_rl} <= results["agents"].keys():
            success = results["agents"][sft_rl]["success"]
            start = results["agents"][sft]["budget"]["demonstrations"]
            below = next(point["success"]["mean"] for point in points if point["demonstrations"] == start)
            axes.annotate(
                "", (start, success["mean"]), (start, below),
                arrowprops={"arrowstyle": "->", "color": colour(sft_rl), "linewidth": 1.8},
            )  # fmt: skip
            spread = [[success["mean"] - success["low"]], [success["high"] - success["mean"]]]
            axes.errorbar([start], [success["mean"]], spread, fmt="o", color=colour(sft_rl), label=label(sft_rl))
        axes.set_ylim(-0.02, 1.02)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_xlabel("demonstrations")
        axes.set_ylabel("success")
        axes.set_xticks(x)
        axes.legend(fontsize=8, loc="lower right")
        return svg(figure, "success of SFT against the number of demonstrations")


# Tables of numbers


def heat_map(
    cells: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | Path,
    *,
    notes: Sequence[Sequence[str]] | None = None,
    row_title: str = "",
    column_title: str = "",
    meaning: str = "0 = floor, 1 = rule",
) -> None:
    """Draws a table of numbers as a picture: colour from 0 (floor) to 1 (ceiling), the number written in each cell.

    Args:
        cells: a row for each of ``rows``; None is left blank.
        rows, columns: their names.
        path: of the PNG file, which is written at once.
        notes: a small line for each cell, below its number.
        row_title, column_title: what rows and columns are.
        meaning: of the colours.
    """
    import matplotlib.colors
    import numpy as np
    from matplotlib.figure import Figure

    values = np.array([[np.nan if cell is None else cell for cell in row] for row in cells], dtype=float)
    height = 0.42 if notes is None else 0.6
    width = 1.5 if notes is None else 2.2
    tall = max(2.9, 1.2 + height * len(rows))  # so that there is room beside it for what the colours mean
    figure = Figure(figsize=(width + 1.15 * len(columns), tall), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        values.reshape(len(rows), len(columns)), cmap="viridis", norm=matplotlib.colors.Normalize(0, 1), aspect="auto"
    )
    axes.set_xticks(range(len(columns)), [label(name) for name in columns], rotation=20, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(column_title)
    axes.set_ylabel(row_title)
    axes.tick_params(length=0)
    for y, x in itertools.product(range(len(rows)), range(len(columns))):
        if not np.isnan(values[y, x]):
            ink = "black" if values[y, x] > 0.6 else "white"
            below = 0.0 if notes is None else 0.13
            axes.text(x, y - below, f"{values[y, x]:.2f}", ha="center", va="center", color=ink, fontsize=9)
            if notes is not None:
                axes.text(x, y + 0.24, notes[y][x], ha="center", va="center", color=ink, fontsize=6.5)
    figure.colorbar(image, ax=axes, label=meaning)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    atomic_write(path, buffer.getvalue())
