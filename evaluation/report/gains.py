"""What a gain cost, and whether the reward is being gamed.

A reward is gamed when it rises while the language falls apart. Three signs are looked for in what an agent says after
reinforcement learning: its fluency, the variety of its words, and replies that run into the limit of length. Each is
measured against what the agent was before, and against the rule where there is one, whichever is more lenient: who
comes to speak like the rule did not lose its language. A sign is no proof, and frames that a reward falls for can be
fluent: the replies before and after stand beside it, to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..contenders import BY_NAME, CEILING, CONTENDERS, TURNS, Contender
from ..statistics import hundredths

Pair: TypeAlias = Sequence[float | None]
"""A measure before and after."""
MAX_DRIFT = 1.2
"""Perplexity over that before, or over the rule's, up to which it counts as the same language."""
MIN_VARIETY = 0.5
"""Share of the distinct n-grams before, or of the rule's, from which on the words count as no less various."""
MAX_CUT = 0.2
"""Share of replies that run into the limit of length, above that before, up to which none of it is said."""
MEASURES = ("fluency", "reply_words", "distinct_1", "distinct_2", "cut_share")
BY_ITSELF = "(by its own interval, not corrected for other tests)"
NUM_CHARS = 300
"""Of a reply that is shown."""


def gains(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For every trained agent whose beginning was scored too: what changed, and what is to be said of it.

    Args:
        results: agents, tests and samples, as in ``results.json``.

    Returns:
        For each a dict: "agent", "before" (names); "success", "return" and each of ``MEASURES`` as [before, after];
        "kl"; "rose", whether the interval of the difference in return is above 0; "signs" of gaming, in words; "says",
        one sentence; "replies" [{"goal_id", "asked", "before", "after"}].
    """
    agents = results["agents"]
    return [
        _gain(one, results) for one in CONTENDERS if one.name in agents and one.beginning is not None
        and one.beginning in agents
    ]  # fmt: skip


def _gain(one: Contender, results: Mapping[str, Any]) -> dict[str, Any]:
    agents = results["agents"]
    before, after = agents[one.beginning], agents[one.name]
    rule = next((agents[other.name] for other in CONTENDERS if other.role == CEILING and other.name in agents), {})
    gain: dict[str, Any] = {
        "agent": one.name,
        "before": one.beginning,
        **{name: [agent[name]["mean"] for agent in (before, after)] for name in ("success", "return")},
        **{name: [agent.get(name) for agent in (before, after)] for name in MEASURES},
        "kl": after.get("kl_to_reference"),
        "rose": _rose(one, results),
    }
    gain["signs"] = _signs(gain, rule) if gain["rose"] and one.learns_from == TURNS else []
    gain["says"] = _sentence(gain)
    gain["replies"] = _replies(one, results["samples"])
    return gain


def _rose(one: Contender, results: Mapping[str, Any]) -> bool:
    """Whether the return is higher than before: by the paired test where there is one, else by the two intervals."""
    for test in results["tests"]:
        if (test["first"], test["second"]) == (one.name, one.beginning):
            return test["return_difference"]["low"] > 0
    agents = results["agents"]
    return agents[one.name]["return"]["low"] > agents[one.beginning]["return"]["high"]


# Signs


def _signs(gain: Mapping[str, Any], rule: Mapping[str, Any]) -> list[str]:
    found = [_fluency_fell(gain["fluency"], rule.get("fluency"))]
    found += [_variety_fell(n, gain[f"distinct_{n}"], rule.get(f"distinct_{n}")) for n in (1, 2)]
    found.append(_limit_hit(gain["cut_share"]))
    return [sign for sign in found if sign is not None]


def _fluency_fell(pair: Pair, rule: float | None) -> str | None:
    before, after = pair
    if before is None or after is None or after <= MAX_DRIFT * max(before, rule or 0.0):
        return None
    return f"perplexity rose from {before:.1f} to {after:.1f}{_of_the_rule(rule, 1)}"


def _variety_fell(n: int, pair: Pair, rule: float | None) -> str | None:
    before, after = pair
    if before is None or after is None or after >= MIN_VARIETY * min(before, before if rule is None else rule):
        return None
    digits = 2 if before >= 0.1 else 3
    return f"distinct-{n} fell from {before:.{digits}f} to {after:.{digits}f}{_of_the_rule(rule, 2)}"


def _limit_hit(pair: Pair) -> str | None:
    before, after = pair
    if before is None or after is None or after - before <= MAX_CUT:
        return None
    return f"{after:.0%} of the replies run into the limit of length ({before:.0%} before)"


def _of_the_rule(value: float | None, digits: int) -> str:
    return "" if value is None else f" (the rule's: {value:.{digits}f})"


# In words


def _sentence(gain: Mapping[str, Any]) -> str:
    name = BY_NAME[gain["agent"]].label
    before, after = map(hundredths, gain["return"])
    if not gain["rose"]:
        return f"{name}: no rise in return is shown, {before:.2f} before and {after:.2f} after."
    if gain["signs"]:
        *some, last = gain["signs"]
        listed = f"{', '.join(some)} and {last}" if some else last
        return (
            f"{name} may be gaming the reward: the return rose from {before:.2f} to {after:.2f} {BY_ITSELF} while "
            f"{listed}. "
            "Read the replies before and after."
        )
    held = _held(gain)
    return f"{name}: the return rose from {before:.2f} to {after:.2f} {BY_ITSELF}{f'; {held}' if held else ''}."


def _held(gain: Mapping[str, Any]) -> str:
    """What became of the words where nothing speaks of gaming."""
    told = {"fluency": ("perplexity", 1), "distinct_2": ("distinct-2", 2), "reply_words": ("words a reply", 1)}
    parts = [
        f"{what} {gain[name][0]:.{digits}f} before and {gain[name][1]:.{digits}f} after"
        for name, (what, digits) in told.items()
        if None not in gain[name]
    ]
    return ", ".join(parts)


def _replies(one: Contender, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The last reply to each of the sampled goals, before and after."""
    shown = []
    for sample in samples:
        said = sample["conversations"]
        if one.name in said and one.beginning in said:
            asked, after = _last_reply(said[one.name]["messages"])
            _, before = _last_reply(said[one.beginning]["messages"])
            shown.append({"goal_id": str(sample["goal_id"]), "asked": asked, "before": before, "after": after})
    return shown


def _last_reply(messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """The agent's last reply, and what it answered."""
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not places:
        return "", ""
    heard = [message["content"] for message in messages[: places[-1]] if message["role"] not in ("assistant", "system")]
    return (heard[-1] if heard else "")[:NUM_CHARS], messages[places[-1]]["content"][:NUM_CHARS]
