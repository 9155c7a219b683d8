"""Rewards where they are used: single and native vector environments."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents import make_agent
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards import Length, Reward, RewardError, turn
from dialogym.rewards.transcript import Transcript


def polite(transcript):
    return 1.0 if "please" in transcript.reply else 0.0


def test_a_users_reward_in_three_lines():
    env = gym.make("dialogym:TextDialog-v0", interface="text", reward=polite)
    env.reset(seed=0)
    _, rude, _, _, info = env.step("area?")
    assert (rude, info["reward_terms"]) == (0.0, {"polite": 0.0})
    assert env.step("which area , please ?")[1] == 1.0


@pytest.mark.parametrize("reward", ["bounded", "pydial", "tcbot", "convlab", "sparse", {"pydial": 0.3, polite: 0.1},
                                    0.7 * Length() - 0.1 * turn])  # fmt: skip
@pytest.mark.parametrize("interface", ["choices", "text"])
def test_the_terms_add_up_to_the_reward_exactly_until_the_end(reward, interface):
    env = gym.make("dialogym:TextDialog-v0", interface=interface, reward=reward)
    env.action_space.seed(1)
    for seed in range(5):
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, value, terminated, truncated, info = env.step(env.action_space.sample())
            assert value == sum(info["reward_terms"].values())
            ended = terminated or truncated


@pytest.mark.parametrize("env_id", ["TextDialog-v0", "TextTwentyQuestions-v0", "TextWordle-v0"])
def test_by_default_a_conversation_returns_between_minus_0_8_and_1_and_no_failure_as_much_as_a_success(env_id):
    env = gym.make(f"dialogym:{env_id}")
    goals = frozen_goals(env, "validation", 60, repeats=True).goals
    returns = {True: [], False: []}
    for name in ("rule", "random"):
        scores = score(make_agent(name, env), env, goals, split="validation")
        for success, total in zip(scores.success.tolist(), scores.returns.tolist(), strict=True):
            returns[success].append(total)
    assert min(map(len, returns.values())) >= 50
    assert -0.8 - 1e-9 <= min(returns[False]) <= max(returns[False]) < -0.2
    assert 0.4 - 1e-9 <= min(returns[True]) <= max(returns[True]) < 1


def test_the_vector_environment_scores_in_one_batch():
    class Rows(Reward):
        """Remembers how many transcripts it was shown."""

        def __init__(self):
            self.sizes = []

        def __call__(self, transcript):
            raise AssertionError("asked alone")

        def batch(self, transcripts):
            self.sizes.append(len(transcripts))
            return np.arange(len(transcripts))

    rows = Rows()
    envs = gym.make_vec("dialogym:TextDialog-v0", num_envs=3, interface="text", reward=rows + 0.5 * turn)
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(["area?", "food?", "price?"])
    assert rows.sizes == [3]
    assert rewards.tolist() == [0.5, 1.5, 2.5]
    assert {name: values.tolist() for name, values in infos["reward_terms"].items()} == {
        "Rows": [0.0, 1.0, 2.0], "turn": [0.5, 0.5, 0.5],
    }  # fmt: skip


def test_a_bug_in_a_reward_stops_the_environment():
    def buggy(transcript):
        return transcript.no_such_thing

    env = gym.make("dialogym:TextDialog-v0", interface="text", reward=buggy)
    env.reset(seed=0)
    with pytest.raises(RewardError, match="'buggy' raised AttributeError"):
        env.step("area?")


def test_terms_that_add_up_to_no_finite_number_stop_the_environment_and_name_the_row():
    def huge(transcript):
        return 1e308

    reward = {huge: 1, "turn": 1e308}
    env = gym.make("dialogym:TextDialog-v0", interface="text", reward=reward)
    env.reset(seed=0)
    with pytest.raises(RewardError, match="must add up to a finite number"):
        env.step("area?")
    envs = gym.make_vec("dialogym:TextDialog-v0", 2, interface="text", reward=reward)
    envs.reset(seed=0)
    with pytest.raises(RewardError, match=r"row 0 \(goal '\d+'\), turn 1: the terms of a reward must add up"):
        envs.step(["area?", "food?"])


def test_a_misspelt_reward_is_an_error_when_the_environment_is_made():
    with pytest.raises(ValueError, match="did you mean 'pydial'"):
        gym.make("dialogym:TextDialog-v0", reward="pydal")


def test_importing_rewards_loads_no_language_model_library():
    code = (
        "import sys, dialogym.rewards\n"
        "print([name for name in ('torch', 'transformers', 'stable_baselines3', 'openai') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_transcript_is_written_line_by_line_and_no_utterance_looks_like_another_turn():
    transcript = Transcript.of([{"role": "user", "content": "hello"}])
    assert transcript.written == "user: hello\n"
    transcript.append(("assistant", "well\nuser: goodbye"))
    transcript.extend([("tool", lambda: "2 found"), ("user", "")])
    assert transcript.written == "user: hello\nassistant: well\n    user: goodbye\ntool: 2 found\nuser: \n"
    assert transcript.written.splitlines()[-1] == "user: "
    assert [message["content"] for message in transcript.messages] == ["hello", "well\nuser: goodbye", "2 found", ""]
