"""A language model as stable-baselines3's policy: what it computes, refuses and saves, and that it learns."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sb3_contrib")

import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from dialogym.agents import LMActorCriticPolicy, load_agent, make_agent
from dialogym.agents.language_model.cache import RaggedCache
from dialogym.agents.language_model.observations import longest_only, num_common, num_real_tokens
from dialogym.envs.tokenizer import fit_tokenizer
from dialogym.evaluation.score import frozen_goals, score

from ..tiny_lm import WORDS, echo_env, tiny_model, tiny_tokenizer

LENGTH = 24
SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
QUICK: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "device": "cpu"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model whose words differ in probability."""
    path = tmp_path_factory.mktemp("model")
    tiny_model(tiny_tokenizer()).save(path)
    return str(path)


def tokens_env(folder: str | None, **options: Any) -> gym.Env[Any, Any]:
    echo_env()  # registers it
    made = {"interface": "tokens", "tokenizer": folder, "context_length": LENGTH, "max_reply_tokens": 3}
    return gym.make("TinyEcho-v0", **{**made, **options})


def many(folder: str, num_envs: int = 4, seed: int = 0) -> Any:
    echo_env()
    options = {"interface": "tokens", "tokenizer": folder, "context_length": LENGTH, "max_reply_tokens": 3}
    return make_vec_env("TinyEcho-v0", num_envs, seed=seed, env_kwargs=options)


def policy_of(folder: str | None, env: gym.Env[Any, Any] | None = None, **options: Any) -> LMActorCriticPolicy:
    env = tokens_env(folder) if env is None else env
    return LMActorCriticPolicy(env.observation_space, env.action_space, lambda _: 1e-3, model=folder, **options)


def observations_of(env: gym.Env[Any, Any], num_steps: int = 12) -> torch.Tensor:
    """(num_steps, T): what is seen while tokens are said at random; replies are of several lengths."""
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=0)
    seen = [observation]
    while len(seen) < num_steps:
        action = int(rng.choice(np.flatnonzero(info["action_mask"])))
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            observation, info = env.reset()
        seen.append(observation)
    return torch.from_numpy(np.stack(seen))


# What it computes


def test_probabilities_are_the_models_own_at_the_last_token_of_each_observation(folder: str) -> None:
    env, policy = tokens_env(folder), policy_of(folder)
    observations = observations_of(env)
    found = policy.get_distribution(observations).distribution.logits
    tokenizer = policy.lm.tokenizer
    allowed = [number for number in range(len(tokenizer)) if number not in tokenizer.forbidden_ids]
    for observation, logprobs in zip(observations, found, strict=True):
        ids = observation[observation != tokenizer.pad_id]  # here padding is a token of its own
        plain = policy.transformer(ids[None]).logits[0, -1, allowed]
        assert torch.allclose(logprobs[allowed], plain.log_softmax(-1), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_padding_does_not_leak_whatever_it_is(family: str, tmp_path: Path) -> None:
    tiny_model(tiny_tokenizer(), family).save(tmp_path)
    short, long = (tokens_env(str(tmp_path), context_length=length) for length in (LENGTH, 3 * LENGTH))
    policies = [policy_of(str(tmp_path), env) for env in (short, long)]
    seen = [observations_of(env) for env in (short, long)]
    found = [policy.extract_features(one) for policy, one in zip(policies, seen, strict=True)]
    assert torch.allclose(*found, atol=1e-5)
    alone = torch.cat([policies[0].extract_features(row[None]) for row in seen[0]])
    assert torch.allclose(alone, found[0], atol=1e-5)


def test_padding_that_equals_the_end_of_turn_or_what_a_conversation_opens_with_is_told_by_its_place() -> None:
    pad, other = 1, 5
    rows = np.array([[1, 1, 5, 1, 5], [5, 1, 5, 5, 5], [1, 5, 5, 5, 1], [1, 1, 1, 1, 1]])
    assert num_real_tokens(rows, pad, 0).tolist() == [3, 5, 4, 1]
    assert num_real_tokens(rows, pad, 1).tolist() == [4, 5, 5, 1]
    assert num_real_tokens(np.full((1, 3), other), pad, 1).tolist() == [3]


def test_a_tokenizer_that_pads_with_its_end_of_turn_gives_the_same(folder: str, tmp_path: Path) -> None:
    lm = tiny_model(tiny_tokenizer())
    lm.tokenizer.hf.pad_token = lm.tokenizer.hf.eos_token
    lm.save(tmp_path)
    env, same = tokens_env(folder), tokens_env(str(tmp_path))
    seen, as_padded = observations_of(env), observations_of(same)
    assert not torch.equal(seen, as_padded)
    found = policy_of(folder).extract_features(seen)
    assert torch.allclose(policy_of(str(tmp_path), same).extract_features(as_padded), found, atol=1e-6)


def test_of_sequences_that_begin_alike_the_longest_is_read() -> None:
    sequences = [np.array(ids) for ids in ([1], [1, 2, 3], [2, 9], [1, 2], [1, 3], [1, 2, 3], [2], [258, 1])]
    kept, places = longest_only(sequences)
    assert sorted(sequences[number].tolist() for number in kept) == [[1, 2, 3], [1, 3], [2, 9], [258, 1]]
    for sequence, place in zip(sequences, places, strict=True):
        assert sequences[kept[place]][: len(sequence)].tolist() == sequence.tolist()


def test_reading_only_the_longest_changes_no_gradient(folder: str) -> None:
    policy = policy_of(folder, value_gradients=True)
    torch.nn.init.normal_(policy.value_net.weight)
    observations = observations_of(tokens_env(folder))
    actions = torch.arange(len(observations)) % 2 + policy.lm.tokenizer.hf.convert_tokens_to_ids(WORDS[0])

    def gradients(batches: list[torch.Tensor]) -> list[torch.Tensor]:
        policy.zero_grad()
        for rows in batches:
            values, logprobs, entropies = policy.evaluate_actions(observations[rows], actions[rows])
            (logprobs.sum() + values.sum() + entropies.sum()).backward()
        return [weights.grad.clone() for weights in policy.parameters() if weights.grad is not None]

    everything = torch.arange(len(observations))
    together, one_by_one = gradients([everything]), gradients(list(everything[:, None]))
    assert len(together) == len(one_by_one) == len(list(policy.parameters()))
    for ours, theirs in zip(together, one_by_one, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_what_is_known_of_a_sequence_is_what_it_begins_with_and_never_its_last_token() -> None:
    known = np.array([1, 2, 3])
    for new, common in (([1, 2, 3, 4], 3), ([1, 2, 3], 2), ([1, 2], 1), ([1, 9, 3, 4], 1), ([9], 0), ([9, 2], 0)):
        assert num_common(known, np.array(new)) == common
    assert num_common(np.empty(0, dtype=np.int64), known) == 0


def followed_by(observations: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """What is seen after another token each."""
    return torch.cat([observations[:, 1:], tokens[:, None]], dim=1)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_while_it_plays_it_reads_only_what_is_new_and_sees_the_same(family: str, tmp_path: Path) -> None:
    tiny_model(tiny_tokenizer(), family).save(tmp_path)
    policy, seen = policy_of(str(tmp_path)), observations_of(tokens_env(str(tmp_path)), 4)
    lengths = (seen != policy.lm.tokenizer.pad_id).sum(1)
    num_read: list[int] = []
    policy.transformer.get_input_embeddings().register_forward_hook(
        lambda module, arguments, output: num_read.append(arguments[0].numel())
    )

    def cost() -> int:
        """Tokens that it reads to say the next ones; these are as if it had read everything."""
        nonlocal seen
        with torch.no_grad():
            num_read.clear()
            actions, values, logprobs = policy(seen)
            cost = sum(num_read)
            again = policy.evaluate_actions(seen, actions)
        assert torch.allclose(logprobs, again[1], atol=1e-5)
        assert torch.allclose(values, again[0], atol=1e-5)
        seen = followed_by(seen, actions)
        return cost

    assert cost() == 4 * lengths.max()
    assert [cost(), cost()] == [4, 4]
    begun_anew = observations_of(tokens_env(str(tmp_path)), 1)
    seen = torch.cat([seen[:1], begun_anew, seen[2:]])
    assert cost() == 3 + lengths[0] - num_common(*policy.reader.sequences(torch.cat([seen[1:2], begun_anew])))
    seen = seen[[3, 0]]  # fewer rows, others in their places
    assert cost() > 10
    assert cost() == 2
    with torch.no_grad():
        policy.transformer.get_input_embeddings().weight.add_(0.1)  # what was read is of no use any more
    assert cost() > 10


class Rollouts(BaseCallback):
    """Looks at every rollout before it is learned from."""

    def __init__(self) -> None:
        super().__init__()
        self.differences: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        policy, buffer = self.model.policy, self.model.rollout_buffer
        policy.set_training_mode(True)  # as updates do
        kept = {name: getattr(buffer, name).copy() for name in ("observations", "actions", "log_probs", "values")}
        masks = getattr(buffer, "action_masks", None)
        with torch.no_grad():
            for row in range(buffer.n_envs):
                observations = torch.from_numpy(kept["observations"][:, row])
                actions = torch.from_numpy(kept["actions"][:, row, 0]).long()
                extra = {} if masks is None else {"action_masks": masks[:, row]}
                values, logprobs, _ = policy.evaluate_actions(observations, actions, **extra)
                self.differences.append(float((logprobs - torch.from_numpy(kept["log_probs"][:, row])).abs().max()))
                self.differences.append(float((values[:, 0] - torch.from_numpy(kept["values"][:, row])).abs().max()))


def test_after_a_failure_it_does_not_go_on_from_what_was_half_read(folder: str, monkeypatch: Any) -> None:
    reader = policy_of(folder).reader
    first, other, longer = (np.array(tokens) for tokens in ([1, 2, 3, 4, 5], [1, 6, 7, 3], [1, 2, 3, 4, 5, 6]))
    reader.read_on([first])
    with monkeypatch.context() as failing:
        failing.setattr(RaggedCache, "commit", lambda cache, num_tokens: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reader.read_on([other])
    for found, expected in zip(reader.read_on([longer]), reader.read([longer]), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


def by_vector(policy: LMActorCriticPolicy) -> None:
    policy.load_from_vector(policy.parameters_to_vector() * 1.5)


def by_state(policy: LMActorCriticPolicy) -> None:
    policy.load_state_dict({name: 1.5 * weights for name, weights in policy.state_dict().items()})


def in_their_data(policy: LMActorCriticPolicy) -> None:
    for weights in policy.parameters():
        weights.data.mul_(1.5)


def as_other_data(policy: LMActorCriticPolicy) -> None:
    for weights in policy.parameters():
        weights.data = 1.5 * weights.data


@pytest.mark.parametrize("change", [by_vector, by_state, in_their_data, as_other_data])
def test_what_was_read_is_forgotten_however_weights_are_changed(folder: str, change: Any) -> None:
    policy, sequence = policy_of(folder), [np.array([1, 2, 3, 4, 5])]
    before = policy.reader.read_on(sequence)[0]
    change(policy)
    after = policy.reader.read_on(sequence)[0]
    assert torch.allclose(after, policy.reader.read(sequence)[0], atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)


def test_what_was_read_is_forgotten_where_an_adapter_is_switched_off(folder: str) -> None:
    pytest.importorskip("peft")
    policy, sequence = policy_of(folder, lora_rank=2), [np.array([1, 2, 3, 4, 5])]
    with torch.no_grad():
        for weights in policy.lm.trainable_parameters():
            weights.fill_(0.5)
    adapted = policy.reader.read_on(sequence)[0]
    with policy.lm.model.disable_adapter():
        plain = policy.reader.read_on(sequence)[0]
        assert torch.allclose(plain, policy.reader.read(sequence)[0], atol=1e-5)
    assert not torch.allclose(plain, adapted, atol=1e-2)
    assert torch.allclose(policy.reader.read_on(sequence)[0], adapted, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("algorithm", [PPO, A2C, MaskablePPO])
def test_updates_begin_from_the_probabilities_that_were_sampled(algorithm: Any, family: str, tmp_path: Path) -> None:
    dropout = {"resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3} if family == "gpt2" else {}
    tiny_model(tiny_tokenizer(), family, **dropout).save(tmp_path)
    settings = {**QUICK, "learning_rate": 1e-2}
    if algorithm is A2C:
        settings = {"n_steps": 16, "device": "cpu"}
    model = algorithm(
        LMActorCriticPolicy, many(str(tmp_path)), policy_kwargs={"model": str(tmp_path)}, seed=0, **settings
    )
    rollouts = Rollouts()
    model.learn(3 * 64, callback=rollouts)
    assert len(rollouts.differences) == 3 * 4 * 2
    assert max(rollouts.differences) < 1e-5


def test_in_double_precision_nothing_is_left_of_the_difference(folder: str) -> None:
    policy, observations = policy_of(folder), observations_of(tokens_env(folder))
    policy.double()
    actions, values, logprobs = policy(observations)
    again = policy.evaluate_actions(observations, actions)
    assert torch.equal(again[0], values)
    assert torch.equal(again[1], logprobs)
    singly = torch.cat([policy.extract_features(row[None]) for row in observations])
    assert torch.allclose(singly, policy.extract_features(observations), atol=1e-12, rtol=0)


def test_rows_of_the_model_beyond_the_vocabulary_are_never_said(folder: str, tmp_path: Path) -> None:
    lm = tiny_model(tiny_tokenizer())
    lm.model.resize_token_embeddings(200)
    lm.save(tmp_path)
    policy, observations = policy_of(str(tmp_path)), observations_of(tokens_env(folder))
    distribution = policy.get_distribution(observations).distribution
    assert distribution.logits.shape == (len(observations), 8)
    assert torch.allclose(distribution.probs.sum(-1), torch.ones(len(observations)))
    assert policy(observations.repeat(20, 1))[0].max() < 8


# Masks


def test_what_may_not_be_said_is_never_said_and_has_no_part_in_the_entropy(folder: str) -> None:
    env, policy = tokens_env(folder), policy_of(folder)
    observations = observations_of(env, 2).repeat(200, 1)
    said = policy(observations)[0]
    allowed = set(np.flatnonzero(env.reset(seed=0)[1]["action_mask"]))
    assert set(said.tolist()) == allowed  # of three tokens, in 400 draws
    entropy = policy.evaluate_actions(observations[:1], said[:1])[2]
    assert 0 < entropy.item() < np.log(len(allowed))


def test_masks_of_the_caller_count_too(folder: str) -> None:
    policy, observations = policy_of(folder), observations_of(tokens_env(folder), 50)
    red, blue = policy.lm.tokenizer.hf.convert_tokens_to_ids(list(WORDS))
    masks = np.zeros((50, len(policy.lm.tokenizer)), dtype=bool)
    masks[:, [red, blue]] = True
    actions, _, logprobs = policy(observations, action_masks=masks)
    assert set(actions.tolist()) == {red, blue}
    free = policy.get_distribution(observations).distribution.logits
    expected = free - free[:, [red, blue]].logsumexp(-1, keepdim=True)
    assert torch.allclose(logprobs, expected.gather(1, actions[:, None])[:, 0], atol=1e-5)
    masks[:, red] = False
    assert set(policy.predict(observations.numpy(), action_masks=masks)[0].tolist()) == {blue}


def test_maskable_ppo_uses_the_masks_of_the_environment(folder: str) -> None:
    class OneWord(gym.Wrapper):
        def action_masks(self) -> np.ndarray:
            mask = self.env.get_wrapper_attr("action_masks")()
            mask[self.env.unwrapped.tokenizer.hf.convert_tokens_to_ids(WORDS[0])] = False
            return mask

    env = OneWord(tokens_env(folder))
    model = MaskablePPO(LMActorCriticPolicy, env, policy_kwargs={"model": folder}, seed=0, **QUICK)
    model.learn(32)
    said = set(model.rollout_buffer.actions.flatten().astype(int).tolist())
    red, blue = model.policy.lm.tokenizer.hf.convert_tokens_to_ids(list(WORDS))
    assert red not in said
    assert blue in said


def test_the_masks_of_our_environments_change_nothing_for_they_hold_without_them(folder: str) -> None:
    learned = []
    for algorithm in (PPO, MaskablePPO):
        model = algorithm(LMActorCriticPolicy, many(folder), policy_kwargs={"model": folder}, seed=0, **QUICK)
        learned.append(model.learn(128).policy.parameters_to_vector())
    assert np.allclose(*learned, atol=1e-6)


# As stable-baselines3 is used


def test_deterministic_is_the_likeliest_token_and_predict_takes_one_observation_or_many(folder: str) -> None:
    policy, observations = policy_of(folder), observations_of(tokens_env(folder))
    likeliest = policy.get_distribution(observations).distribution.logits.argmax(-1).numpy()
    assert policy.predict(observations.numpy(), deterministic=True)[0].tolist() == likeliest.tolist()
    one = policy.predict(observations[0].numpy(), deterministic=True)[0]
    assert (one.shape, one.item()) == ((), likeliest[0])


def test_an_agent_that_is_handed_the_policy_says_the_same_and_expects_the_same(folder: str, tmp_path: Path) -> None:
    model = PPO(LMActorCriticPolicy, many(folder), policy_kwargs={"model": folder}, seed=0, **QUICK)
    torch.nn.init.normal_(model.policy.value_net.weight)
    model.learn(64)
    text = gym.make("TinyEcho-v0", interface="text")
    agent = model.policy.hand_to(make_agent("ppo", text, model=folder, max_reply_tokens=3))
    agent.save(tmp_path)
    goals = frozen_goals(text, "test", 4).goals
    scores, again = (score(one, text, goals) for one in (agent, load_agent(tmp_path, text)))
    expected, said = [], []
    env = tokens_env(folder)
    for goal_id, noise_seed in goals:
        observation, _ = env.reset(seed=noise_seed, options={"goal_id": goal_id})
        expected.append(model.policy.predict_values(torch.from_numpy(observation[None])).item())
        over = False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, _ = env.step(int(action))
            over = terminated or truncated
        said += env.unwrapped.transcript.replies
    assert scores.replies == said
    assert scores.values is not None
    assert scores.values == pytest.approx(expected, abs=1e-5)
    assert again.values == pytest.approx(expected, abs=1e-5)
    assert len(set(np.round(expected, 5))) > 1
    before = agent.lm.model.lm_head.weight.clone()
    model.learn(64)
    assert torch.equal(before, agent.lm.model.lm_head.weight)  # it is a copy
    with pytest.raises(TypeError, match="speaks with a language model"):
        model.policy.hand_to(make_agent("random", text))


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_what_was_saved_loads_acts_alike_and_learns_on_alike(algorithm: Any, folder: str, tmp_path: Path) -> None:
    model = algorithm(LMActorCriticPolicy, many(folder), policy_kwargs={"model": folder}, seed=0, **QUICK)
    model.learn(64)
    model.save(tmp_path / "model.zip")
    loaded = algorithm.load(tmp_path / "model.zip", device="cpu")
    trained, read = (copy.deepcopy(one.policy.state_dict()) for one in (model, loaded))
    assert list(trained) == list(read)
    assert all(torch.equal(trained[name], read[name]) for name in trained)
    assert not torch.equal(trained["transformer.lm_head.weight"], tiny_model(tiny_tokenizer()).model.lm_head.weight)
    observations = observations_of(tokens_env(folder)).numpy()
    assert np.array_equal(*(one.predict(observations, deterministic=True)[0] for one in (model, loaded)))
    for one in (model, loaded):
        one.set_env(many(folder, seed=5))
        one.set_random_seed(5)
        one.learn(64, reset_num_timesteps=False)
    after, after_loading = (one.policy.state_dict() for one in (model, loaded))
    assert not torch.equal(trained["value_net.weight"], after["value_net.weight"])
    assert all(torch.equal(after[name], after_loading[name]) for name in after)  # Adam's moments came along


def test_a_folder_that_has_moved_can_be_named_when_loading(folder: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    tiny_model(tiny_tokenizer()).save(old)
    model = PPO(LMActorCriticPolicy, tokens_env(folder), policy_kwargs={"model": str(old)}, **QUICK)
    model.save(tmp_path / "model.zip")
    old.rename(new)
    with pytest.raises(OSError, match=r"custom_objects.* with all else that was in policy_kwargs"):
        PPO.load(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", custom_objects={"policy_kwargs": {"model": str(new)}}, device="cpu")
    assert loaded.policy.lm.tokenizer.fingerprint == model.policy.lm.tokenizer.fingerprint


def test_the_policy_alone_saves_and_loads_and_is_copied_whole(folder: str, tmp_path: Path) -> None:
    policy, observations = policy_of(folder, value_gradients=True), observations_of(tokens_env(folder))
    torch.nn.init.normal_(policy.value_net.weight)
    policy.save(str(tmp_path / "policy.pt"))
    for other in (LMActorCriticPolicy.load(str(tmp_path / "policy.pt"), device="cpu"), copy.deepcopy(policy)):
        assert other.value_gradients
        assert other.lm.model is other.transformer is not policy.transformer
        assert torch.equal(other.predict_values(observations), policy.predict_values(observations))


def test_what_it_learned_is_a_folder_of_transformers_to_go_on_from(folder: str, tmp_path: Path) -> None:
    model = PPO(LMActorCriticPolicy, many(folder), policy_kwargs={"model": folder}, **QUICK)
    model.learn(64)
    model.policy.lm.save(tmp_path)
    observations = observations_of(tokens_env(folder))
    again = policy_of(str(tmp_path))
    assert torch.equal(again.extract_features(observations), model.policy.extract_features(observations))


def test_without_a_model_it_is_a_small_one_whose_weights_follow_the_seed(folder: str) -> None:
    def embeddings(seed: int) -> torch.Tensor:
        options = {"tokenizer": folder, **SMALL}
        model = PPO(LMActorCriticPolicy, tokens_env(folder), policy_kwargs=options, seed=seed, **QUICK)
        assert model.policy.features_dim == 16
        return model.policy.transformer.get_input_embeddings().weight

    assert torch.equal(embeddings(0), embeddings(0))
    assert not torch.equal(embeddings(0), embeddings(1))


def test_the_optimizer_has_every_trainable_weight_once(folder: str) -> None:
    policy = policy_of(folder, optimizer_class=torch.optim.AdamW, optimizer_kwargs={"weight_decay": 0.5})
    assert isinstance(policy.optimizer, torch.optim.AdamW)
    (group,) = policy.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0.5)
    assert sorted(map(id, group["params"])) == sorted(map(id, policy.parameters()))
    assert policy_of(folder).optimizer.param_groups[0]["eps"] == 1e-5


@pytest.mark.parametrize("value_gradients", [False, True])
def test_the_value_loss_trains_the_language_model_only_where_it_is_asked_to(folder: str, value_gradients: bool) -> None:
    policy = policy_of(folder, value_gradients=value_gradients)
    torch.nn.init.normal_(policy.value_net.weight)
    policy.predict_values(observations_of(tokens_env(folder))).sum().backward()
    assert (policy.transformer.get_input_embeddings().weight.grad is not None) == value_gradients
    assert policy.value_net.weight.grad is not None


# What it refuses


def test_a_model_of_another_vocabulary_is_refused_with_the_way_out(folder: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"speaks [\d,]+ tokens and the model '{folder}' 8: pass gym.make.*tokenizer="
    ):
        policy_of(folder, tokens_env(None))
    with pytest.raises(ValueError, match=r"speaks 8 tokens and the small model [\d,]+: pass policy_kwargs="):
        policy_of(None, tokens_env(folder))


def test_as_many_tokens_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    for name, text in (("one", "a red bus"), ("other", "the blue car")):
        fit_tokenizer([text], tmp_path / name, size=262, whole=text.split())
    env = tokens_env(str(tmp_path / "one"))
    with pytest.raises(ValueError, match=r"speaks 265 tokens of one vocabulary and the small model as many of another"):
        policy_of(None, env, tokenizer=str(tmp_path / "other"), **SMALL)
    assert env.action_space == tokens_env(str(tmp_path / "one")).action_space == gym.spaces.Discrete(265)
    assert env.action_space != tokens_env(str(tmp_path / "other")).action_space
    policy_of(None, env, tokenizer=str(tmp_path / "one"), **SMALL)


@pytest.mark.parametrize("interface", ["text", "choices"])
def test_other_interfaces_are_refused(folder: str, interface: str) -> None:
    env = gym.make("dialogym:TextDialog-v0", interface=interface)
    with pytest.raises(ValueError, match="expected an environment made with interface='tokens', got observations in"):
        policy_of(folder, env)


def test_observations_longer_than_the_models_context_are_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="at most 512 tokens, the environment shows 513: pass context_length=512"):
        policy_of(folder, tokens_env(folder, context_length=513))


def test_options_of_other_policies_are_refused(folder: str) -> None:
    with pytest.raises(TypeError, match="takes no 'net_arch': expected model, value_gradients"):
        policy_of(folder, net_arch=[64])
    with pytest.raises(TypeError, match="value_gradients must be True or False, got 'no'"):
        policy_of(folder, value_gradients="no")
    with pytest.raises(TypeError, match="takes no 'max_reply_tokens': replies are limited by the environment"):
        policy_of(folder, max_reply_tokens=5)
    with pytest.raises(ValueError, match="tokenizer is for model=None"):
        policy_of(folder, tokenizer=folder)
    with pytest.raises(ValueError, match="use_sde must be False"):
        policy_of(folder, use_sde=True)


def test_agents_loads_nothing_heavy_until_the_policy_is_asked_for() -> None:
    code = (
        "import sys, dialogym, dialogym.agents as agents; heavy = {'torch', 'stable_baselines3', 'transformers'}; "
        "assert 'LMActorCriticPolicy' in agents.__all__; assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# That it learns


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_to_repeat_what_it_hears(seed: int, tmp_path: Path) -> None:
    """Two words to be said back, one point each; who does not listen gets one on average, at best."""
    tiny_model(tiny_tokenizer(), seed=seed).save(tmp_path)
    model = PPO(
        LMActorCriticPolicy, many(str(tmp_path), 16, seed), n_steps=32, batch_size=256, n_epochs=4, learning_rate=3e-3,
        gamma=1.0, ent_coef=0.02, policy_kwargs={"model": str(tmp_path)}, seed=seed, device="cpu",
    )  # fmt: skip
    before, _ = evaluate_policy(model, many(str(tmp_path), 4, seed=100), 60, deterministic=False)
    model.learn(4096)
    after, _ = evaluate_policy(model, many(str(tmp_path), 4, seed=100), 60, deterministic=False)
    assert before < 0.5
    assert after > 1.4
