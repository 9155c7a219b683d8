"""A task that playing changes: groups are about one goal all the same, and checkpoints hold how far it has come."""

import gymnasium as gym
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym import register_task
from dialogym.agents import make_agent
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.envs import remake_vec

from ..tiny_lm import Echo, EchoPartner, parts_done, tiny_model, tiny_tokenizer
from .test_sft import Interrupt, weights

NAMES = ["reinforce", "a2c", "ppo", "grpo", "rloo"]
ENV_ID = "TinyGrowing-v0"


class Noted(EchoPartner):
    """Counts the turns that were taken with all partners."""

    def __init__(self, task, words):
        super().__init__(words)
        self.task = task

    def hear(self, utterance):
        self.task.turns += 1
        return super().hear(utterance)


class Growing(Echo):
    """Goals change with every turn that anybody takes; after many turns they have another word."""

    def __init__(self):
        super().__init__()
        self.turns = 0

    def sample_goal(self, seed, split):
        goal_id = str(2 * self.turns + (self.turns // 8 % 2))
        return goal_id, self.goal(goal_id)

    def goal(self, goal_id):
        return {"words": (int(goal_id) % 2, int(goal_id) % 2), "number": int(goal_id)}

    def partner(self, goal, streams, split):
        return Noted(self, goal["words"])

    def state_dict(self):
        return {"turns": self.turns}

    def load_state_dict(self, state):
        self.turns = state["turns"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if ENV_ID not in gym.registry:
        register_task(ENV_ID, Growing, max_turns=5, reward=parts_done)
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(folder)
    return str(folder)


def penalised(env):
    return gym.wrappers.ClipReward(env, -1, 1)


@pytest.mark.parametrize("wrap", [lambda env: env, penalised])
def test_conversations_of_a_group_are_about_one_goal_though_some_begin_later(folder, wrap):
    envs = remake_vec(wrap(gym.make(ENV_ID, interface="text")), 3, "text", autoreset_mode="Disabled")
    begun = []
    begin = envs.begin
    envs.begin = lambda row, seed, goal: (begin(row, seed, goal), begun.append((seed, envs.goal_ids[row])))
    lm = tiny_model(tiny_tokenizer())
    sample_episodes(lm, envs, 3, seeds=[1, 1, 1, 1, 2, 2, 2, 2])
    assert [seed for seed, _ in begun] == [1] * 4 + [2] * 4
    assert len({goal for seed, goal in begun if seed == 1}) == len({goal for seed, goal in begun if seed == 2}) == 1
    assert len(set(begun)) == 2
    assert envs.task.turns == 16


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_training_goes_on_with_the_task_as_it_was(name, folder, tmp_path):
    def trained(**options):
        env = gym.make(ENV_ID, interface="text")
        settings = {"env_turns": 48, "batch_conversations": 8, "max_reply_tokens": 3, "num_reports": 3}
        agent = make_agent(name, env, init=folder, learning_rate=1e-2, **settings)
        agent.learn(env, **options)
        return agent

    whole = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path / "run", log=Interrupt(after=2))
    again = trained(checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(weights(whole), weights(again))
