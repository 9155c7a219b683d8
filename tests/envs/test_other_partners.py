"""Speakers that haggle or think of a thing: the same truth, and an audit of what they do wrong."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

import dialogym  # noqa: F401 (registers)
from dialogym.envs.negotiation.game import TACTICS
from dialogym.envs.negotiation.speaker import names_limit
from dialogym.envs.twenty_questions.speaker import says_yes
from dialogym.evaluation.score import frozen_goals, score

from .partners import played_twice, scripted

HAGGLE, THINK = "TextNegotiation-v0", "TextTwentyQuestions-v0"


@pytest.mark.parametrize("id", [HAGGLE, THINK])
@pytest.mark.parametrize("agent", ["rule", "random", "claim_success"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_own_partners_words_are_clean_and_mean_the_same_when_a_speaker_says_them(id, agent, split):
    pairs = played_twice(agent, range(60), id, split=split)
    for own, speaking, success, as_spoken in pairs:
        assert [*own.audit(), *speaking.audit()] == []
        assert success == as_spoken
        if not success:
            assert own.blame() == speaking.blame() == "agent"
    if agent == "rule":
        assert sum(success for *_, success in pairs) > 50


# Haggling: the agent buys below 43, the speaker sells above 38


def haggled(partner: Any, *replies: str, max_turns: int = 10) -> tuple[dict[str, Any], Any]:
    env = gym.make(HAGGLE, interface="text", partner=partner, max_turns=max_turns)
    task = env.unwrapped.task  # type: ignore[attr-defined]
    goals = (str(number) for number in range(3000))
    goal_id = next(one for one in goals if _fits(task.goal(one)))
    env.reset(seed=0, options={"goal_id": goal_id})
    for reply in replies:
        _, _, terminated, truncated, info = env.step(reply)
        if terminated or truncated:
            break
    return info, env.unwrapped


def _fits(goal: Any) -> bool:
    return (goal["role"], goal["buyer_limit"], goal["seller_limit"], goal["profile"]) == ("buyer", 43, 38, "linear")


def kinds(info: dict[str, Any]) -> list[tuple[int, str]]:
    return [(mark["turn"], mark["kind"]) for mark in info["audit"]]


def test_a_deal_succeeds_by_the_two_limits_alone():
    info, core = haggled(scripted("How about £50?", "How about £45?", "Deal."), "I can pay £35.", "I can pay £40.")
    assert (info["success"], info["audit"], info["blame"]) == (True, [], None)
    assert core.transcript.goal["price"] == 40
    info, core = haggled(scripted("How about £50?", "How about £41?"), "I can pay £35.", "Deal.")
    assert (info["success"], core.transcript.goal["price"]) == (True, 41)
    info, _ = haggled(scripted("How about £50?", "What a great deal for us both!"), "Deal.")
    assert (info["success"], info["audit"], info["blame"]) == (False, [], "agent")  # it took a price beyond its limit


@pytest.mark.parametrize(
    ("lines", "expected", "blame"),
    [
        (("How about £50?", "How about £37?", "How about £39?"), [(1, "invented")], "partner"),
        (("Deal.", "How about £45?"), [(0, "invented")], "partner"),
        (
            ("How about £50?", "The lowest I can go is £38.", "How about £39?"),
            [(1, "leaked"), (1, "invented")],
            "partner",
        ),
        (("My limit is £38, so how about £50?", "How about £50?"), [(0, "leaked")], "agent"),
        (("How about £50?", "No deal, goodbye."), [(1, "stopped_early")], "partner"),
        (("How about £50?", "As an AI, I say: how about £45?", "How about £44?"), [(1, "broke_role")], "partner"),
        (("How about £50?", "It is lovely.", "It is so lovely.", "How about £45?"), [(2, "withheld")], "partner"),
    ],
)
def test_a_hagglers_wrongs_are_marked(lines, expected, blame):
    info, _ = haggled(scripted(*lines), "I can pay £30.", "I can pay £31.", "I can pay £32.", max_turns=3)
    assert sorted(kinds(info)) == sorted(expected)
    assert info["blame"] == blame


def test_a_deal_at_the_speakers_loss_is_its_own_fault():
    info, _ = haggled(scripted("How about £50?", "Deal."), "I can pay £30.")
    assert (info["success"], kinds(info), info["blame"]) == (False, [(1, "invented")], "partner")


def test_who_has_listened_long_enough_may_leave():
    offers = [f"I can pay £{30 + number}." for number in range(TACTICS["linear"].rounds)]
    info, _ = haggled(scripted("How about £50?", *["How about £49?"] * (len(offers) - 1), "No deal, goodbye."), *offers)
    assert (info["audit"], info["blame"]) == ([], "agent")


def test_a_limit_is_given_away_only_as_a_limit():
    assert names_limit("I can't go below £38, my minimum is 38.", 38)
    assert not names_limit("How about £38?", 38)
    assert not names_limit("My limit is £138.", 38)


def test_every_interface_and_the_rule_play_with_a_haggler_that_no_tactic_explains():
    for lines in (("How about £45?",), ("Hm.",), ("£1.", "£2.", "£900.")):
        env = gym.make(HAGGLE, interface="choices", partner=scripted(*lines))
        from dialogym.agents.registry import make_agent

        scores = score(make_agent("rule", env), env, frozen_goals(env, "test", 10).goals)
        assert scores.blame() is not None
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)


# Twenty questions


def asked(partner: Any, *replies: str, **options: Any) -> tuple[dict[str, Any], Any]:
    env = gym.make(THINK, interface="text", partner=partner, max_turns=3, **options)
    task = env.unwrapped.task  # type: ignore[attr-defined]
    env.reset(seed=0, options={"goal_id": str(task.things.index("cat"))})
    for reply in replies:
        _, _, terminated, truncated, info = env.step(reply)
        if terminated or truncated:
            break
    return info, env.unwrapped


@pytest.mark.parametrize(
    ("lines", "expected", "blame"),
    [
        (("Go ahead.", "Yes.", "No, I'm afraid not."), [], "agent"),
        (("Go ahead.", "No.", "No."), [(1, "invented")], "partner"),
        (("Go ahead.", "Yes, a cat is alive.", "No."), [(1, "leaked")], "agent"),
        (("Go ahead.", "Yes.", "Goodbye!"), [(2, "stopped_early"), (2, "withheld")], "partner"),
        (("Go ahead.", "Yes. Is it a dog?", "No."), [(1, "broke_role")], "partner"),
        (("Go ahead.", "Yes. How can I help you?", "No."), [(1, "broke_role")], "partner"),
        (("Go ahead.", "That depends.", "No."), [(1, "withheld")], "partner"),
    ],
)
def test_a_thinkers_wrongs_are_marked(lines, expected, blame):
    info, _ = asked(scripted(*lines), "Is it alive?", "Can it fly?", "Is it a dog?")
    assert kinds(info) == expected
    assert info["blame"] == blame


def test_the_guess_is_right_or_wrong_whatever_the_speaker_says():
    info, core = asked(scripted("Go ahead.", "No."), "Is it a cat?")
    assert (info["success"], info["blame"]) == (True, None)
    assert core.transcript.messages[-1]["content"] == "Yes, you found it!"
    info, _ = asked(scripted("Go ahead.", "Yes, that is right!"), "Is it a dog?")
    assert (info["success"], info["blame"]) == (False, "agent")


def test_a_wrong_answer_of_the_noisy_table_is_the_environments_fault():
    info, core = asked("rule", "Is it alive?", "Is it a dog?", noise=0.999)
    assert core.partner.told == {"alive": False}
    assert (info["audit"], info["blame"]) == ([], "environment")


def test_answers_are_yes_no_or_neither():
    assert [says_yes(words) for words in ("Yes, it is.", "It is not.", "Well, no.", "Maybe.", "Hm. Yes!")] == [
        True, False, False, None, True,
    ]  # fmt: skip


def test_small_talk_has_its_own_partner_alone():
    assert gym.spec("TextChat-v0").kwargs["task"] == "dialogym.envs.text_chat:TextChat"
    data = [{"turns": [f"Do you like number {i}?", "Yes.", "Why is that so?", "Because."]} for i in range(60)]
    gym.make("TextChat-v0", data=data, partner="data", turns=1)
    with pytest.raises(ValueError, match="TextChat has its own partner alone: partner must be 'data'"):
        gym.make("TextChat-v0", data=data, partner=scripted("Hi."), turns=1)
