"""Sampling from a served model: the same words and probabilities, slow and broken servers, and that it learns."""

import dataclasses
import json
import shutil
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("openai")

import torch

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model.advantages import leave_one_out
from dialogym.agents.language_model.batch import Batch, logprobs_under
from dialogym.agents.language_model.grpo import GRPOConfig, grpo_loss
from dialogym.agents.language_model.memory import TokenBudget
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.rloo import RLOOConfig
from dialogym.agents.language_model.rollout import sample_episodes
from dialogym.agents.language_model.served import ServedModel, TokenEndpoint, Words
from dialogym.agents.language_model.surrogate import truncated_weights
from dialogym.envs import remake_vec
from dialogym.rewards import EndpointError
from dialogym.rewards.served import endpoint

from ...rewards.stub_server import Answer, serving
from ..served_model import served
from ..tiny_lm import WORDS, echo_env, tiny_model, tiny_tokenizer
from .test_sft import weights


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No pauses between tries."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(endpoint, "sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def lm():
    return tiny_model(tiny_tokenizer())


def config_of(url, **changed):
    settings = {"init": "tiny", "sampler_url": url, "batch_conversations": 8, "max_reply_tokens": 3}
    return GRPOConfig(**{**settings, "sampling_temperature": 1.0, **changed})


def played(lm, url, tmp_path, num=4, seed=0, temperature=1.0, **changed):
    """Echo conversations of a served model."""
    envs = remake_vec(echo_env(), min(num, 4), interface="text", autoreset_mode="Disabled")
    server = ServedModel(config_of(url, **changed), tmp_path)
    try:
        return sample_episodes(
            lm, envs, 3, seeds=list(range(num)), temperature=temperature,
            sampling_seed=seed, slots_of=server.open_slots,
        )  # fmt: skip
    finally:
        server.endpoint.is_over.set()


def recomputed(lm, episodes, temperature=1.0):
    batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)
    old = logprobs_under(lm, batch, temperature, TokenBudget())
    return batch, old


# What is said


@pytest.mark.parametrize("by_ids", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_with_the_same_weights_its_probabilities_are_those_that_are_taken_anew(lm, temperature, by_ids, tmp_path):
    with served(lm, by_ids=by_ids) as (_, stub):
        episodes = played(lm, stub.url, tmp_path, temperature=temperature)
    batch, old = recomputed(lm, episodes, temperature)
    assert torch.allclose(old, batch.sampled_logprobs, atol=1e-5)
    assert all(1 <= len(one.rewards) <= 5 and one.num_sampled >= len(one.rewards) for one in episodes)
    assert len({tuple(one.ids) for one in episodes}) > 2
    assert not set(batch.ids[batch.action_mask].tolist()) & set(lm.forbidden.tolist())


def test_what_is_asked_is_the_conversation_so_far_token_for_token(lm, tmp_path):
    with served(lm) as (_, stub):
        episodes = played(lm, stub.url, tmp_path)
    asked = [request["prompt"] for request in stub.requests]
    expected = []
    for one in episodes:
        starts = [n for n, by in enumerate(one.action_mask) if by and not one.action_mask[n - 1]]
        expected += [one.ids[:start] for start in starts]
    assert sorted(asked) == sorted(expected)
    assert set(stub.paths) == {"/v1/completions"}
    request = stub.requests[0]
    assert request["stop_token_ids"] == [lm.tokenizer.end_id]
    assert (request["ignore_eos"], request["top_p"], request["top_k"]) == (True, 1.0, -1)  # no defaults of the server's
    assert sorted(map(int, request["logit_bias"])) == sorted(lm.forbidden.tolist())
    assert "Authorization" not in stub.headers[0]


def test_the_same_seed_has_the_same_said_and_another_does_not(lm, tmp_path):
    with served(lm) as (_, stub):
        first, again, other = (played(lm, stub.url, tmp_path, seed=seed) for seed in (1, 1, 2))
    assert [one.ids for one in first] == [one.ids for one in again] != [one.ids for one in other]


def test_more_conversations_than_slots_take_their_turns(lm, tmp_path):
    with served(lm) as (_, stub):
        episodes = played(lm, stub.url, tmp_path, num=6)
    assert len(episodes) == 6
    batch, old = recomputed(lm, episodes)
    assert torch.allclose(old, batch.sampled_logprobs, atol=1e-5)


def test_a_reply_goes_on_from_before_a_token_that_no_reply_has(lm, tmp_path):
    red, end, forbidden = lm.tokenizer.encode("red")[0], lm.tokenizer.end_id, int(lm.forbidden[0])
    drawn = [([red, forbidden, red], [-1.0, -2.0, -3.0]), ([forbidden], [-4.0]), ([red, end, red], [-5.0, -6.0, -7.0])]
    bodies = [{"token_ids": ids, "logprobs": {"token_logprobs": logprobs}} for ids, logprobs in drawn]
    with serving([Answer(body=json.dumps({"choices": [body]})) for body in bodies]) as stub:
        words = Words(end, len(lm.tokenizer), frozenset(lm.forbidden.tolist()), 1.0)
        found = TokenEndpoint("tiny", stub.url, "").sample([red, red], 3, words, "seed")
    assert found == ([red, red, end], [-1.0, -5.0, -6.0])
    asked = [(request["prompt"], request["max_tokens"]) for request in stub.requests]
    assert asked == [([red, red], 3), ([red, red, red], 2), ([red, red, red], 2)]
    assert len({request["seed"] for request in stub.requests}) == 3


def test_where_biases_are_ignored_its_probabilities_are_with_the_tokens_that_no_reply_has(lm, tmp_path):
    with served(lm, biased=False) as (_, stub):
        episodes = played(lm, stub.url, tmp_path)
        assert len(stub.requests) > sum(one.num_turns for one in episodes)  # some were drawn again
    batch, old = recomputed(lm, episodes)
    assert not set(batch.ids[batch.action_mask].tolist()) & set(lm.forbidden.tolist())
    assert (batch.tokens(batch.sampled_logprobs - old) < 0).all()


def test_raw_probabilities_are_refused_at_a_temperature_and_taken_without(lm, tmp_path):
    with served(lm, raw=True) as (_, stub):
        with pytest.raises(EndpointError, match=r"start vLLM with --logprobs-mode processed_logprobs, or train with"):
            played(lm, stub.url, tmp_path, temperature=0.7)
        assert len(stub.requests) == 1
        episodes = played(lm, stub.url, tmp_path)
    batch, old = recomputed(lm, episodes)
    assert (batch.tokens(batch.sampled_logprobs - old) <= 1e-5).all()


def test_a_model_with_another_vocabulary_is_named(lm, tmp_path):
    strange = {"token_ids": [99], "logprobs": {"token_logprobs": [-1.0]}}
    says = Answer(body=json.dumps({"choices": [strange]}))
    message = "said 21 tokens in one reply that no reply has, such as 99: expected tiny to have the vocabulary"
    with served(lm, trouble=lambda n, _: says) as (_, stub), pytest.raises(EndpointError, match=message):
        played(lm, stub.url, tmp_path)


# Bad luck

GARBAGE = [
    Answer(500, "out of memory"),
    Answer(body="<html>"),
    Answer(body='{"choices": []}'),
    Answer(body='{"choices": [{"token_ids": [4], "logprobs": null}]}'),
    Answer(body='{"choices": [{"token_ids": [4, 5], "logprobs": {"token_logprobs": [-1.0]}}]}'),
    Answer(body='{"choices": [{"token_ids": [6], "logprobs": {"token_logprobs": [NaN]}}]}'),
    Answer(body='{"choices": [{"token_ids": [6], "logprobs": {"token_logprobs": [-1.0]}}]}'),  # cut off
    Answer(body='{"choices": [{"token_ids": [6, 6, 6, 6], "logprobs": {"token_logprobs": [-1, -1, -1, -1]}}]}'),
]


def test_what_goes_wrong_for_a_while_leaves_no_trace(lm, tmp_path):
    with served(lm) as (_, stub):
        expected = played(lm, stub.url, tmp_path)
    seen = {}

    def trouble(number, request):
        """Each request fails once, and some are slow."""
        key = json.dumps([request["prompt"], request["seed"]])
        if key in seen:
            return Answer(pause=0.02) if number % 5 == 0 else None
        seen[key] = number
        return GARBAGE[number % len(GARBAGE)]

    with served(lm, trouble=trouble) as (_, stub):
        assert [one.ids for one in played(lm, stub.url, tmp_path)] == [one.ids for one in expected]
        assert len(stub.requests) > 2 * len(expected)


def test_a_server_that_is_too_slow_is_asked_again_and_then_given_up(lm, tmp_path):
    slow = Answer(pause=0.5)
    with served(lm, trouble=lambda n, _: slow if n < 1 else None) as (_, stub):
        assert len(played(lm, stub.url, tmp_path, num=1, sampler_timeout=0.3)) == 1
        assert stub.requests[0]["prompt"] == stub.requests[1]["prompt"]
    message = r"gave up after 2 tries: no answer from http.*timed out"
    with served(lm, trouble=lambda n, _: slow) as (_, stub), pytest.raises(EndpointError, match=message):
        played(lm, stub.url, tmp_path, num=1, sampler_timeout=0.1, sampler_retries=1)


@pytest.mark.parametrize("answer", GARBAGE[1:6])
def test_a_server_that_never_tells_probabilities_is_shown_what_it_said(lm, answer, tmp_path):
    message = "gave up after 2 tries: expected token_ids and their logprobs, as vLLM's, from http"
    with served(lm, trouble=lambda n, _: answer) as (_, stub), pytest.raises(EndpointError, match=message):
        played(lm, stub.url, tmp_path, num=1, sampler_retries=1)


def test_a_prompt_that_the_server_refuses_is_told_at_once(lm, tmp_path):
    refused = Answer(400, "This model's maximum context length is 8 tokens")
    with served(lm, trouble=lambda n, request: refused) as (_, stub):
        with pytest.raises(EndpointError, match=r"HTTP 400 from http.*/completions: This model's maximum context"):
            played(lm, stub.url, tmp_path)
        assert len(stub.requests) <= 8


# Training


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def agent_of(name, folder, url, **changed):
    settings = {
        "init": folder, "env_turns": 48, "batch_conversations": 8, "group_size": 4, "max_reply_tokens": 3,
        "num_reports": 1, "sampling_temperature": 1.0, "learning_rate": 1e-2, "sampler_url": url,
        "sampler_model": "tiny", "sampler_retries": 1,
    }  # fmt: skip
    return make_agent(name, echo_env(), **{**settings, **changed})


def trained(name, folder, url, **changed):
    rows = []
    agent = agent_of(name, folder, url, **changed)
    agent.learn(echo_env(), log=rows.append)
    return agent, rows


def test_when_a_training_has_stopped_nobody_goes_on_asking_the_server(folder):
    def trouble(number, request):
        return Answer(400, "no more") if number == 5 else Answer(503)

    with served(LanguageModel.load(folder), trouble=trouble) as (_, stub):
        with pytest.raises(EndpointError, match=r"HTTP 400 from .*no more"):
            trained("grpo", folder, stub.url, sampler_retries=1000)
        num_asked = len(stub.requests)
        time.sleep(0.5)
        assert len(stub.requests) <= num_asked + 7  # those under way


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_without_new_weights_the_server_falls_behind_and_the_log_says_so(name, folder):
    with served(LanguageModel.load(folder)) as (_, stub):
        agent, rows = trained(name, folder, stub.url, entropy_weight=1e-9)  # groups without spread pass as well
    assert agent.config.importance_cap == 2.0
    assert [row["sampler_lag"] for row in rows] == [0, 1, 2]
    assert rows[0]["sampler_kl"] == pytest.approx(0.0, abs=1e-5)
    assert rows[0]["importance_weight"] == pytest.approx(1.0, abs=1e-5)
    assert abs(rows[2]["importance_weight"] - 1.0) > 1e-4


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_with_adapters_loaded_after_every_update_the_server_is_the_policy(name, folder):
    pytest.importorskip("peft")
    with served(LanguageModel.load(folder)) as (server, stub):
        _, rows = trained(name, folder, stub.url, lora_rank=2, sampler_sync="lora", entropy_weight=1e-9)
        loads = [request["lora_name"] for request in stub.requests if "lora_path" in request]
        used = [request["model"] for request in stub.requests if "prompt" in request]
    assert [row["sampler_lag"] for row in rows] == [0, 0, 0]
    assert all(row["importance_weight"] == pytest.approx(1.0, abs=1e-4) for row in rows)
    assert len(set(loads)) == 3
    assert set(used) == set(loads)  # never the model below
    assert server.adapters == {}  # all were taken back


def test_adapters_are_loaded_as_often_as_is_asked_for(folder):
    pytest.importorskip("peft")
    with served(LanguageModel.load(folder)) as (_, stub):
        _, rows = trained("grpo", folder, stub.url, lora_rank=2, sampler_sync="lora", sampler_sync_every=2)
    assert [row["sampler_lag"] for row in rows] == [0, 1, 0]


def test_a_training_that_is_interrupted_takes_its_adapter_back(folder):
    pytest.importorskip("peft")

    def interrupt(row):
        assert server.adapters
        raise KeyboardInterrupt

    with served(LanguageModel.load(folder)) as (server, stub):
        agent = agent_of("grpo", folder, stub.url, lora_rank=2, sampler_sync="lora")
        with pytest.raises(KeyboardInterrupt):
            agent.learn(echo_env(), log=interrupt)
        assert server.adapters == {}


def test_a_server_that_loads_no_adapters_is_told_apart(folder):
    pytest.importorskip("peft")
    refused = Answer(404, '{"detail":"Not Found"}')
    message = r"load_lora_adapter: .*Not Found.*VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
    refusing = served(LanguageModel.load(folder), trouble=lambda n, _: refused)
    with refusing as (_, stub), pytest.raises(EndpointError, match=message):
        trained("grpo", folder, stub.url, lora_rank=2, sampler_sync="lora")


def test_a_training_whose_server_died_goes_on_from_its_checkpoint_when_it_is_back(folder, tmp_path):
    pytest.importorskip("peft")
    settings = {"env_turns": 64, "num_reports": 2, "lora_rank": 2, "sampler_sync": "lora"}
    with served(LanguageModel.load(folder)) as (_, stub):
        whole, _ = trained("grpo", folder, stub.url, **settings)
        dies_at = 3 * len(stub.requests) // 4  # in the third or fourth of four updates

    with served(LanguageModel.load(folder), trouble=lambda n, _: Answer(503) if n >= dies_at else None) as (_, stub):
        agent = agent_of("grpo", folder, stub.url, **settings)
        with pytest.raises(EndpointError) as caught:
            agent.learn(echo_env(), checkpoint=tmp_path / "run")
    said = str(caught.value)
    assert "agent turns learned from: gave up after 2 tries: HTTP 503" in said
    assert "is of 32 agent turns, to be resumed when the server is back" in said

    with served(LanguageModel.load(folder)) as (_, stub):
        again, rows = agent_of("grpo", folder, stub.url, **settings), []
        again.learn(echo_env(), checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert [(row["env_turns"], row["sampler_lag"]) for row in rows] == [(48, 0), (64, 0)]
    assert torch.allclose(weights(again), weights(whole), atol=1e-6)


def says_red(transcript):
    """Reward: 1 for the word, whatever was heard."""
    return float(transcript.reply == "red")


def test_grpo_learns_from_what_a_server_says(folder):
    """One word, red in one case of three at first. The server has the very weights that learn."""
    env, rows = echo_env(num_words=1, reward=says_red), []
    with served(LanguageModel.load(folder)) as (server, stub):
        agent = agent_of(
            "grpo", folder, stub.url, env_turns=8 * 16, batch_conversations=16, group_size=16, max_reply_tokens=1,
            learning_rate=3e-2, warmup_updates=0,
        )  # fmt: skip
        server.lm = agent.lm
        agent.learn(env, log=rows.append)
    returns = [row["return"] for row in rows]
    assert returns[0] < 0.65
    assert sum(returns[-2:]) / 2 > 0.9
    assert all(row["importance_weight"] == pytest.approx(1.0, abs=1e-4) for row in rows if row["conversations_learned"])


def test_with_weights_the_direction_is_nearer_to_the_right_one_where_the_server_draws_from_a_flatter_one(lm, tmp_path):
    """One word to repeat, in one token: the gradient of the expected reward is known."""
    envs = remake_vec(echo_env(num_words=1), 96, interface="text", autoreset_mode="Disabled")
    with served(lm, temperature=4.0) as (_, stub):
        server = ServedModel(config_of(stub.url), tmp_path)
        episodes = sample_episodes(lm, envs, 1, seeds=list(range(96)), slots_of=server.open_slots)
    batch, old = recomputed(lm, episodes)
    prompts = sorted({tuple(one.ids[:-1]) for one in episodes})
    batch = dataclasses.replace(batch, group=torch.tensor([prompts.index(tuple(one.ids[:-1])) for one in episodes]))

    expected, words = torch.zeros(()), {lm.tokenizer.encode(word)[0] for word in WORDS}
    for prompt, share in zip(prompts, torch.bincount(batch.group) / len(batch), strict=True):
        (right,) = set(prompt) & words
        logits = lm.model(torch.tensor([prompt])).logits[0, -1].float()
        expected = expected + share * lm.possible(logits).softmax(-1)[right]
    right_way, found = gradient_in(lm, -expected), {}
    for name, weights_of in {"weighted": lambda x: truncated_weights(x, 50.0), "plain": torch.ones_like}.items():
        weight = weights_of(batch.tokens(old - batch.sampled_logprobs))
        logprobs = lm.token_logprobs(batch.ids, batch.action_mask).logprobs
        advantages = leave_one_out(batch.rewards, batch.group)[batch.rows, 0]
        way = gradient_in(lm, grpo_loss(logprobs, batch.tokens(old), advantages, batch.rows, weights=weight))
        found[name] = float((way - right_way).norm() / right_way.norm())
    assert found["weighted"] < found["plain"]  # one seed: 0.22 and 0.38 of the length of the right one


def gradient_in(lm, value):
    gradients = torch.autograd.grad(value, lm.trainable_parameters())
    return torch.cat([gradient.flatten() for gradient in gradients])


# Settings


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"init": None}, "sampler_model must be the name that the server calls the model by, got None"),
        ({"sampler_sync": "lora"}, r'sampler_sync="lora" sends an adapter: it needs lora_rank, got None'),
        ({"sampler_sync": "folder"}, "sampler_sync must be one of none, lora, got 'folder'"),
        ({"sampler_sync_every": 0}, "sampler_sync_every must be at least 1, got 0"),
        ({"sampler_retries": -1}, "sampler_retries must be at least 0, got -1"),
        ({"sampler_timeout": 0.0}, "sampler_timeout must be above 0, got 0.0"),
        ({"importance_cap": -1.0}, "importance_cap must be above 0, got -1.0"),
    ],
)
@pytest.mark.parametrize("config", [GRPOConfig, RLOOConfig])
def test_a_wrong_setting_is_named(config, changed, message):
    with pytest.raises(ValueError, match=message):
        config(**{"sampler_url": "http://localhost:1/v1", "init": "tiny", **changed})


@pytest.mark.parametrize(("name", "value"), [("sampler_sync", "lora"), ("sampler_folder", "a"), ("sampler_model", "b")])
def test_settings_of_a_server_need_one(name, value):
    with pytest.raises(
        ValueError, match=f"{name} is for a server that samples: it needs sampler_url, got {value!r} alone"
    ):
        GRPOConfig(**{name: value})


def test_only_a_server_brings_importance_weights_unasked():
    assert GRPOConfig().importance_cap is None
    assert GRPOConfig(sampler_url="http://localhost:1/v1", init="tiny").importance_cap == 2.0
    assert RLOOConfig(sampler_url="http://localhost:1/v1", init="tiny", importance_cap=3.0).importance_cap == 3.0


def test_a_missing_key_is_told_before_anything_is_played(folder, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ValueError, match=r"key of http://localhost:1/v1 in the environment variable MY_KEY, got none"):
        trained("grpo", folder, "http://localhost:1/v1", sampler_key_variable="MY_KEY")


def test_what_was_trained_plays_without_the_server(folder, tmp_path):
    with served(LanguageModel.load(folder)) as (_, stub):
        agent, _ = trained("rloo", folder, stub.url, env_turns=16)
    agent.save(tmp_path / "agent")
    shutil.rmtree(folder)
    assert torch.equal(weights(load_agent(tmp_path / "agent", echo_env())), weights(agent))
