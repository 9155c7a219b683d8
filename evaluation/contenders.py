"""Who takes part in a comparison: one entry for each row of its table. A new algorithm is one more entry here.

Presets say how much training there is (:class:`~dialogym.evaluation.compare.arms.Preset`); what follows from the
entries: the arms that are run, the tests between them, the table, the colours and the charts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

MENU, RULE, LABELS = "menu", "rule", "labels"
"""What a task may have: a menu of replies, a rule policy, gold labels of its texts."""
TURNS, DEMONSTRATIONS, LABELLED_TEXTS = "env_turns", "demonstrations", "num_examples"
"""What a training is counted in, by the name of the agent's setting for it."""
FLOOR, CEILING = "floor", "ceiling"
"""Roles of agents that the others are measured by."""
SFT, RL, SFT_RL = "sft", "rl", "sft_rl"
ZERO_SHOT, LORA_SFT, LORA_RL, LORA_SFT_RL = "zero_shot", "lora_sft", "lora_rl", "lora_sft_rl"
PPO = "ppo"
"""The algorithm of ``RL`` and ``SFT_RL``; others take part where they are asked for, with as many turns."""


class Stages(NamedTuple):
    """The three that a report's questions are about: before reinforcement learning, without SFT, and after both."""

    before: str
    alone: str
    after: str


SMALL, PRETRAINED = Stages(SFT, RL, SFT_RL), Stages(LORA_SFT, LORA_RL, LORA_SFT_RL)
"""Those of the small model, whose weights are random at first, and those of a pretrained one."""


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
        was: the contender that it was before it learned, where it starts from no other's training.
        is_language_model: it speaks with the small language model, in the vocabulary fitted to the environment.
        is_pretrained: it speaks with a pretrained language model, as presets with one have it.
        role: ``FLOOR`` or ``CEILING``, for what success is normalised by.
        against: contenders that a paired test compares it with, in the order of the table of tests.
        aim: share of the rule's success that it should reach.
        is_optional: results are complete without it.
        in_suite: it takes part in the comparison across environments.
        on_request: it takes part only where its algorithm is asked for.
    """

    name: str
    agent: str
    label: str
    colour: str
    learns_from: str | None = None
    turns_of: str = ""
    needs: frozenset[str] = frozenset()
    starts_from: str | None = None
    was: str | None = None
    is_language_model: bool = False
    is_pretrained: bool = False
    role: str | None = None
    against: tuple[str, ...] = ()
    aim: float | None = None
    is_optional: bool = False
    in_suite: bool = False
    on_request: bool = False

    @property
    def beginning(self) -> str | None:
        """The contender that it was before its training."""
        return self.starts_from or self.was


def _after_sft(algorithm: str, label: str, colour: str) -> Contender:
    """Another algorithm in the place of PPO: from the same SFT, beside what PPO makes of it."""
    return Contender(
        f"{SFT}_{algorithm}", algorithm, f"SFT → {label}", colour, TURNS, starts_from=SFT, is_language_model=True,
        against=(SFT, SFT_RL), is_optional=True, in_suite=True, on_request=True,
    )  # fmt: skip


CONTENDERS = (
    Contender("do_nothing", "do_nothing", "do nothing", "#8e949e", role=FLOOR, in_suite=True),
    Contender("random", "random", "random", "#b48a5a", role=FLOOR, in_suite=True),
    Contender("untrained", PPO, "untrained LM", "#c779b0", is_language_model=True, is_optional=True),
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
        against=("sb3_ppo", SFT_RL, LORA_SFT, LORA_SFT_RL), is_optional=True, in_suite=True,
    ),
    Contender(
        SFT, "sft", "SFT", "#dd9a00", DEMONSTRATIONS, needs=frozenset({RULE}), is_language_model=True,
        against=("rule",), in_suite=True,
    ),
    Contender(
        RL, PPO, "RL from scratch", "#d9543a", TURNS, was="untrained", is_language_model=True, against=("random",),
    ),
    Contender(
        SFT_RL, PPO, "SFT → RL", "#7c5cff", TURNS, starts_from=SFT, is_language_model=True,
        against=(SFT, RL, "rule", "sb3_ppo", "q_learning"), aim=0.85, in_suite=True,
    ),
    _after_sft("reinforce", "REINFORCE", "#8a6d1f"),
    _after_sft("a2c", "A2C", "#2e7d6b"),
    _after_sft("grpo", "GRPO", "#a03cc8"),
    _after_sft("rloo", "RLOO", "#e0609a"),
    Contender(
        ZERO_SHOT, "sft", "pretrained, zero-shot", "#7a7f2c", is_pretrained=True, against=("random",), is_optional=True,
        in_suite=True,
    ),
    Contender(
        LORA_SFT, "sft", "pretrained, SFT", "#e0a44a", DEMONSTRATIONS, needs=frozenset({RULE}), was=ZERO_SHOT,
        is_pretrained=True, against=(ZERO_SHOT, "rule"), is_optional=True, in_suite=True,
    ),
    Contender(
        LORA_RL, "grpo", "pretrained, RL", "#b8433f", TURNS, was=ZERO_SHOT, is_pretrained=True, against=(ZERO_SHOT,),
        is_optional=True, in_suite=True,
    ),
    Contender(
        LORA_SFT_RL, "grpo", "pretrained, SFT → RL", "#4a33c4", TURNS, starts_from=LORA_SFT, is_pretrained=True,
        against=(LORA_SFT, LORA_RL, "rule", "q_learning"), is_optional=True, in_suite=True,
    ),
)  # fmt: skip
"""In the order of the table."""
BY_NAME = {contender.name: contender for contender in CONTENDERS}
ALGORITHMS = tuple(contender.agent for contender in CONTENDERS if contender.on_request)
"""That may be asked for, to start from SFT beside PPO."""


def named(name: str) -> Contender | None:
    """The contender of that name; None for an arm that is no row of the table, such as a point of a curve."""
    return BY_NAME.get(name)


def stages_of(names: Collection[str]) -> Stages:
    """The three that questions are about, in a comparison of these agents."""
    return PRETRAINED if any(one.is_pretrained for one in CONTENDERS if one.name in names) else SMALL


def pairs() -> list[tuple[str, str]]:
    """Whom the paired tests compare, first with second; those with most opponents come first."""
    most_first = sorted(CONTENDERS, key=lambda contender: -len(contender.against))
    return [(contender.name, other) for contender in most_first for other in contender.against]


def takes_part(contender: Contender, pretrained: bool) -> bool:
    """Whether a contender is in comparisons with a pretrained language model, or in those with the small one."""
    return contender.is_pretrained == pretrained or not (contender.is_pretrained or contender.is_language_model)


def suite_columns(stages: Stages = SMALL) -> list[str]:
    """The columns of the table across environments: floors, language models, other agents, and the ceiling last."""

    def place(contender: Contender) -> int:
        if contender.role is not None:
            return 0 if contender.role == FLOOR else 3
        return 1 if contender.is_language_model or contender.is_pretrained else 2

    here = [one for one in CONTENDERS if one.in_suite and takes_part(one, stages == PRETRAINED)]
    return [contender.name for contender in sorted(here, key=place)]
