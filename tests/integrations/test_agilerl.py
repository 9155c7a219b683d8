"""Our environments in AgileRL: what its rollouts are shown, and, where it is installed, its own rollouts and GRPO."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from dialogym.integrations.agilerl import ConversationEnv
from dialogym.integrations.episode import text_of
from dialogym.integrations.goals import list_goals

from .played import TALKS, replay, rule_plays

installed = pytest.mark.skipif(importlib.util.find_spec("agilerl") is None, reason="needs agilerl[cpu-llm]")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("env_id", TALKS)
def test_a_conversation_is_that_of_the_environment_each_message_told_once(env_id):
    played = rule_plays(env_id)
    env = ConversationEnv(env_id)
    observation, info = env.reset(seed=played.seed)
    assert observation == text_of(played.messages[: played.opening])
    assert info == {"goal_id": played.goal_id, "task": played.goal_id}
    spoken = [place for place, message in enumerate(played.messages) if message["role"] == "assistant"]
    turns = []
    for reply, begin, end in zip(played.replies, spoken, [*spoken[1:], None], strict=True):
        observation, *turn = env.step(reply)
        turns.append(turn)
        assert observation == (text_of(played.messages[begin + 1 : end]) or "(says nothing)")
    assert [reward for reward, *_ in turns] == played.rewards
    assert [terminated for _, terminated, _, _ in turns] == [False] * (len(turns) - 1) + [True]
    scores = [info["rubric_scores"] for *_, info in turns]
    assert {name for score in scores for name in score} == set(env.rubric_components)
    assert [{name[6:]: value for name, value in score.items() if name != "success"} for score in scores] == played.terms
    assert sum(score["success"] for score in scores) == 1
    assert turns[-1][-1]["task"] == played.goal_id
    env.close()


def test_a_group_shares_its_goal_by_row_or_by_seed(monkeypatch):
    env = ConversationEnv("TextDialog-v0", num_goals=3, seed=5)
    goals = list_goals("TextDialog-v0", 3, seed=5)
    assert env.dataset_size == 3
    group = [env.reset(seed=seed, row_index=2) for seed in (1, 1, 2)]
    assert [info["task"] for _, info in group] == [goals[2].goal_id] * 3
    assert group[0] == group[1] != group[2]
    drawn = ConversationEnv("TextDialog-v0")
    assert drawn.dataset_size == 0
    tasks = [drawn.reset(seed=seed)[1]["task"] for seed in (1, 1, 2)]
    assert tasks[0] == tasks[1] != tasks[2]


def test_evaluation_goes_through_goals_of_its_own_again_and_again():
    env = ConversationEnv("TextDialog-v0", num_goals=2, num_eval_goals=2, eval_split="test")
    goals = list_goals("TextDialog-v0", 2, "test")
    begun = [env.reset(evaluation=True) for _ in range(4)]
    assert [info["task"] for _, info in begun] == [goal.goal_id for goal in goals] * 2
    assert begun[:2] == begun[2:]
    env.step("Hello.")
    assert env.reset(row_index=0)[1]["task"] == list_goals("TextDialog-v0", 2)[0].goal_id
    assert env.step("Hello.")[4]["task"] == list_goals("TextDialog-v0", 2)[0].goal_id
    with pytest.raises(IndexError, match=r"row_index must be in \[0, 2\), got 2"):
        env.reset(row_index=2)
    with pytest.raises(ValueError, match="num_goals must be at least 0 and num_eval_goals at least 1, got -1 and 16"):
        ConversationEnv("TextDialog-v0", num_goals=-1)


def test_the_limit_of_turns_is_told_and_truncates():
    env = ConversationEnv("TextDialog-v0", max_turns=2)
    assert env.max_turns == 2
    env.reset(seed=1)
    assert env.step("Hello.")[2:4] == (False, False)
    assert env.step("Hello.")[2:4] == (False, True)


# AgileRL itself


def harness(tokenizer: Any, **options: Any) -> Any:
    """AgileRL's rollout of the echo environment."""
    from agilerl.llm_envs import RolloutHarness

    from ..agents.tiny_lm import echo_env

    echo_env()
    env = ConversationEnv("TinyEcho-v0", **options)
    return RolloutHarness.local(env, tokenizer.hf, max_turns=env.max_turns)


@installed
def test_agilerls_rollout_reads_each_token_once_and_learns_from_those_that_were_sampled():
    import torch

    from ..agents.tiny_lm import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    rollout = harness(tokenizer)
    prompt, _ = rollout.reset(seed=3)
    played = replay("TinyEcho-v0", ["red", "blue"], 3)
    for reply in played.replies:
        said = torch.tensor([[*tokenizer.hf(reply).input_ids, tokenizer.end_id]])
        prompt, *_ = rollout.step(torch.cat([prompt["input_ids"], said], dim=1))
    assert rollout.done
    ids, action_mask, turn_ids, rewards, *_ = rollout.get_episode_data()
    assert (
        ids[0].tolist() == tokenizer.encode_conversation(played.messages)[: ids.shape[1]]
    )  # our own agents read these
    sampled = ids[0, 1:][action_mask[0]].tolist()
    assert tokenizer.hf.decode(sampled, skip_special_tokens=True).split() == ["red", "blue"]
    assert turn_ids[0][action_mask[0]].tolist() == [0, 0, 1, 1]
    assert rewards.tolist() == [*played.rewards, 0, 0, 0]
    assert rollout.rubric_score_sums == {"terms/parts_done": sum(played.rewards), "success": float(played.success)}


@installed
def test_agilerls_collector_gives_a_group_one_goal_and_each_group_its_own():
    from agilerl.llm_envs import RolloutCollector

    from ..agents.tiny_lm import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    collector = RolloutCollector(lambda: harness(tokenizer, num_goals=8), batch_size=2, group_size=3)
    collector.reset(seed=1)
    goals = [rollout._env_client._backend._inner._episode.goal_id for rollout in collector.envs]
    assert goals[0] == goals[1] == goals[2] != goals[3] == goals[4] == goals[5]
    assert set(goals) <= {goal.goal_id for goal in list_goals("TinyEcho-v0", 8)}
    assert collector.rubric_component_names == ("terms/parts_done", "success")
    collector.close()


@installed
def test_agilerls_grpo_takes_a_step_on_our_conversations(monkeypatch):
    peft = pytest.importorskip("peft")
    import agilerl.training.llm.rollout as training
    import torch
    from agilerl.algorithms import GRPO

    from ..agents.tiny_lm import tiny_model, tiny_tokenizer

    tokenizer, kept = tiny_tokenizer(), []
    collate = training.collate_llm_rollouts

    def keep(ids: Any, masks: Any, turns: Any, rewards: Any, *rest: Any, **options: Any) -> Any:
        kept.extend(zip(ids, masks, turns, rewards, strict=True))
        return collate(ids, masks, turns, rewards, *rest, **options)

    monkeypatch.setattr(training, "collate_llm_rollouts", keep)
    lora = peft.LoraConfig(r=4, target_modules=["c_attn", "c_proj", "c_fc"], task_type="CAUSAL_LM")
    sizes = {"batch_size": 2, "group_size": 4, "max_output_tokens": 2, "max_model_len": 64}
    plain = {"use_liger_loss": False, "gradient_checkpointing": False, "wrap": False, "device": "cpu"}
    agent = GRPO(
        pad_token_id=tokenizer.pad_id,
        pad_token=tokenizer.hf.pad_token,
        actor_network=tiny_model(tokenizer, "gpt2").model,
        lora_config=lora,
        **{**sizes, **plain, "lr": 1e-2, "beta": 0.0, "top_k": 0, "temperature": 1.0},
    )
    before = {name: weights.detach().clone() for name, weights in agent.actor.named_parameters()}
    learned, _ = training.train_llm_rollout(
        [agent], max_turns=5, env_factory=lambda: harness(tokenizer, num_goals=8), max_steps=8, verbose=False
    )
    assert len(kept) == 8
    changed = [name for name, weights in learned[0].actor.named_parameters() if not torch.equal(weights, before[name])]
    assert changed
    assert all("lora" in name for name in changed)
    for ids, mask, turns, rewards in kept:  # what it learned from is what the environment paid
        first = [ids[0, 1:][(turns[0] == turn) & mask[0]].tolist() for turn in range(2)]
        replies = [tokenizer.heard(reply) for reply in first]
        heard = [tokenizer.hf.decode(part).split() for part in (ids[0, :4], ids[0, 4 + len(first[0]) :])]
        words = [next(word for word in part if word in ("red", "blue")) for part in heard]
        assert rewards.tolist()[:2] == [float(reply == word) for reply, word in zip(replies, words, strict=True)]
