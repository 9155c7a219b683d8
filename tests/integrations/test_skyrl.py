"""Our environments in SkyRL's gym, on it where it is installed: rows, registry, and its generator's loop."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypedDict

import pytest

from dialogym.integrations.goals import Goal
from dialogym.rewards.served.chat import SILENCE, chat_messages

from .played import TALKS, replay, rule_plays
from .stand_ins import bridge_to, modules_of

installed = pytest.mark.skipif(importlib.util.find_spec("skyrl_gym") is None, reason="needs skyrl-gym")
pytestmark = pytest.mark.filterwarnings("ignore")


def stand_in() -> dict[str, ModuleType]:
    """The base class of SkyRL's environments, and what a step returns, as in skyrl-gym 0.4."""

    class BaseTextEnv:
        def __init__(self) -> None:
            self.turns, self.max_turns = 0, 1

    class StepOutput(TypedDict, total=False):
        observations: list[dict[str, str]]
        reward: float
        done: bool
        metadata: dict[str, Any]

    names = {"BaseTextEnv": BaseTextEnv, "BaseTextEnvStepOutput": StepOutput}
    return modules_of(skyrl_gym__envs__base_text_env=names)


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    with bridge_to("skyrl", stand_in, package="skyrl_gym") as module:
        yield module


def extras_of(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What SkyRL hands on of a row."""
    return {**{name: value for name, value in row.items() if name not in ("prompt", "env_class")}, **more}


@pytest.mark.parametrize("env_id", TALKS)
def test_a_row_is_a_conversation_of_the_environment_each_message_told_once(bridge, env_id):
    row = bridge.goal_rows(env_id, 1)[0]
    goal = Goal.from_json(row["goal"])
    played = rule_plays(env_id, goal.seed, goal.goal_id)
    env = bridge.ConversationEnv({}, extras_of(row))
    told, meta = env.init(row["prompt"])
    assert told == row["prompt"] == chat_messages(played.messages[: played.opening])
    assert meta == {"goal_id": goal.goal_id, "task": goal.goal_id}
    steps = []
    for reply in played.replies:
        steps.append(env.step(reply))
        told = [*told, {"role": "assistant", "content": reply}, *steps[-1]["observations"]]
    expected = chat_messages(played.messages)
    assert told == (expected if expected[-1]["content"] != SILENCE else expected[:-1])
    assert [message["role"] for message in told[:5]] == ["system", "user", "assistant", "user", "assistant"][
        : len(told)
    ]
    assert [step["reward"] for step in steps] == played.rewards
    assert [step["done"] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert [step["metadata"]["reward_terms"] for step in steps] == played.terms
    assert (steps[-1]["metadata"]["success"], steps[-1]["metadata"]["terminated"]) == (True, True)
    metrics = env.get_metrics()
    assert metrics["return"] == pytest.approx(sum(played.rewards))
    assert (metrics["success"], metrics["turns"], env.turns) == (1, len(steps), len(steps))
    env.close()


def test_a_group_shares_its_goal_and_other_rows_have_others(bridge):
    rows = bridge.goal_rows("TextDialog-v0", 3, "validation", seed=4)
    assert json.loads(json.dumps(rows)) == rows
    assert len({row["goal"] for row in rows}) == 3
    group = [bridge.ConversationEnv({}, extras_of(rows[0])) for _ in range(2)]
    begun = [env.init(rows[0]["prompt"]) for env in group]
    assert begun[0] == begun[1]
    assert begun[0][1]["task"] == Goal.from_json(rows[0]["goal"]).goal_id
    assert bridge.ConversationEnv({}, extras_of(rows[1])).init([])[1] != begun[0][1]
    assert group[0]._episode.env.unwrapped.split == "validation"


def test_options_come_along_and_the_generators_limit_of_turns_ends_a_conversation(bridge):
    row = bridge.goal_rows("TextDialog-v0", 1, reward="sparse", max_turns=6)[0]
    env = bridge.ConversationEnv({}, extras_of(row, max_turns=9))
    assert env.max_turns == 6
    env = bridge.ConversationEnv({}, extras_of(row, max_turns=2))
    env.init([])
    steps = [env.step("Hello."), env.step("Hello.")]
    assert [step["done"] for step in steps] == [False, True]
    assert (steps[1]["metadata"]["terminated"], steps[1]["metadata"]["truncated"]) == (False, True)
    goal = Goal.from_json(row["goal"])
    plain = replay("TextDialog-v0", ["Hello."] * 2, goal.seed, goal.goal_id, reward="sparse", max_turns=2)
    assert [step["reward"] for step in steps] == plain.rewards
    assert list(plain.terms[0]) == list(steps[0]["metadata"]["reward_terms"])


def test_rows_of_others_and_options_that_no_file_can_hold_are_refused(bridge):
    with pytest.raises(ValueError, match="a row of goal_rows, got one without env, goal"):
        bridge.ConversationEnv({}, {"question": "2 + 2"})
    with pytest.raises(ValueError, match=r"a goal as Goal\.to_json writes it, got '7'"):
        bridge.ConversationEnv({}, {"env": "TextDialog-v0", "goal": "7"})
    with pytest.raises(TypeError, match="env must be an id, since a row is text, got 7"):
        bridge.goal_rows(7, 1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        bridge.goal_rows("TextDialog-v0", 1, reward=len)
    with pytest.raises(TypeError, match="did you mean 'max_turns'"):
        bridge.goal_rows("TextDialog-v0", 1, max_turn=3)


# SkyRL's gym itself


@installed
def test_skyrls_registry_makes_it_and_its_metrics_are_means(bridge):
    import skyrl_gym
    from skyrl_gym.metrics import aggregate_for_environment

    skyrl_gym.register(id="dialogym", entry_point="dialogym.integrations.skyrl:ConversationEnv")
    metrics = []
    for row, answers in zip(bridge.goal_rows("TextArithmetic-v0", 2), (True, False), strict=True):
        goal = Goal.from_json(row["goal"])
        replies = rule_plays("TextArithmetic-v0", goal.seed, goal.goal_id).replies if answers else ["none"]
        env = skyrl_gym.make(row["env_class"], env_config={}, extras=extras_of(row, max_turns=4))
        env.init(row["prompt"])
        assert env.step(replies[0])["done"]
        metrics.append(env.get_metrics())
        env.close()
    means = aggregate_for_environment("dialogym", metrics)
    assert means["success"] == 0.5
    assert means["turns"] == 1
    assert means["return"] == pytest.approx(sum(one["return"] for one in metrics) / 2)
    terms = [name for name in means if name.startswith("reward_terms/")]
    assert sum(means[name] for name in terms) == pytest.approx(means["return"])


@installed
def test_skyrls_generator_puts_the_reward_of_each_turn_on_its_last_token(bridge):
    try:
        from skyrl.train.config import GeneratorConfig, SkyRLGymConfig
        from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
    except Exception as error:
        pytest.skip(f"needs skyrl, which cannot be imported: {type(error).__name__}")
    import skyrl_gym

    from ..agents.tiny_lm import echo_env, tiny_tokenizer

    echo_env()
    tokenizer = tiny_tokenizer()
    said = tokenizer.hf("red <|end|>").input_ids

    class Engine:
        """Says "red", whatever it is asked."""

        async def generate(self, asked: Any, model: Any = None) -> dict[str, Any]:
            self.read = asked["prompt_token_ids"][0]
            return {"responses": ["red"], "response_ids": [list(said)], "stop_reasons": ["stop"]}

        async def finish_session(self, session_id: str) -> None:
            self.finished = session_id

    if "dialogym" not in skyrl_gym.registry:
        skyrl_gym.register(id="dialogym", entry_point="dialogym.integrations.skyrl:ConversationEnv")
    settings = GeneratorConfig(max_turns=5, max_input_length=64)
    engine = Engine()
    generator = SkyRLGymGenerator(settings, SkyRLGymConfig(max_env_workers=0), engine, tokenizer.hf)
    rows = [row for row in bridge.goal_rows("TinyEcho-v0", 12) for _ in range(2)]  # groups of two
    batch = {
        "prompts": [row["prompt"] for row in rows],
        "env_classes": [row["env_class"] for row in rows],
        "env_extras": [extras_of(row) for row in rows],
    }
    made = asyncio.run(generator.generate(batch, disable_tqdm=True))
    paid = set()
    for row, prompt, response, mask, rewards in zip(
        rows, made["prompt_token_ids"], made["response_ids"], made["loss_masks"], made["rewards"], strict=True
    ):
        goal = Goal.from_json(row["goal"])
        plain = replay("TinyEcho-v0", ["red", "red"], goal.seed, goal.goal_id)
        ids = tokenizer.encode_conversation(plain.messages)[:-1]  # but for where a third reply would begin
        assert prompt + response == ids
        assert [token for token, learned in zip(response, mask, strict=True) if learned] == said * 2
        ends = [place for place in range(len(mask)) if mask[place] and not (mask[place + 1 :] or [0])[0]]
        assert [rewards[place] for place in ends] == plain.rewards
        assert sum(rewards) == sum(plain.rewards)
        paid.add(tuple(plain.rewards))
    assert len(paid) > 2
    assert made["rollout_metrics"]["environment/success"] == pytest.approx(
        sum(sum(rewards) == 2 for rewards in made["rewards"]) / len(rows)
    )
