"""Our environments in TRL's trainers. Weights are random and tiny; words are drawn by given noise."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents.tiny_lm import dawdle_env, echo_env, tiny_model, tiny_tokenizer

pytest.importorskip("trl", reason='needs the extra "trl"')
pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and torch, about their own ways

from accelerate.commands.config.config_args import load_config_from_file  # noqa: E402
from accelerate.commands.launch import _validate_launch_command, launch_command_parser  # noqa: E402

from dialogym.agents.language_model.drawing import Turn  # noqa: E402
from dialogym.evaluation.score import frozen_goals, score  # noqa: E402
from dialogym.integrations.trl import EvaluationCallback, Rollout, goal_dataset  # noqa: E402
from dialogym.integrations.trl.speaker import Speaker  # noqa: E402

from .tiny_trl import REPLY, Kept, trainer_of  # noqa: E402
from .two_processes import NUM_GOALS, play  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def logprobs_of(model: Any, prompt: list[int], completion: list[int], temperature: float = 1.0) -> torch.Tensor:
    """(T,) of the completion, in one plain pass over the whole."""
    ids = torch.tensor([prompt + completion])
    logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def after_reply(word: str) -> list[int]:
    """What the chat template writes from the end-of-turn token of a reply to where the next begins."""
    hf = tiny_tokenizer().hf
    messages = [{"role": role, "content": content} for role, content in [("user", "red"), ("assistant", "X")]]
    messages.append({"role": "user", "content": word})
    text = hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return hf(text.partition("X")[2], add_special_tokens=False)["input_ids"]


def test_what_was_sampled_stays_as_it_was_sampled_and_only_new_messages_are_templated(tmp_path):
    kept = Kept(Rollout(echo_env(), REPLY))
    trainer = trainer_of("grpo", tmp_path, rollout=kept, temperature=0.7, learning_rate=0.0)
    said: list[Any] = []
    reply = Speaker.reply

    def listen(self: Any, prompts: Any, turns: Any) -> Any:
        read = [list(prompt) for prompt in prompts]
        replies = reply(self, prompts, turns)
        said.append((read, replies))
        return replies

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Speaker, "reply", listen)
        trainer.train()
    output, tokenizer, model = kept.outputs[0], tiny_tokenizer(), trainer.model.eval()
    assert len(said) == 2  # turns
    for row, mask in enumerate(output["env_mask"]):
        prompt, completion = output["prompt_ids"][row], output["completion_ids"][row]
        first, second = said[0][1][row], said[1][1][row]
        assert [token for token, own in zip(completion, mask, strict=True) if own] == first.ids + second.ids
        assert mask[: len(first.ids)] == [1] * len(first.ids)
        assert mask[-len(second.ids) :] == [1] * len(second.ids)
        between = completion[len(first.ids) : -len(second.ids)]
        assert said[1][0][row] == prompt + first.ids + between  # what was read before the second reply
        ended = first.ids[-1] == tokenizer.end_id
        word = output["conversation"][row].splitlines()[2].removeprefix("user: ")
        assert between == after_reply(word)[ended:]
        expected = logprobs_of(model, prompt, completion, temperature=0.7)
        own = torch.tensor(mask, dtype=torch.bool)
        assert torch.allclose(torch.tensor(output["logprobs"][row])[own], expected[own], atol=1e-4)


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_a_step_goes_down_the_gradient_of_the_loss_over_the_sampled_tokens(kind, tmp_path):
    kept = Kept(Rollout(echo_env(), REPLY))
    more = {"scale_rewards": "none", "loss_type": "dapo"} if kind == "grpo" else {}
    trainer = trainer_of(kind, tmp_path, rollout=kept, seed=4, **more)
    model = tiny_model(tiny_tokenizer()).model  # the same weights
    trainer.train()
    output = kept.outputs[0]
    rewards = torch.tensor(output["env_return"]).view(-1, 4)  # groups
    assert rewards.std(dim=1).max() > 0
    if kind == "grpo":
        advantages = (rewards - rewards.mean(dim=1, keepdim=True)).flatten()
    else:
        advantages = (rewards - (rewards.sum(dim=1, keepdim=True) - rewards) / 3).flatten()
    sums = []
    for row, mask in enumerate(output["env_mask"]):
        logprobs = logprobs_of(model, output["prompt_ids"][row], output["completion_ids"][row])
        sums.append(logprobs[torch.tensor(mask, dtype=torch.bool)].sum())
    total = (advantages * torch.stack(sums)).sum()
    num_tokens = sum(sum(mask) for mask in output["env_mask"])
    (-total / (num_tokens if kind == "grpo" else len(sums))).backward()
    for name, weights in model.named_parameters():
        moved = trainer.model.get_parameter(name)
        assert torch.allclose(moved, weights - 0.5 * weights.grad, atol=1e-5), name
        assert not torch.equal(moved, weights)


@pytest.mark.parametrize(("kind", "seed"), [("grpo", 1), ("grpo", 2), ("grpo", 3), ("rloo", 3)])
def test_a_model_learns_to_echo_words(kind, seed, tmp_path):
    sizes = {"per_device_train_batch_size": 64, "num_generations": 8, "max_steps": 20}
    trainer = trainer_of(kind, tmp_path, **sizes, seed=seed, optim="adamw_torch", learning_rate=0.02, max_grad_norm=1.0)
    trainer.train()
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert len(rewards) == 20
    assert rewards[0] < 0.4  # random words: 0.2 of 2
    assert np.mean(rewards[-4:]) > 0.8


def test_a_group_is_conversations_about_one_goal_under_one_seed(tmp_path):
    kept = Kept(Rollout(echo_env(), REPLY))
    trainer_of("grpo", tmp_path, rollout=kept, max_steps=2).train()
    assert [len(prompts) for prompts in kept.prompts] == [8, 8]
    groups = [prompts[first : first + 4] for prompts in kept.prompts for first in (0, 4)]
    assert all(len(set(group)) == 1 for group in groups)
    goals = [json.loads(group[0])["goal_id"] for group in groups]
    assert len(set(goals)) == 4
    for output in kept.outputs:
        assert len({tuple(ids) for ids in output["completion_ids"][:4]}) > 1  # but not the same words
        assert output["prompt_ids"][0] == output["prompt_ids"][3]


def test_words_hang_on_their_own_turn_whatever_is_beside_them(tmp_path):
    trainer = trainer_of("grpo", tmp_path, top_k=4, top_p=0.9, min_p=0.01, repetition_penalty=1.1)
    prompts, turns = [[4, 5], [6, 7, 4, 5, 6], [7]], [Turn(0), Turn(1), Turn(0, reply=1)]
    with Speaker(trainer, 2, 6) as speaker:
        together = speaker.reply(prompts, turns)
        apart = [speaker.reply([prompt], [turn])[0] for prompt, turn in zip(prompts, turns, strict=True)]
    assert [reply.ids for reply in together] == [reply.ids for reply in apart]
    for one, other in zip(together, apart, strict=True):
        assert np.allclose(one.logprobs, other.logprobs, atol=1e-5)
        assert len(one.ids) == len(one.logprobs) <= 6


def test_a_conversation_longer_than_is_learned_from_goes_on_and_its_rewards_count(tmp_path):
    kept = Kept(Rollout(dawdle_env(), 2))
    trainer_of("grpo", tmp_path, env=dawdle_env(), rollout=kept, max_completion_length=17).train()
    output = kept.outputs[0]
    assert max(output["turns"]) == 12
    for ids, mask, turns, total in zip(
        output["completion_ids"], output["env_mask"], output["turns"], output["env_return"], strict=True
    ):
        assert len(ids) <= 17
        assert mask[-1] == 1
        assert 1 <= sum(mask) <= 2 * turns
        assert total in (-turns, -turns - 4)


class Plain:
    """Says the likeliest words, one pass over the whole conversation for each token."""

    interface = "text"

    def __init__(self, model: Any):
        self.model, self.tokenizer = model.eval(), tiny_tokenizer()
        self.said: dict[tuple[str, ...], list[int]] = {}

    def act_batch(self, observations: Any, infos: Any) -> list[str]:
        return [self.act(info["messages"]) for info in infos]

    def act(self, messages: Any) -> str:
        tokenizer, texts = self.tokenizer, tuple([message["content"] for message in messages])
        if len(texts) == 1:
            ids = tokenizer.encode_conversation(messages)
        else:
            said = self.said[texts[:-1]]
            ids = said + after_reply(texts[-1])[said[-1] == tokenizer.end_id :]
        reply: list[int] = []
        while len(reply) < REPLY and tokenizer.end_id not in reply:
            reply.append(int(self.model(input_ids=torch.tensor([ids + reply])).logits[0, -1].argmax()))
        text = tokenizer.decode(reply)
        self.said[(*texts, text)] = ids + reply
        return text


def test_without_a_limit_of_completions_the_context_alone_limits_a_conversation(tmp_path):
    kept = Kept(Rollout(dawdle_env(), 2))
    trainer_of("grpo", tmp_path, env=dawdle_env(), rollout=kept, max_completion_length=None).train()
    output = kept.outputs[0]
    assert max(output["turns"]) == 12
    assert [sum(mask) >= turns for mask, turns in zip(output["env_mask"], output["turns"], strict=True)] == [True] * 8


def test_evaluation_says_what_the_likeliest_words_score(tmp_path):
    env = echo_env()
    goals = frozen_goals(env, "validation", 12)
    trainer = trainer_of("grpo", tmp_path, learning_rate=0.0)
    expected = score(Plain(tiny_model(tiny_tokenizer()).model), env, goals.goals, split="validation")  # type: ignore
    callback = EvaluationCallback(trainer, env, goals, max_reply_tokens=REPLY, every_steps=1, batch_size=5)
    trainer.add_callback(callback)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "eval_goals/return" in row]
    assert len(rows) == 2  # before and after the step
    for row in rows:
        assert row["eval_goals/return"] == pytest.approx(expected.returns.mean())
        assert row["eval_goals/turns"] == expected.turns.mean() == 2
    step = next(row for row in trainer.state.log_history if "reward" in row)  # TRL's own row is still there
    assert step["reward"] == pytest.approx(step["reward_terms/parts_done"])
    assert {"environment/success", "environment/turns", "rewards/environment_reward/mean"} <= step.keys()


def test_vllm_speaks_with_our_limits_and_gives_its_own_back(tmp_path):
    trainer = trainer_of("grpo", tmp_path)
    asked = []

    class Engine:
        max_completion_length, generation_kwargs, temperature, synced = 60, {"seed": 1}, 1.0, 0

        def sync_weights(self) -> None:
            self.synced += 1

        def generate(self, prompts: Any, images: Any, num_generations: int) -> Any:
            asked.append((self.max_completion_length, dict(self.generation_kwargs), self.temperature, num_generations))
            return prompts, [[6, 2]] * len(prompts), [[[-0.5], [None]]] * len(prompts), None

    engine = Engine()
    trainer.use_vllm, trainer.vllm_mode, trainer.vllm_generation, trainer._last_loaded_step = True, "server", engine, -1
    trainer.vllm_tensor_parallel_size = 1
    with Speaker(trainer, 2, REPLY, greedy=True) as speaker:
        replies = speaker.reply([[4], [5]])
    with Speaker(trainer, 2, REPLY) as speaker:
        speaker.reply([[4]])
    assert replies == [([6, 2], [-0.5, None])] * 2
    stops = {"seed": 1, "stop_token_ids": [2, *trainer.eos_token_ids]}
    assert asked == [(REPLY, stops, 0.0, 1), (REPLY, stops, 1.0, 1)]
    assert (engine.max_completion_length, engine.generation_kwargs, engine.temperature) == (60, {"seed": 1}, 1.0)
    assert engine.synced == 1  # once a step


def test_wrong_settings_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="max_reply_tokens must be at least 1, got 0"):
        Rollout(echo_env(), 0)
    trainer = trainer_of("grpo", tmp_path, rollout=Rollout(echo_env(), 61))
    with pytest.raises(ValueError, match="max_completion_length must be at least 61 tokens, got 60"):
        trainer.train()
    trainer = trainer_of("grpo", tmp_path, max_completion_length=600, rollout=Rollout(echo_env(), 256))
    with pytest.raises(ValueError, match="below half of the model's context of 512 tokens, got 256"):
        trainer.train()
    with pytest.raises(ValueError, match="prompt must be a goal of goal_dataset, got 'hello'"):
        Rollout(echo_env(), REPLY)(["hello"], trainer)
    goals = [goal_dataset(echo_env(), 1, split)[0]["prompt"] for split in ("train", "test")]
    with pytest.raises(ValueError, match="of one split, got test, train"):
        Rollout(echo_env(), REPLY)(goals, trainer)
    with pytest.raises(ValueError, match="every_steps must be at least 1, got 0"):
        EvaluationCallback(trainer, echo_env(), SimpleNamespace(), max_reply_tokens=REPLY, every_steps=0)  # type: ignore


@pytest.mark.parametrize(("name", "engine"), [("cpu", "MULTI_GPU"), ("fsdp", "FSDP"), ("deepspeed", "DEEPSPEED")])
def test_accelerate_reads_our_configuration_files(name, engine, tmp_path):
    path = str(ROOT / "examples" / "accelerate" / f"{name}.yaml")
    config = load_config_from_file(path)
    assert config.distributed_type == engine
    assert config.num_processes == (2 if name == "cpu" else 8)
    assert config.use_cpu == (name == "cpu")
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "x.py"]))
    launched = {"cpu": arguments.multi_gpu, "fsdp": arguments.use_fsdp, "deepspeed": arguments.use_deepspeed}
    assert [engine for engine, chosen in launched.items() if chosen] == [name]
    if name == "fsdp":
        assert (arguments.fsdp_version, arguments.fsdp_state_dict_type) == (2, "FULL_STATE_DICT")
    if name == "deepspeed":
        assert arguments.zero_stage == 2


def test_two_processes_learn_what_one_does_resume_and_end_together(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "examples/accelerate/cpu.yaml"]
    script = ["--main_process_port", str(port), "-m", "tests.integrations.two_processes", str(tmp_path / "two")]
    env = {**os.environ, "TRL_EXPERIMENTAL_SILENCE": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([*launch, *script], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    try:
        one = play(tmp_path / "one", num_processes=1)
        _, errors = run.communicate(timeout=300)
    finally:
        run.terminate()  # and with it the two
    assert run.returncode == 0, errors
    first, second = [torch.load(tmp_path / "two" / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    # the ranks play different goals, and no goal twice
    goals = [json.loads(prompt)["goal_id"] for two in (first, second) for prompt in two["prompts"]]
    assert len(set(goals)) == len(goals) / 4 == NUM_GOALS
    assert not set(first["prompts"]) & set(second["prompts"])
    # the update is that of one process with the same goals; so is the evaluation
    assert set(one["prompts"]) == {*first["prompts"], *second["prompts"]}
    for name, weights in one["weights"].items():
        assert torch.allclose(first["weights"][name], weights, atol=1e-5), name
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert torch.equal(first["resumed"][name], first["weights"][name])
        assert not torch.equal(one["start"][name], weights)
    assert first["evaluation"] == second["evaluation"] == pytest.approx(one["evaluation"])
    # a model that is split over the processes says the same, and one process waits for the turns of the other
    for rank, two in enumerate((first, second)):
        whole, split = two["split"]
        assert [len(replies) for replies in split] == [2] * (1 + 2 * rank)
        assert [reply.ids for turn in split for reply in turn] == [reply.ids for turn in whole for reply in turn]
    # a reward that fails in one ends both
    reward = "reward 'breaks_in_the_second_process' raised RuntimeError: the reward broke at turn 2"
    assert re.fullmatch(rf"RewardError: row \d+ \(goal '\d+'\), turn 2: {reward}", second["failure"])
    assert first["failure"] == f"RuntimeError: process 1 stopped: {second['failure']}"
