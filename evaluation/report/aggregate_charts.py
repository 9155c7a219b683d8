"""The picture of aggregates over a suite: interval estimates, performance profiles and chances of improvement.

After figures 2, 4 and 9 of Agarwal et al. (2021), https://arxiv.org/abs/2108.13264.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .charts import INK, colour, drawing, label, save

PANELS = {
    "iqm": "interquartile mean",
    "median": "median",
    "mean": "mean",
    "optimality_gap": "optimality gap (lower is better)",
}
LOWEST = -0.2
"""Normalised success below which profiles are not drawn."""


def aggregate_picture(results: Mapping[str, Any], heading: str = "") -> bytes:
    """The results of :func:`~dialogym.evaluation.aggregate.gather.aggregate_suites` as a PNG on white."""
    with aggregate_figure(results, heading) as figure:
        buffer = io.BytesIO()
        save(figure, buffer)
        return buffer.getvalue()


@contextmanager
def aggregate_figure(results: Mapping[str, Any], heading: str = "") -> Iterator[Any]:
    """The figure: a panel for each statistic above, profiles and chances of improvement below."""
    agents, pairs = results["agents"], results["improvement"]
    above, below = 0.34 * len(agents) + 0.8, max(3.0, 0.34 * len(pairs) + 0.8)
    with drawing(12.0, above + below) as figure:
        if heading:
            figure.suptitle(heading, fontsize=11)
        top, bottom = figure.subfigures(2, 1, height_ratios=[above, below])
        panels = top.subplots(1, len(PANELS))
        for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
            _estimates(axes, agents, name, title, named=axes is panels[0])
        left, right = bottom.subplots(1, 2)
        _profiles(left, results)
        _improvements(right, pairs)
        yield figure


def _estimates(axes: Any, agents: Mapping[str, Any], name: str, title: str, named: bool) -> None:
    for row, (agent, numbers) in enumerate(agents.items()):
        _dot(axes, row, numbers[name], colour(agent))
    axes.set_yticks(range(len(agents)), [label(agent) for agent in agents] if named else [])
    axes.set_title(title, fontsize=10)
    _finish_rows(axes, len(agents))


def _dot(axes: Any, row: int, estimate: Mapping[str, Any], paint: str) -> None:
    if estimate["low"] is not None:
        axes.plot([estimate["low"], estimate["high"]], [row, row], color=paint, linewidth=3.5, solid_capstyle="round")
    axes.plot(estimate["value"], row, "o", color=paint, markersize=6)


def _finish_rows(axes: Any, num_rows: int) -> None:
    axes.set_ylim(num_rows - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _profiles(axes: Any, results: Mapping[str, Any]) -> None:
    x = results["thresholds"]
    for agent, numbers in results["agents"].items():
        profile = numbers["profile"]
        if profile["low"] is not None:
            axes.fill_between(x, profile["low"], profile["high"], color=colour(agent), alpha=0.18, linewidth=0)
        axes.plot(x, profile["share"], color=colour(agent), linewidth=1.8, label=label(agent))
    axes.set_xlim(max(LOWEST, x[0]), x[-1])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("normalised success τ")
    axes.set_ylabel("runs and tasks above τ")
    axes.legend(fontsize=8, loc="upper right")


def _improvements(axes: Any, pairs: Any) -> None:
    for row, pair in enumerate(pairs):
        _dot(axes, row, pair, colour(pair["first"]))
    axes.axvline(0.5, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(pairs)), [f"{label(pair['first'])} over {label(pair['second'])}" for pair in pairs])
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("chance that a run of the first is better")
    _finish_rows(axes, max(1, len(pairs)))
