"""Who takes part in a comparison: one entry for each row of its table. A new algorithm is one more entry here.

Presets say how much training there is (:class:`~dialogym.evaluation.compare.arms.Preset`); what follows from the
entries: the arms that are run, the tests between them, the table, the colours and the charts.
"""

from __future__ import annotations

from dataclasses import dataclass

MENU, RULE, LABELS = "menu", "rule", "labels"
"""What a task may have: a menu of replies, a rule policy, gold labels of its texts."""
TURNS, DEMONSTRATIONS, LABELLED_TEXTS = "env_turns", "demonstrations", "num_examples"
"""What a training is counted in, by the name of the agent's setting for it."""
FLOOR, CEILING = "floor", "ceiling"
"""Roles of agents that the others are measured by."""
SFT, RL, SFT_RL = "sft", "rl", "sft_rl"
"""The three that a report's questions are about: before reinforcement learning, without SFT, and after both."""


@dataclass(frozen=True)
class Contender:
    """An agent as a comparison knows it.

    Attributes:
        name: in results and folders.
        agent: in the registry of agents.
        label, colour: in reports and charts.
        learns_from: what its training is counted in, ``TURNS``, ``DEMONSTRATIONS`` or ``LABELLED_TEXTS``; None for an
            agent that is scored as it is made, once, whatever the number of training seeds.
        turns_of: the agent whose number of turns in a preset it gets; empty is its own.
        needs: ``MENU``, ``RULE``, ``LABELS``: a task without one of them has no place for it.
        starts_from: the contender whose weights it starts from, run by run.
        is_language_model: it speaks with the small language model, in the vocabulary fitted to the environment.
        role: ``FLOOR`` or ``CEILING``, for what success is normalised by.
        against: contenders that a paired test compares it with, in the order of the table of tests.
        aim: share of the rule's success that it should reach.
        is_optional: results are complete without it.
        in_suite: it takes part in the comparison across environments.
    """

    name: str
    agent: str
    label: str
    colour: str
    learns_from: str | None = None
    turns_of: str = ""
    needs: frozenset[str] = frozenset()
    starts_from: str | None = None
    is_language_model: bool = False
    role: str | None = None
    against: tuple[str, ...] = ()
    aim: float | None = None
    is_optional: bool = False
    in_suite: bool = False


CONTENDERS = (
    Contender("do_nothing", "do_nothing", "do nothing", "#8e949e", role=FLOOR, in_suite=True),
    Contender("random", "random", "random", "#b48a5a", role=FLOOR, in_suite=True),
    Contender("untrained", "ppo", "untrained LM", "#c779b0", is_language_model=True, is_optional=True),
    Contender(
        "rule", "rule", "rule (oracle)", "#4f9d4f", needs=frozenset({RULE}), role=CEILING, in_suite=True,
    ),
    Contender(
        "q_learning", "q_learning", "Q-learning", "#3b8fd0", TURNS, needs=frozenset({MENU}), aim=0.85, in_suite=True,
    ),
    Contender(
        "sb3_ppo", "sb3_ppo", "PPO, sb3", "#12a5a5", TURNS, needs=frozenset({MENU}), against=("q_learning",), aim=0.9,
    ),
    Contender(
        "bert", "bert", "BERT, supervised", "#5b6ee1", LABELLED_TEXTS, needs=frozenset({LABELS}),
        against=("sb3_ppo", SFT_RL), is_optional=True, in_suite=True,
    ),
    Contender(
        SFT, "sft", "SFT", "#dd9a00", DEMONSTRATIONS, needs=frozenset({RULE}), is_language_model=True,
        against=("rule",), in_suite=True,
    ),
    Contender(RL, "ppo", "RL from scratch", "#d9543a", TURNS, is_language_model=True, against=("random",)),
    Contender(
        SFT_RL, "ppo", "SFT → RL", "#7c5cff", TURNS, starts_from=SFT, is_language_model=True,
        against=(SFT, RL, "rule", "sb3_ppo", "q_learning"), aim=0.85, in_suite=True,
    ),
)  # fmt: skip
"""In the order of the table."""
BY_NAME = {contender.name: contender for contender in CONTENDERS}


def named(name: str) -> Contender | None:
    """The contender of that name; None for an arm that is no row of the table, such as a point of a curve."""
    return BY_NAME.get(name)


def pairs() -> list[tuple[str, str]]:
    """Whom the paired tests compare, first with second; those with most opponents come first."""
    most_first = sorted(CONTENDERS, key=lambda contender: -len(contender.against))
    return [(contender.name, other) for contender in most_first for other in contender.against]


def suite_columns() -> list[str]:
    """The columns of the table across environments: floors, language models, other agents, and the ceiling last."""

    def place(contender: Contender) -> int:
        if contender.role is not None:
            return 0 if contender.role == FLOOR else 3
        return 1 if contender.is_language_model else 2

    return [contender.name for contender in sorted(CONTENDERS, key=place) if contender.in_suite]
