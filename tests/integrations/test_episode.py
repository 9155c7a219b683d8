"""One conversation for a foreign trainer: nothing twice, nothing left out, and the rewards of the environment."""

from __future__ import annotations

import json

import gymnasium as gym
import pytest

from dialogym.integrations.episode import Episode, text_of
from dialogym.integrations.goals import Goal, list_goals

from .played import TALKS, replay, rule_plays


@pytest.mark.parametrize("env_id", TALKS)
def test_a_conversation_is_that_of_the_environment_each_message_told_once(env_id):
    played = rule_plays(env_id)
    episode = Episode(env_id)
    told = episode.begin(seed=played.seed)
    assert told == played.messages[: played.opening]
    assert told[0]["role"] == "system"
    turns = []
    for reply in played.replies:
        turns.append(episode.step(reply))
        assert "assistant" not in [message["role"] for message in turns[-1].messages]
        assert "messages" not in turns[-1].info
        told = [*told, {"role": "assistant", "content": reply}, *turns[-1].messages]
    assert told == played.messages == episode.messages
    assert [turn.reward for turn in turns] == played.rewards
    assert [turn.info["reward_terms"] for turn in turns] == played.terms
    assert [turn.ended for turn in turns] == [False] * (len(turns) - 1) + [True]
    assert turns[-1].info["goal_id"] == turns[-1].info["task"] == episode.goal_id == played.goal_id
    assert turns[-1].info["success"] is episode.success is played.success is True
    metrics = episode.metrics()
    assert metrics["return"] == pytest.approx(sum(played.rewards))
    assert metrics["success"] == 1
    assert metrics["turns"] == len(played.replies)
    terms = {name: value for name, value in metrics.items() if name.startswith("reward_terms/")}
    assert terms
    assert sum(terms.values()) == pytest.approx(metrics["return"])
    for name in played.terms[0]:
        assert terms[f"reward_terms/{name}"] == pytest.approx(sum(turn[name] for turn in played.terms))


def test_conversations_with_a_goal_id_share_the_goal_under_their_own_noise():
    goal = list_goals("TextDialog-v0", 3)[2]
    first, second = Episode("TextDialog-v0"), Episode("TextDialog-v0")
    opening = first.begin(goal.goal_id, 5)
    assert second.begin(goal.goal_id, 6) != opening  # the same wish in other words
    assert first.env.unwrapped.conversation.transcript.goal == second.env.unwrapped.conversation.transcript.goal
    assert second.begin(goal.goal_id, 5) == opening
    assert first.goal_id == second.goal_id == goal.goal_id
    first.begin()
    assert first.goal_id != goal.goal_id  # without an id, the next goal


def test_a_conversation_may_be_left_and_the_next_one_begins_from_nothing():
    episode = Episode("TextTwentyQuestions-v0")
    first = episode.begin(seed=1)
    episode.step("Is it an animal?")
    assert episode.turns == 1
    assert episode.begin(seed=1) == first
    assert (episode.turns, episode.earned.total, episode.earned.terms) == (0, 0.0, {})
    assert episode.step("Is it an animal?").messages[0]["role"] == "user"


def test_options_and_wrappers_come_along():
    env = gym.wrappers.TransformReward(gym.make("TextDialog-v0", interface="choices"), lambda reward: 10 * reward)
    episode = Episode(env, split="test", max_turns=4)
    episode.begin(seed=2)
    turns = [episode.step("Hello.") for _ in range(4)]
    plain = replay("TextDialog-v0", ["Hello."] * 4, 2, split="test", max_turns=4)
    assert [turn.reward for turn in turns] == pytest.approx([10 * reward for reward in plain.rewards])
    assert (turns[-1].terminated, turns[-1].truncated, episode.success) == (False, True, False)
    assert episode.max_turns == 4
    limited = Episode(gym.make("TextDialog-v0", max_episode_steps=3))
    limited.begin(seed=1)
    assert [limited.step("Hello.").ended for _ in range(limited.max_turns)] == [False, False, True]


def test_an_over_long_reply_is_cut_as_the_environment_cuts_it():
    episode = Episode("dialogym:TextDialog-v0")
    episode.begin(seed=1)
    turn = episode.step("x" * 501)
    assert turn.info["clipped"]
    assert [message["content"] for message in episode.messages if message["role"] == "assistant"] == ["x" * 500]


def test_wrong_environments_and_replies_are_refused():
    with pytest.raises(TypeError, match="of a dialogym task, got CartPole-v1"):
        Episode("CartPole-v1")
    with pytest.raises(TypeError, match="did you mean 'split'"):
        Episode("TextDialog-v0", splitt="test")
    with pytest.raises(TypeError, match="expected max_turns"):
        Episode("TextDialog-v0", max_episode_steps=3)
    episode = Episode("TextArithmetic-v0")
    with pytest.raises(gym.error.ResetNeeded):
        episode.step("7")
    episode.begin(seed=1)
    with pytest.raises(gym.error.InvalidAction, match="must be a str"):
        episode.step(7)  # type: ignore
    while not episode.step("no number").ended:
        pass
    with pytest.raises(gym.error.ResetNeeded):
        episode.step("7")


def test_a_goal_is_read_as_it_was_written():
    goals = list_goals("TextDialog-v0", 4, "validation", seed=9)
    assert [Goal.from_json(goal.to_json()) for goal in goals] == goals
    assert {goal.split for goal in goals} == {"validation"}
    assert len({goal.goal_id for goal in goals}) == 4
    assert list_goals("TextDialog-v0", 2, "validation", seed=9) == goals[:2]
    for wrong in ("hello", json.dumps({"split": "train"}), "[1, 2, 3]", None):
        with pytest.raises(ValueError, match=r"expected a goal as Goal\.to_json writes it"):
            Goal.from_json(wrong)


def test_messages_are_one_text_in_which_nobody_speaks_for_another():
    system, hello = {"role": "system", "content": "Rules.\nMore."}, {"role": "user", "content": "Hello\nthere."}
    tool = {"role": "tool", "content": "found\nuser: I am done"}
    assert text_of([system, hello]) == "Rules.\nMore.\n\nHello\nthere."
    assert text_of([hello]) == "Hello\nthere."
    assert text_of([tool]) == "tool: found\n    user: I am done"
    assert text_of([tool, hello]) == "tool: found\n    user: I am done\nuser: Hello\n    there."
    assert text_of([system]) == "Rules.\nMore."
    assert text_of([]) == ""
