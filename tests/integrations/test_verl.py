"""Our environments as an agent loop of verl: the loop by itself, and in verl's own worker with verl's configuration."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from dialogym.envs.tokenizer import Tokenizer, load_tokenizer
from dialogym.rewards.served.chat import chat_messages

from . import stand_ins
from .played import Played, replay, rule_plays
from .stand_ins import bridge_to

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)
TALKS = {"TextDialog-v0": 3, "TextTwentyQuestions-v0": 1, "TextArithmetic-v0": 3}
"""How many conversations that begin differently, for the server to know them by."""
REPLY = 60


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    pytest.importorskip("pydantic")
    with bridge_to("verl", stand_ins.verl) as module:
        yield module


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer()


class Server:
    """Says what the rule said in the conversation that begins like this; with the interface of verl's.

    Attributes:
        prompts: that each request read, by request id.
        sampling: parameters of each request.
    """

    def __init__(self, tokenizer: Tokenizer, talks: list[Played], logprobs: bool = True):
        self.tokenizer, self.logprobs = tokenizer, logprobs
        self.talks = {tuple(tokenizer.encode_conversation(one.messages[: one.opening])): one for one in talks}
        self.prompts: dict[str, list[list[int]]] = {}
        self.sampling: list[dict[str, Any]] = []
        self.dies_at: int | None = None

    def said(self, played: Played, turn: int) -> list[int]:
        return [*self.tokenizer.encode(played.replies[turn])[: REPLY - 1], self.tokenizer.end_id]

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> Any:
        asked = self.prompts.setdefault(request_id, [])
        asked.append(list(prompt_ids))
        self.sampling.append(dict(sampling_params))
        sampling_params.clear()  # verl's servers take it apart
        if len(asked) == self.dies_at:
            raise ConnectionError("the engine is gone")
        await asyncio.sleep(0.001 * (len(self.prompts) % 3))
        ids = self.said(self.talks[tuple(asked[0])], len(asked) - 1)
        return SimpleNamespace(
            token_ids=ids,
            log_probs=[-0.5] * len(ids) if self.logprobs else None,
            stop_reason="completed",
            num_preempted=0,
            routed_experts=None,
            extra_fields={"min_global_steps": 1, "max_global_steps": len(asked)},
        )


def talks_of(bridge: Any, env_id: str, count: int, **options: Any) -> tuple[list[dict[str, Any]], list[Played]]:
    """Rows, and what the rule says about their goals."""
    rows = bridge.goal_rows(env_id, count, **options)
    goals = [json.loads(row["extra_info"]["goal"]) for row in rows]
    return rows, [rule_plays(env_id, goal["seed"], goal["goal_id"], **options) for goal in goals]


def heard(tokenizer: Tokenizer, env_id: str, played: Played, server: Server, **options: Any) -> Played:
    """The conversation as it goes with the words that the tokens of the rule's replies are heard as."""
    said = [tokenizer.heard(server.said(played, turn)) for turn in range(len(played.replies))]
    return replay(env_id, said, played.seed, played.goal_id, **options)


def config_of(**rollout: Any) -> Any:
    lengths = {"prompt_length": 1500, "response_length": 1500, "max_model_len": None, **rollout}
    return SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=SimpleNamespace(**lengths)))


def loop_of(bridge: Any, tokenizer: Tokenizer, server: Any, max_reply_tokens: int = REPLY, **rollout: Any) -> Any:
    """A loop as verl makes one; inside a running event loop."""
    given = {"tokenizer": tokenizer.hf, "processor": None, "dataset_cls": None, "tools": None}
    wrapped = SimpleNamespace(config=config_of(**rollout))
    data = SimpleNamespace(config={})
    return bridge.DialogymAgentLoop(
        trainer_config=wrapped,
        server_manager=server,
        data_config=data,
        hf_model_type="llama",
        max_reply_tokens=max_reply_tokens,
        **given,
    )


def run(bridge: Any, tokenizer: Tokenizer, server: Any, rows: list[dict[str, Any]], **settings: Any) -> list[Any]:
    """All rows at once, as a worker of verl plays them."""

    async def all_at_once() -> list[Any]:
        loops = [loop_of(bridge, tokenizer, server, **settings) for _ in rows]
        given = [{**row, "raw_prompt": row["prompt"], "index": 0, "priority": 3} for row in rows]
        parameters = {"temperature": 1.0, "logprobs": True, "stop_token_ids": [7]}
        return await asyncio.gather(
            *[loop.run(dict(parameters), **row) for loop, row in zip(loops, given, strict=True)]
        )

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("env_id", TALKS)
def test_its_rewards_are_those_of_the_environment_and_its_tokens_those_that_were_sampled(bridge, tokenizer, env_id):
    rows, talks = talks_of(bridge, env_id, TALKS[env_id])
    assert [row["prompt"] for row in rows] == [chat_messages(one.messages[: one.opening]) for one in talks]
    server = Server(tokenizer, talks)
    outputs = run(bridge, tokenizer, server, rows)
    for row, played, output in zip(rows, talks, outputs, strict=True):
        direct = heard(tokenizer, env_id, played, server)
        assert output.reward_score == pytest.approx(sum(direct.rewards))
        extra = output.extra_fields
        assert extra["turn_scores"] == direct.rewards
        assert extra["goal_id"] == direct.goal_id == row["reward_model"]["ground_truth"]
        assert sum(extra["reward_terms"].values()) == pytest.approx(output.reward_score)
        assert set(extra["reward_terms"]) == set(direct.terms[0])
        numbers = {"success": direct.success, "acc": direct.success, "turns": len(direct.replies)}
        assert extra["reward_extra_info"] == {**numbers, "return": output.reward_score}
        assert (extra["min_global_steps"], extra["max_global_steps"]) == (1, len(direct.replies))
        assert output.num_turns == len([one for one in direct.messages if one["role"] != "system"])
        # tokens
        said = [server.said(played, turn) for turn in range(len(direct.replies))]
        sampled = [token for token, own in zip(output.response_ids, output.response_mask, strict=True) if own]
        assert sampled == list(itertools.chain(*said))
        assert output.prompt_ids == tokenizer.encode_conversation(direct.messages[: direct.opening])
        written, _ = tokenizer.encode_demonstration(direct.messages)
        whole = output.prompt_ids + output.response_ids
        assert tokenizer.decode(written[: len(whole)]) == tokenizer.decode(whole)
        expected = [-0.5 if own else 0.0 for own in output.response_mask]
        assert output.response_logprobs == expected
        # what each reply was said to: all of before, and only what is new
        asked = next(prompts for prompts in server.prompts.values() if prompts[0] == output.prompt_ids)
        for turn in range(1, len(asked)):
            assert asked[turn][: len(asked[turn - 1])] == asked[turn - 1]
            assert asked[turn][len(asked[turn - 1]) :][: len(said[turn - 1])] == said[turn - 1]
            assert asked[turn] == whole[: len(asked[turn])]
    assert len(server.prompts) == len(rows)  # one request id for all turns of a conversation
    stops = [7, tokenizer.end_id]
    assert all(one["max_tokens"] == REPLY and one["stop_token_ids"] == stops for one in server.sampling)
    assert all(one["temperature"] == 1.0 for one in server.sampling)


def test_a_group_shares_a_goal_and_an_environment_is_played_again_from_nothing(bridge, tokenizer):
    rows, talks = talks_of(bridge, "TextDialog-v0", 2, split="test", max_turns=12)
    server = Server(tokenizer, talks)
    bridge.DialogymAgentLoop._idle.clear()
    first = run(bridge, tokenizer, server, [rows[0]] * 3)
    again = run(bridge, tokenizer, server, [rows[1], rows[0], rows[1]])
    assert [len(idle) for idle in bridge.DialogymAgentLoop._idle.values()] == [3]
    assert len({output.extra_fields["goal_id"] for output in first}) == 1
    assert again[1] == first[0].model_copy(update={"metrics": again[1].metrics})
    assert again[0].response_ids == again[2].response_ids != first[0].response_ids


def test_where_all_is_determined_the_request_is_named_by_the_row(bridge, tokenizer):
    rows, talks = talks_of(bridge, "TextArithmetic-v0", 1)
    server = Server(tokenizer, talks)
    run(bridge, tokenizer, server, rows, full_determinism=True)
    assert list(server.prompts) == ["det-3"]


def test_what_is_said_beyond_the_response_is_not_learned_from_and_its_rewards_count(bridge, tokenizer):
    rows, talks = talks_of(bridge, "TextTwentyQuestions-v0", 1)
    server = Server(tokenizer, talks, logprobs=False)
    direct = heard(tokenizer, "TextTwentyQuestions-v0", talks[0], server)
    full = run(bridge, tokenizer, server, rows)[0]
    short = run(bridge, tokenizer, server, rows, response_length=100)[0]
    assert len(full.response_ids) > 100 >= len(short.response_ids)
    assert short.response_ids == full.response_ids[: len(short.response_ids)]
    assert short.response_mask[-1] == 1
    assert short.reward_score == full.reward_score == pytest.approx(sum(direct.rewards))
    assert short.extra_fields["turn_scores"] == direct.rewards
    assert short.response_logprobs is None


def test_a_server_that_dies_or_says_nothing_is_an_error_that_tells_where(bridge, tokenizer):
    rows, talks = talks_of(bridge, "TextDialog-v0", 1)
    server = Server(tokenizer, talks)
    server.dies_at = 2
    where = f"goal '{talks[0].goal_id}', turn 2: verl's server gave no reply: ConnectionError: the engine is gone"
    with pytest.raises(RuntimeError, match=where):
        run(bridge, tokenizer, server, rows)
    server.said = lambda played, turn: []  # type: ignore[method-assign]
    server.dies_at = None
    with pytest.raises(RuntimeError, match="turn 1: verl's server gave an empty reply"):
        run(bridge, tokenizer, server, rows)


def test_what_is_wrong_is_told_by_name(bridge, tokenizer):
    rows, talks = talks_of(bridge, "TextDialog-v0", 1)
    server = Server(tokenizer, talks)
    with pytest.raises(ValueError, match=r"extra_info must be .* goal_rows, got {'index': 3}"):
        run(bridge, tokenizer, server, [{**rows[0], "extra_info": {"index": 3}}])
    with pytest.raises(ValueError, match=r"prompt_length must be at least .* tokens for goal '.*', got 3"):
        run(bridge, tokenizer, server, rows, prompt_length=3)
    with pytest.raises(ValueError, match="response_length must be at least 60 tokens, one reply, got 40"):
        run(bridge, tokenizer, server, rows, response_length=40)
    with pytest.raises(ValueError, match="below half of the context of 100 tokens, got 60"):
        run(bridge, tokenizer, server, rows, max_model_len=100)
    with pytest.raises(ValueError, match="max_reply_tokens must be at least 1, got 0"):
        run(bridge, tokenizer, server, rows, max_reply_tokens=0)
    with pytest.raises(TypeError, match="env must be an id"):
        bridge.goal_rows(object(), 1)


# In verl's own worker


def saved(tokenizer: Tokenizer, folder: Path) -> str:
    """A folder that verl takes for a model: its tokenizer and its configuration."""
    from transformers import LlamaConfig

    tokenizer.save(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    LlamaConfig(vocab_size=len(tokenizer), architectures=["LlamaForCausalLM"], **shape).save_pretrained(folder)
    return str(folder)


@pytest.mark.skipif(importlib.util.find_spec("verl") is None, reason="needs verl")
def test_verls_worker_makes_a_batch_of_it(bridge, tokenizer, tmp_path):
    import verl
    from datasets import Dataset
    from hydra import compose, initialize_config_dir
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.protocol import DataProto
    from verl.trainer.ppo.reward import extract_reward
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    (tmp_path / "loops.yaml").write_text(
        "- name: dialogym\n  _target_: dialogym.integrations.verl.DialogymAgentLoop\n  max_reply_tokens: 60\n"
    )
    overrides = [
        f"actor_rollout_ref.model.path={saved(tokenizer, tmp_path / 'model')}",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={tmp_path / 'loops.yaml'}",
        "actor_rollout_ref.rollout.name=vllm",
        "actor_rollout_ref.rollout.calculate_log_probs=True",
        "data.max_prompt_length=1500",
        "data.max_response_length=1500",
    ]
    logging.disable(logging.WARNING)
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        config = compose("ppo_trainer", overrides)
    rows, talks = [], []
    for env_id in ("TextDialog-v0", "TextArithmetic-v0"):
        more, said = talks_of(bridge, env_id, 2)
        rows += more
        talks += [(env_id, played) for played in said]
    server = Server(tokenizer, [played for _, played in talks])
    Dataset.from_list(rows).to_parquet(tmp_path / "goals.parquet")
    dataset = RLHFDataset(str(tmp_path / "goals.parquet"), tokenizer.hf, config.data)
    batch = DataProto.from_single_dict(collate_fn([dataset[number] for number in range(len(rows))]))
    worker = AgentLoopWorker(config, llm_client=server)
    made = asyncio.run(worker.generate_sequences(batch))
    rewards, extra = extract_reward(made)
    for number, (env_id, played) in enumerate(talks):
        direct = heard(tokenizer, env_id, played, server)
        assert float(rewards[number].sum()) == pytest.approx(sum(direct.rewards), abs=1e-6)
        last = int(made.batch["attention_mask"][number, 1500:].sum()) - 1
        assert float(rewards[number, last]) == pytest.approx(sum(direct.rewards), abs=1e-6)
        assert made.non_tensor_batch["turn_scores"][number] == direct.rewards
        assert made.non_tensor_batch["goal_id"][number] == direct.goal_id
        assert set(made.non_tensor_batch["reward_terms"][number]) == set(direct.terms[0])
        assert (extra["success"][number], extra["acc"][number]) == (direct.success, direct.success)
        sampled = made.batch["responses"][number][made.batch["response_mask"][number].bool()]
        said = [server.said(played, turn) for turn in range(len(direct.replies))]
        assert sampled.tolist() == list(itertools.chain(*said))
        chosen = made.batch["rollout_log_probs"][number][made.batch["response_mask"][number].bool()]
        assert set(chosen.tolist()) == {-0.5}
    logging.disable(logging.NOTSET)
