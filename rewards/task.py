"""Rewards about the task itself, the sums of them that the literature trains on, and the one that is the default.

Presets, by name (L is the turn limit; "turn" is paid on every agent turn, the last one included):

- ``bounded``, the default of conversations: +0.6 on success, -0.6 at an end without it, 0.4 for all parts, in equal
  shares, and -0.2/L per turn. A conversation returns between -0.8 and 1: a success at least 0.4, a failure less than
  -0.2, so no failure returns as much as any success. Parts that are kept when the conversation fails are no
  potential-based shaping (Ng, Harada & Russell, ICML 1999, theorem 1), so the optimum may differ from that of success
  alone by what a part is worth where success is doubtful; ``dialogym validate`` checks that no degenerate agent returns
  more than the rule.
- ``pydial``: +20 on success, -1 per turn. Ultes et al. (2017), https://aclanthology.org/P17-4013;
  Casanueva et al. (2017), section 3, https://arxiv.org/abs/1711.11023.
- ``tcbot``: +2L on success, -L at an end without it, -1 per turn. Li et al. (2017), https://arxiv.org/abs/1703.01008.
  Their code pays the end *instead of* the last turn's -1; ours adds them.
- ``convlab``: +40 on success, -20 at an end without it, +5 for each part finished, -1 per turn. Lee et al. (2019),
  https://arxiv.org/abs/1904.08637; Zhu et al. (2020), https://arxiv.org/abs/2002.04793. The amounts of ConvLab-2's
  environment and, for the failure, of its user simulator at L = 20; there they replace each other, ours add up, and a
  part pays once.
- ``sparse``: 1 on success, else 0.
"""

from __future__ import annotations

from .base import ComposedReward, Part, as_reward, resolve
from .registry import register_reward
from .transcript import Transcript


@as_reward
def success(transcript: Transcript) -> float:
    """1.0 on the last turn of a conversation that succeeded, else 0.0; bounds [0, 1]."""
    return 1.0 if transcript.ended and transcript.success else 0.0


@as_reward
def failure(transcript: Transcript) -> float:
    """1.0 on the last turn of a conversation that did not succeed, else 0.0; bounds [0, 1]. Weighted negatively."""
    return 1.0 if transcript.ended and not transcript.success else 0.0


@as_reward
def turn(transcript: Transcript) -> float:
    """1.0 on every agent turn, so bounds [1, 1]: what a turn costs is its weight, -1 in the presets."""
    return 1.0


@as_reward
def parts(transcript: Transcript) -> float:
    """How many parts of the task this turn finished, less those it undid; bounds [-N, N] for N parts."""
    return float(transcript.parts_done_now)


@as_reward
def part_share(transcript: Transcript) -> float:
    """The share of the task's parts that this turn finished; bounds [-1, 1], as a turn may undo some.

    Raises:
        ValueError: if parts were finished in a task that does not say how many it has, or more than it says.
    """
    if not transcript.parts_done_now:
        return 0.0
    if not transcript.num_parts:
        raise ValueError("num_parts must say how many parts the task has, for a reward that pays shares of them, got 0")
    if not 0 <= transcript.parts_done <= transcript.num_parts:
        raise ValueError(f"parts_done must be in [0, {transcript.num_parts}], got {transcript.parts_done}")
    return transcript.parts_done_now / transcript.num_parts


@as_reward
def turn_by_limit(transcript: Transcript) -> float:
    """1/L on every agent turn, where L is the turn limit; bounds [0, 1], and at most 1 in a whole conversation.

    Raises:
        ValueError: if the conversation has no turn limit.
    """
    return 1.0 / _limit(transcript)


@as_reward
def success_by_limit(transcript: Transcript) -> float:
    """The turn limit L where ``success`` is 1.0, else 0.0; bounds [0, L].

    Raises:
        ValueError: if the conversation has no turn limit.
    """
    return _limit(transcript) if transcript.ended and transcript.success else 0.0


@as_reward
def failure_by_limit(transcript: Transcript) -> float:
    """The turn limit L where ``failure`` is 1.0, else 0.0; bounds [0, L].

    Raises:
        ValueError: if the conversation has no turn limit.
    """
    return _limit(transcript) if transcript.ended and not transcript.success else 0.0


def _limit(transcript: Transcript) -> float:
    if transcript.max_turns is None:
        raise ValueError("max_turns must be a number of turns for a reward that scales with it, got None")
    return float(transcript.max_turns)


success_by_limit.unit = failure_by_limit.unit = "L"
turn_by_limit.unit = "/L"
part_share.unit = "/N"

for _reward in (success, failure, turn, parts):
    register_reward(_reward.name, _reward)

BOUNDED = register_reward(
    "bounded",
    ComposedReward(
        [
            Part("success", 0.6, success),
            Part("failure", -0.6, failure),
            Part("parts", 0.4, part_share),
            Part("turn", -0.2, turn_by_limit),
        ]
    ),
)
PYDIAL = register_reward("pydial", resolve({success: 20.0, turn: -1.0}))
TCBOT = register_reward(
    "tcbot",
    ComposedReward(
        [Part("success", 2.0, success_by_limit), Part("failure", -1.0, failure_by_limit), Part("turn", -1.0, turn)]
    ),
)
CONVLAB = register_reward("convlab", resolve({success: 40.0, failure: -20.0, parts: 5.0, turn: -1.0}))
SPARSE = register_reward("sparse", resolve({success: 1.0}))
