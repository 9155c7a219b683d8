"""Scoring: every goal once, in order, under its own seed, whatever the batch."""

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents.base import Agent
from dialogym.agents.registry import make_agent
from dialogym.evaluation.score import frozen_goals, score, with_noise

from .tasks import WORDS, MenuAgent, WordAgent

WORDS_ID = "EvaluationWords-v0"
DIALOG = "TextDialog-v0"


def test_a_frozen_list_is_the_same_every_time_and_its_hash_says_so():
    first, again = (frozen_goals(DIALOG, "test", 50, seed=3) for _ in range(2))
    assert first == again
    assert len(first.goals) == len({goal for goal, _ in first.goals}) == 50
    assert len(first.hash) == 64
    others = [frozen_goals(DIALOG, "test", 50, seed=4), frozen_goals(DIALOG, "validation", 50, seed=3)]
    assert len({first.hash, *(other.hash for other in others)}) == 3


def test_the_hash_is_of_contents_not_of_numbers():
    plain, noisy = frozen_goals(WORDS_ID, "test", 20), frozen_goals(gym.make(WORDS_ID, noise=0.5), "test", 20)
    assert plain.hash == noisy.hash
    assert plain.hash != frozen_goals(DIALOG, "test", 20).hash


def test_a_goal_stands_once_in_a_list_unless_repeats_are_asked_for():
    few = frozen_goals("TextTwentyQuestions-v0", "test", 200)
    task = gym.make("TextTwentyQuestions-v0").unwrapped.task
    assert len({goal for goal, _ in few.goals}) == len(few.goals) == len(task.numbers_of("test")) < 200
    again = frozen_goals("TextTwentyQuestions-v0", "test", 200, repeats=True)
    assert len(again.goals) == 200
    assert again.goals[: len(few.goals)] == few.goals
    assert len({seed for _, seed in again.goals}) == 200


def test_validation_and_test_goals_are_played_under_different_noise():
    seeds = [{seed for _, seed in frozen_goals(DIALOG, split, 50).goals} for split in ("validation", "test")]
    assert not seeds[0] & seeds[1]


def test_every_goal_is_played_once_and_scored_in_order():
    goals = frozen_goals(WORDS_ID, "test", 30).goals
    agent = WordAgent(WORDS_ID)
    agent.apprentice = True
    task = gym.make(WORDS_ID).unwrapped.task
    knows = np.array([WORDS.index(task.goal(goal)["word"]) % 2 == 0 for goal, _ in goals])
    scores = score(agent, WORDS_ID, goals, batch_size=7)
    assert 0 < knows.sum() < 30
    assert scores.success.tolist() == knows.tolist()
    assert scores.turns.tolist() == np.where(knows, 1, 3).tolist()
    assert scores.returns == pytest.approx(np.where(knows, 0.6 - 0.2 / 3, -0.8))
    assert scores.invalid_rate == pytest.approx(3 * (~knows).sum() / scores.turns.sum())
    assert len(scores.replies) == scores.turns.sum()
    assert [message["role"] for message in scores.conversations[0]][:3] == ["system", "user", "assistant"]
    assert len(scores.conversations) == 30


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_the_batch_changes_nothing(batch_size):
    env = gym.make(DIALOG, noise=0.3)
    goals = frozen_goals(env, "test", 20).goals
    scores = score(make_agent("rule", env), env, goals, batch_size=batch_size)
    expected = [single(env, goal) for goal in goals]
    assert [(bool(s), r, t) for s, r, t in zip(scores.success, scores.returns, scores.turns, strict=True)] == [
        row[:3] for row in expected
    ]
    assert scores.conversations == [row[3] for row in expected]
    assert len({row[2] for row in expected}) > 1


def single(env, goal):
    """The rule's outcome of one goal, played in a single environment."""
    alone = gym.make(DIALOG, noise=0.3, split="test")
    observation, info = alone.reset(seed=goal[1], options={"goal_id": goal[0]})
    act, total, over = alone.unwrapped.task.policies["rule"].act, 0.0, False
    while not over:
        observation, reward, terminated, truncated, info = alone.step(act(observation, info))
        total, over = total + reward, terminated or truncated
    return info["success"], total, info["turn"], alone.unwrapped.transcript.spoken_messages


def test_a_reply_that_makes_no_sense_counts_as_invalid():
    goals = frozen_goals(WORDS_ID, "test", 10).goals
    agent = MenuAgent(WORDS_ID)
    assert score(agent, WORDS_ID, goals).invalid_rate == 0.0
    agent.choice = len(WORDS)
    assert score(agent, WORDS_ID, goals).invalid_rate == 1.0


def test_other_noise_is_other_noise_on_the_same_goals():
    goals = frozen_goals(WORDS_ID, "test", 200).goals
    again = with_noise(goals, 1)
    assert with_noise(goals, 0) == goals
    assert [goal for goal, _ in again] == [goal for goal, _ in goals]
    assert all(seed != other for (_, seed), (_, other) in zip(goals, again, strict=True))
    env = gym.make(WORDS_ID, noise=0.5)
    agent = make_agent("rule", env)
    first, other = score(agent, env, goals), score(agent, env, again)
    assert 0.4 < first.success.mean() < 0.8
    assert (first.success != other.success).any()


def test_progress_is_told():
    told = []
    score(WordAgent(WORDS_ID), WORDS_ID, frozen_goals(WORDS_ID, "test", 10).goals, batch_size=4, progress=told.append)
    assert told[-1] == 10


class Odd(Agent):
    """Does the same wrong thing everywhere."""

    name = "odd"

    def __init__(self, env, interface, action):
        super().__init__(env)
        self.interface, self.action = interface, action

    def act(self, observation, info):
        return self.action


@pytest.mark.parametrize(
    "env", [DIALOG, gym.wrappers.TransformReward(gym.make(DIALOG), float)], ids=["bare", "wrapped"]
)
@pytest.mark.parametrize(
    ("interface", "action", "expected"),
    [
        ("text", 3, "a str, the agent's utterance, got 3"),
        ("text", None, "a str, the agent's utterance, got None"),
        ("choices", "hello", r"an int in \[0, 21\), got 'hello'"),
        ("choices", 21, r"an int in \[0, 21\), got 21"),
        ("choices", -1, r"an int in \[0, 21\), got -1"),
        ("choices", 1.0, r"an int in \[0, 21\), got 1.0"),
    ],
)
def test_a_wrong_action_is_told_with_whose_it_is_and_where(env, interface, action, expected):
    agent, goals = Odd(DIALOG, interface, action), frozen_goals(DIALOG, "test", 2).goals
    told = f"^agent odd in {DIALOG}, interface '{interface}': action must be {expected}$"
    with pytest.raises(gym.error.InvalidAction, match=told):
        score(agent, env, goals)


def test_another_number_of_actions_is_told_likewise(monkeypatch):
    agent, goals = Odd(DIALOG, "text", "hello"), frozen_goals(DIALOG, "test", 2).goals
    monkeypatch.setattr(agent, "act_batch", lambda observations, infos: ["hello"])
    with pytest.raises(ValueError, match=f"agent odd in {DIALOG}, .*: act_batch must return 2 actions, .* got 1"):
        score(agent, DIALOG, goals)


def test_no_goals_is_an_error():
    with pytest.raises(ValueError, match="goals"):
        score(WordAgent(WORDS_ID), WORDS_ID, [])


def test_an_environment_without_a_task_is_an_error():
    with pytest.raises(TypeError, match="no task"):
        frozen_goals(gym.make("CartPole-v1"))
