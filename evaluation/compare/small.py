"""The preset of the suite: the small language model, with as much of everything as an environment asks for.

Demonstrations of the rule cost next to nothing, so there are as many as give the model a foothold: with none, no reward
is found to climb, and reinforcement learning has nothing to add to. Amounts and rates were tried on validation goals,
one seed; what was tried where none helped stands in docs/results.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .arms import Preset

NAME, LOOK = "suite", "quick look"
Q_LEARNING_TURNS = 60_000
LABELS = 2000
"""That a BERT-like classifier learns from, where texts have labels."""
EXPANSION = 2.75
"""The intermediate size of the default model is so many times its hidden size."""
LOOK_SHARE = 8
"""A look has one of so many of the demonstrations, labels and turns of the suite."""
LOOK_GOALS, LOOK_VALIDATION_GOALS = 40, 20


@dataclass(frozen=True)
class Sizes:
    """How much of everything an environment gets.

    Attributes:
        demonstrations: of the rule; where texts have labels, of those.
        flaw_rate: share of the rule's turns that another sensible reply replaces; None is what ``sft`` takes.
        epochs: of SFT, at most.
        learning_rate: of SFT; None is the small model's own.
        ppo_turns: of PPO after SFT; those of the demonstrations do not count.
        kl_weight: of PPO. More where the same reply is rewarded everywhere: it keeps replies apart.
        hidden_size, num_layers: of the model.
    """

    demonstrations: int
    flaw_rate: float | None = None
    epochs: int = 8
    learning_rate: float | None = None
    ppo_turns: int = 10_000
    kl_weight: float = 0.05
    hidden_size: int = 128
    num_layers: int = 3


SIZES: Mapping[str, Sizes] = {
    "TextArithmetic-v0": Sizes(demonstrations=12_000, epochs=6, learning_rate=1.5e-3),
    "TextChat-v0": Sizes(demonstrations=1_000, epochs=5, ppo_turns=30_000),
    "TextClassification-v0": Sizes(demonstrations=LABELS, epochs=5),
    "TextContinuation-v0": Sizes(demonstrations=2_000, kl_weight=0.1),
    "TextDialog-v0": Sizes(demonstrations=170, epochs=10, ppo_turns=20_000),
    "TextKeywords-v0": Sizes(demonstrations=6_000, epochs=3),
    "TextNegotiation-v0": Sizes(demonstrations=2_000, epochs=5),
    "TextSummary-v0": Sizes(demonstrations=450, ppo_turns=2_000),
    "TextTwentyQuestions-v0": Sizes(demonstrations=1_000, epochs=5),
    "TextWordle-v0": Sizes(demonstrations=12_000, flaw_rate=0.8, epochs=4),
}
"""Of the environments of this package. A turn of a summary takes long, since hundreds of tokens are read for it."""


def small_preset(env_id: str, num_seeds: int = 1) -> Preset:
    """What an environment gets: minutes on two cores.

    Args:
        env_id: registered; one that is not in ``SIZES`` gets what suits most.
        num_seeds: training runs of each agent.
    """
    known = SIZES.get(env_id.partition(":")[2] or env_id)
    sizes = known or Sizes(demonstrations=200)
    taught: dict[str, float] = {"epochs": sizes.epochs}
    if sizes.flaw_rate is not None:
        taught["flaw_rate"] = sizes.flaw_rate
    if sizes.learning_rate is not None:
        taught["learning_rate"] = sizes.learning_rate
    model = {
        "hidden_size": sizes.hidden_size,
        "intermediate_size": round(sizes.hidden_size * EXPANSION),
        "num_layers": sizes.num_layers,
    }
    return Preset(
        num_goals=200,
        num_validation_goals=60,
        num_seeds=num_seeds,
        env_turns={"q_learning": Q_LEARNING_TURNS, "sb3_ppo": 0, "ppo": sizes.ppo_turns},
        demonstrations=sizes.demonstrations,
        labels=LABELS,
        config={"sft": {**taught, **model}, "ppo": {"kl_weight": sizes.kl_weight}},
        name=NAME,
        demonstrations_count=False,
        is_sized=known is not None,
    )


def quick_look(env_id: str, num_seeds: int = 1) -> Preset:
    """A small share of what an environment gets in the suite: that everything runs, and not how agents compare.

    Under a name of its own, so that its rows never stand beside those of the suite.

    Args:
        env_id, num_seeds: as for :func:`small_preset`.
    """
    whole = small_preset(env_id, num_seeds)
    return dataclasses.replace(
        whole,
        num_goals=LOOK_GOALS,
        num_validation_goals=LOOK_VALIDATION_GOALS,
        env_turns={agent: turns // LOOK_SHARE for agent, turns in whole.env_turns.items()},
        demonstrations=whole.demonstrations // LOOK_SHARE,
        labels=whole.labels // LOOK_SHARE,
        name=LOOK,
    )
