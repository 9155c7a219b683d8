"""Sampling with a cache says what the model says without one, and what is saved is what transformers loads."""

import dataclasses
import logging
import random
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import gymnasium as gym
import torch
import transformers

from dialogym.agents import load_agent, make_agent
from dialogym.agents.base import CutShort
from dialogym.agents.language_model import exactness
from dialogym.agents.language_model import sampler as sampling
from dialogym.agents.language_model.cache import FULL, Attention, num_positions
from dialogym.agents.language_model.critic import ValueHead
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.model import LanguageModel, ModelConfig
from dialogym.agents.language_model.sampler import GenerateSampler, RaggedSampler, new_sampler, pad
from dialogym.agents.language_model.sft import SFTAgent
from dialogym.envs import remake_vec
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import tiny_model, tiny_tokenizer, tiny_transformer

FAMILIES = ["llama", "gpt2", "qwen2"]
ATTENTIONS = [
    ("llama", "sdpa"), ("llama", "eager"), ("gpt2", "eager"), ("mistral", "sdpa"), ("mistral", "eager"),
    ("gemma3_text", "sdpa"), ("gemma3_text", "eager"), ("qwen2-sliding", "sdpa"), ("phi", "eager"), ("phi3", "sdpa"),
    ("opt", "sdpa"), ("gemma2", "eager"), ("cohere", "sdpa"), ("granite", "sdpa"), ("gemma3n_text", "sdpa"),
]  # fmt: skip
OTHERS = ["bloom", "falcon", "gpt_neo", "mamba"]


def terse(family, attention=None):
    """A model that ends its turns often, so that replies differ in length."""
    tokenizer = load_tokenizer()
    model = (
        tiny_model(tokenizer, family).model
        if attention is None
        else tiny_transformer(family, len(tokenizer), attention)
    )
    head = model.get_output_embeddings()
    bias = torch.zeros(len(tokenizer)) if head.bias is None else head.bias.detach()
    head.bias = torch.nn.Parameter(bias.index_fill(0, torch.tensor(tokenizer.end_id), 3.0))
    return LanguageModel(model, tokenizer)


def states_of(lm, ids):
    """(B, T, D): the hidden states of a whole, in one pass."""
    _, states = lm.forward.logits_and_states(ids, torch.ones_like(ids, dtype=torch.bool))
    return states.view(*ids.shape, -1)


class Talk:
    """What was read and said in one conversation, to be checked against a forward pass of the whole."""

    def __init__(self):
        self.ids, self.mask, self.logprobs, self.states = [], [], [], []

    def take(self, prompt, ids, logprobs, state):
        self.ids += prompt + ids
        self.mask += [False] * len(prompt) + [True] * len(ids)
        self.logprobs += logprobs
        self.states.append((len(self.ids) - len(ids) - 1, state))


def turns(num_conversations, reply=0):
    """The same reply of so many conversations."""
    return [Turn(number, reply) for number in range(num_conversations)]


def talk(lm, temperature, rng, num_turns=4):
    """Conversations of different lengths, of which some end and others begin as the turns go by."""
    sampler = new_sampler(lm, 9, 6, temperature)
    rows, finished = [Talk() for _ in range(9)], []
    for turn in range(num_turns):
        prompts = [[rng.randrange(300, 900) for _ in range(rng.randint(1, 12))] for _ in rows]
        replies = sampler.reply(prompts, turns(len(rows), turn))
        columns = (prompts, replies.ids.tolist(), replies.logprobs.tolist(), replies.lengths.tolist(), replies.hidden)
        for row, prompt, ids, logprobs, length, state in zip(rows, *columns, strict=True):
            row.take(prompt, ids[:length], logprobs[:length], state)
        stay = rng.sample(range(len(rows)), len(rows) - 2)
        finished += [row for number, row in enumerate(rows) if number not in stay]
        sampler.keep([*stay, -1])
        rows = [*[rows[number] for number in stay], Talk()]
        assert sampler.num_read == [len(row.ids) for row in rows]
    return finished + [row for row in rows if row.ids]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_logprobs_are_those_of_a_forward_pass_of_the_whole(family, temperature, monkeypatch):
    monkeypatch.setattr(sampling, "READ_TOGETHER", 4)
    lm = terse(family)
    talks = talk(lm, temperature, random.Random(0))
    lengths = {sum(talk.mask) for talk in talks}
    assert len(lengths) > 3  # ragged
    for one in talks:
        ids, mask = torch.tensor([one.ids]), torch.tensor([one.mask])
        with torch.no_grad():
            hidden = states_of(lm, ids)
            logprobs = lm.token_logprobs(ids, mask, temperature).logprobs
        assert torch.allclose(logprobs, torch.tensor(one.logprobs), atol=1e-4)
        for position, state in one.states:
            assert torch.allclose(hidden[0, position], state, atol=1e-4)


def test_rows_that_are_read_together_are_few_and_alike_in_length():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert sampling.alike([300, 1300, 290, 310], cpu) == [[2, 0, 3], [1]]  # 10 + 2 x 10 tokens of padding
    assert sampling.alike([300, 1300, 290, 310], gpu) == [[2, 0, 3, 1]]
    assert [len(group) for group in sampling.alike([7] * 150, cpu)] == [64, 64, 22]
    assert sampling.alike([], cpu) == []
    rng = random.Random(0)
    lengths = [rng.randrange(1, 400) for _ in range(200)]
    groups = sampling.alike(lengths, cpu)
    assert sorted(row for group in groups for row in group) == list(range(200))
    for group in groups:
        longest = max(lengths[row] for row in group)
        assert sum(longest - lengths[row] for row in group) <= sampling.MOST_PADDING_ON_CPU


@pytest.mark.parametrize("family", ["llama", "opt-projected"])
def test_a_critic_is_as_wide_as_the_states_that_it_reads(family):
    lm = terse(family, "sdpa")
    replies = new_sampler(lm, 2, 4).reply([[400], [500, 501]], turns(2))
    assert replies.hidden.shape == (2, lm.hidden_size)


@pytest.mark.parametrize(("family", "attention"), ATTENTIONS)
def test_sampled_logprobs_are_those_that_are_trained_on_beyond_the_window_and_under_eager_attention(family, attention):
    lm = terse(family, attention)
    assert lm.model.config._attn_implementation == attention
    talks = talk(lm, 1.0, random.Random(0), num_turns=6)
    assert max(len(one.ids) for one in talks) > 3 * 16
    ids, _ = pad([one.ids for one in talks], lm.tokenizer.pad_id)
    mask, _ = pad([one.mask for one in talks], False, torch.bool)
    with torch.no_grad():
        logprobs = lm.token_logprobs(ids, mask).logprobs
    sampled = torch.tensor([logprob for one in talks for logprob in one.logprobs])
    assert torch.allclose(logprobs, sampled, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_at_temperature_zero_every_token_is_the_likeliest(family):
    lm = terse(family)
    for one in talk(lm, 0.0, random.Random(1)):
        ids, mask = torch.tensor([one.ids]), torch.tensor([one.mask])
        with torch.no_grad():
            best = lm.possible(lm.logits(ids, mask)).argmax(-1)
        assert best.tolist() == ids[mask].tolist()


def test_a_reply_ends_with_its_end_of_turn_token_or_at_the_limit_and_has_no_other_marker():
    lm = terse("llama")
    replies = RaggedSampler(lm, 200, 5).reply([[400]] * 200, turns(200))
    said = [ids[:length] for ids, length in zip(replies.ids.tolist(), replies.lengths.tolist(), strict=True)]
    assert {len(ids) for ids in said} == {1, 2, 3, 4, 5}
    assert all(lm.tokenizer.end_id not in ids[:-1] for ids in said)
    assert all(ids[-1] == lm.tokenizer.end_id for ids in said if len(ids) < 5)
    assert not {token for ids in said for token in ids} & set(lm.tokenizer.forbidden_ids)


def test_peeking_leaves_the_conversations_as_they_were():
    lm = terse("llama")
    results = []
    for peek in (False, True):
        sampler = RaggedSampler(lm, 3, 4, temperature=0.0)
        sampler.reply([[400], [500, 501], [600]], turns(3))
        if peek:
            sampler.peek([2, 0], [[700, 701, 702], [800]])
        results.append(sampler.reply([[310], [320], [330, 331]], turns(3, 1)).logprobs)
    assert torch.equal(*results)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", OTHERS)
def test_another_model_is_sampled_by_generate_with_the_logprobs_that_it_is_trained_on(family, temperature, caplog):
    with caplog.at_level(logging.INFO):
        lm = terse(family, "eager")
    assert not lm.keeps_what_it_read
    assert f"{type(lm.model).__name__} is sampled by transformers' generate" in caplog.text
    talks = talk(lm, temperature, random.Random(0))
    assert len({sum(talk.mask) for talk in talks}) > 3  # ragged
    for one in talks:
        ids, mask = torch.tensor([one.ids]), torch.tensor([one.mask])
        with torch.no_grad():
            hidden, logprobs = states_of(lm, ids), lm.token_logprobs(ids, mask, temperature).logprobs
        assert torch.allclose(logprobs, torch.tensor(one.logprobs), atol=1e-4)
        for position, state in one.states:
            assert torch.allclose(hidden[0, position], state, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_both_samplers_say_the_same_where_both_are_exact(temperature):
    lm = terse("llama")
    results = []
    for kind in (RaggedSampler, GenerateSampler):
        sampler = kind(lm, 5, 6, temperature)
        first = sampler.reply([[400], [500, 501], [600] * 7, [700, 701], [800]], turns(5))
        sampler.keep([3, 0, -1, 2])
        states = sampler.peek([2, 0], [[410, 411], [510]])
        second = sampler.reply([[310], [320], [330, 331], [340]], turns(4, 1))
        said = [
            ids[:n] for got in (first, second) for ids, n in zip(got.ids.tolist(), got.lengths.tolist(), strict=True)
        ]
        results.append((said, torch.cat([states, first.hidden, second.hidden]), sampler.num_read))
    (said, states, num_read), (said_too, states_too, num_read_too) = results
    assert said == said_too
    assert len({len(ids) for ids in said}) > 1
    assert num_read == num_read_too
    assert torch.allclose(states, states_too, atol=1e-4)


def test_generate_draws_from_the_distribution_whatever_settings_the_model_brings_along():
    lm = terse("llama")
    lm.model.generation_config.update(do_sample=False, top_k=1, repetition_penalty=5.0, temperature=0.1)
    brought = lm.model.generation_config
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    draws = [GenerateSampler(lm, 400, 2, 1.0, seed).reply([[400]] * 400, turns(400)) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(2), expected)  # torch's own generator was left alone
    assert torch.equal(draws[0].ids, draws[1].ids)
    assert not torch.equal(draws[0].ids, draws[2].ids)
    assert len(draws[0].ids[:, 0].unique()) > 20
    assert not set(draws[0].ids.flatten().tolist()) - {lm.tokenizer.pad_id} & set(lm.tokenizer.forbidden_ids)
    share = (draws[0].ids[:, 0] == lm.tokenizer.end_id).float().mean().item()
    ids, mask = torch.tensor([[400, lm.tokenizer.end_id]]), torch.tensor([[False, True]])
    probability = lm.token_logprobs(ids, mask).logprobs.exp().item()
    assert share == pytest.approx(probability, abs=4 * (probability * (1 - probability) / 400) ** 0.5)
    assert lm.model.generation_config is brought


@pytest.mark.parametrize(
    ("family", "attention", "wrong"),
    [
        ("llama", "eager", {"additive": None}),  # the masks' 0 and 1 are added: the future leaks
        ("mistral", "sdpa", {"window": None}),  # sampled with all that came before, trained with the window
        ("gemma3_text", "sdpa", {"kinds": (FULL,), "by_kind": False}),
    ],
)
def test_a_model_whose_cache_is_wrong_is_sampled_by_generate_and_refused_where_that_is_wrong_too(
    family, attention, wrong, monkeypatch
):
    tokenizer, right, generate = load_tokenizer(), Attention.of, exactness.generate
    model = tiny_transformer(family, len(tokenizer), attention)
    assert LanguageModel(model, tokenizer).keeps_what_it_read
    monkeypatch.setattr(Attention, "of", lambda *settings: dataclasses.replace(right(*settings), **wrong))
    assert not LanguageModel(model, tokenizer).keeps_what_it_read

    def hotter(*args):
        found = generate(*args)
        return found._replace(logprobs=found.logprobs / 2)

    monkeypatch.setattr(exactness, "generate", hotter)
    with pytest.raises(
        ValueError, match=r"expected the same log-probabilities from .* nats when it keeps .* nats from its generate"
    ):
        LanguageModel(model, tokenizer)


def test_the_check_leaves_the_model_and_the_random_numbers_as_they_were():
    tokenizer = load_tokenizer()
    model = tiny_transformer("gemma3_text", len(tokenizer)).train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    LanguageModel(model, tokenizer)
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    assert model.config.sliding_window == 16


def test_a_context_ends_where_rotary_positions_are_scaled_anew():
    tokenizer = load_tokenizer()
    scaling = {"rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 64}
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    model = tiny_transformer(
        "phi3", len(tokenizer), rope_parameters={**scaling, **factors}, original_max_position_embeddings=64
    )
    assert LanguageModel(model, tokenizer).max_context == 64


def test_a_context_ends_where_alibi_or_the_most_relevant_tokens_do():
    assert num_positions(transformers.MptConfig(max_seq_len=64)) == 64
    assert num_positions(transformers.AutoConfig.for_model("deepseek_v32", index_topk=24)) == 24
    assert (
        num_positions(transformers.AutoConfig.for_model("deepseek_v32", max_position_embeddings=16, index_topk=24))
        == 16
    )
    assert num_positions(SimpleNamespace()) is None


# The agent


@pytest.fixture
def folder(tmp_path):
    tiny_model(load_tokenizer(), initializer_range=0.5).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def play(agent, forget, num_rows=6):
    """All that is said in conversations that end at different times, in an order that changes."""
    envs = remake_vec("TextDialog-v0", num_rows, interface="text", autoreset_mode="Disabled", max_turns=6)
    envs.reset(seed=0)
    going, rng = list(range(num_rows)), random.Random(0)
    lengths = {row: 2 + row for row in going}
    for turn in range(6):
        going = [row for row in going if turn < lengths[row]]
        rng.shuffle(going)
        if forget:
            agent.forget()
        infos = [{"messages": envs.messages(row)} for row in going]
        replies = dict(zip(going, agent.act_batch([""] * len(going), infos), strict=True))
        envs.step([replies.get(row, "okay .") if not envs.transcripts[row].ended else None for row in range(num_rows)])
        going = [row for row in going if not envs.transcripts[row].ended]
    return [transcript.replies for transcript in envs.transcripts]


def test_recognising_conversations_changes_nothing_but_the_time(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=1.0).save(tmp_path)  # whose words have one spelling in tokens
    agent = make_agent("sft", "TextDialog-v0", model=str(tmp_path), temperature=0.0, max_reply_tokens=8)
    said = play(agent, forget=False)
    assert said == play(agent, forget=True)
    assert len({reply for replies in said for reply in replies}) > 5


def test_an_agent_acts_on_one_conversation_as_on_many(folder):
    agent = make_agent("sft", "TextDialog-v0", model=folder, temperature=0.0)
    env = gym.make("TextDialog-v0", interface="text")
    observation, info = env.reset(seed=0)
    assert agent.act(observation, info) == agent.act_batch([observation] * 2, [info] * 2)[1]


def test_a_reply_that_ends_at_the_limit_tells_so_and_is_the_beginning_of_a_longer_one():
    env, lm = gym.make("TextDialog-v0", interface="text"), terse("llama")
    infos = [env.reset(seed=seed)[1] for seed in range(20)]

    def replies(limit):
        agent = make_agent("sft", env, temperature=1.0, max_reply_tokens=limit)
        agent.take_over(lm)
        return agent.act_batch([""] * 20, infos)

    short, long = replies(6), replies(400)
    cut = [isinstance(reply, CutShort) for reply in short]
    assert 0 < sum(cut) < len(cut)
    assert cut == [len(whole) > len(reply) for whole, reply in zip(long, short, strict=True)]
    assert not any(isinstance(reply, CutShort) for reply in long)


def test_a_conversation_longer_than_the_context_is_read_from_its_latest_part(tmp_path):
    tiny_model(load_tokenizer(), max_position_embeddings=64).save(tmp_path)
    agent = make_agent("sft", "TextDialog-v0", model=str(tmp_path), max_reply_tokens=8)
    messages = [{"role": "user", "content": "hello there"}]
    for _ in range(12):
        reply = agent.act("", {"messages": messages})
        assert agent._sampler.num_read[0] <= 64
        messages = [*messages, {"role": "assistant", "content": reply}, {"role": "user", "content": "a long tale " * 4}]


def test_what_a_conversation_is_worth_is_asked_where_its_reply_begins_and_not_of_half_of_it(tmp_path):
    tiny_model(load_tokenizer(), max_position_embeddings=64).save(tmp_path)
    agent = make_agent("ppo", "TextDialog-v0", init=str(tmp_path), max_reply_tokens=8)
    agent.critic = ValueHead(agent.lm.hidden_size)
    torch.nn.init.normal_(agent.critic.linear.weight)
    messages = [{"role": role, "content": "hello there, you all"} for role in ("user", "assistant") * 3][:-1]
    ids = agent.lm.tokenizer.encode_conversation(messages)
    assert 56 // 2 < len(ids) <= 56  # more than half of the room, and no more than it
    expected = agent.critic(states_of(agent.lm, torch.tensor([ids]))[0, -1])
    assert agent.value_batch([""], [{"messages": messages}]) == pytest.approx([expected.item()], abs=1e-4)


def test_a_saved_agent_is_a_folder_of_transformers(folder, tmp_path):
    agent = make_agent("sft", "TextDialog-v0", model=folder, demonstrations=12)
    agent.save(tmp_path / "agent")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "agent")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "agent")
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], return_tensors="pt", return_dict=True)
    with torch.no_grad():
        assert torch.equal(model(**ids).logits, agent.lm.model(**ids).logits)
    again = load_agent(tmp_path / "agent")
    assert isinstance(again, SFTAgent)
    assert again.config == agent.config
    assert torch.equal(again.lm.model.get_output_embeddings().weight, agent.lm.model.get_output_embeddings().weight)


def test_an_agent_loads_where_the_model_it_started_from_is_gone(tmp_path):
    tiny_model(tiny_tokenizer()).save(tmp_path / "start")
    make_agent("ppo", "TextDialog-v0", init=str(tmp_path / "start")).save(tmp_path / "agent")
    (tmp_path / "start").rename(tmp_path / "elsewhere")
    assert load_agent(tmp_path / "agent").lm.model.config.hidden_size == 16


SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def test_a_model_that_reads_pictures_too_plays_and_is_saved_as_a_whole(tmp_path):
    tokenizer, first, second = load_tokenizer(), tmp_path / "first", tmp_path / "second"
    text = {**SIZES, "num_key_value_heads": 2, "vocab_size": len(tokenizer), "model_type": "llama"}
    seen = {**SIZES, "image_size": 8, "patch_size": 4, "projection_dim": 16, "model_type": "clip_vision_model"}
    config = transformers.LlavaConfig(text_config=text, vision_config=seen, image_token_index=5, pad_token_id=0)
    transformers.LlavaForConditionalGeneration(config).save_pretrained(first)
    tokenizer.save(first)
    lm = LanguageModel.load(first)
    assert lm.keeps_what_it_read
    torch.nn.init.normal_(lm.model.get_output_embeddings().weight)
    lm.save(second)
    again, other = LanguageModel.load(second), LanguageModel.load(first)
    other.load_weights(second)
    ids, mask = torch.tensor([[300, 301, 302]]), torch.tensor([[False, True, True]])
    said = [one.token_logprobs(ids, mask).logprobs.tolist() for one in (lm, again, other)]
    assert said[0] == said[1] == said[2]
    assert [name for name in again.model.state_dict() if "vision" in name]


def test_a_model_that_does_not_go_on_with_a_text_is_named(tmp_path):
    transformers.ViTConfig(hidden_size=16, num_hidden_layers=1).save_pretrained(tmp_path)
    load_tokenizer().save(tmp_path)
    with pytest.raises(ValueError, match=r"expected a causal language model .*, got a model of type 'vit' in"):
        LanguageModel.load(tmp_path)


def test_a_model_that_is_neither_a_folder_nor_reached_on_the_hub_is_named_with_what_makes_one(monkeypatch, tmp_path):
    cause = OSError("We couldn't connect to 'https://huggingface.co'\nCheck your internet connection")

    def unreachable(name, **options):
        raise cause

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", unreachable)
    said = (
        "model or tokenizer 'someone/model': there is no such folder, and the hub was not reached or has none of that "
        "name; `dialogym model smollm2 --out FOLDER` makes a folder of one (We couldn't connect to 'https://huggingface.co')"
    )
    for load in (LanguageModel.load, load_tokenizer):
        with pytest.raises(OSError, match=re.escape(said)) as raised:
            load("someone/model")
        assert raised.value.__cause__ is cause
    with pytest.raises(OSError, match=r"^We couldn't connect") as raised:
        load_tokenizer(str(tmp_path))  # a folder, whose own error it is
    assert raised.value is cause


def test_the_default_model_has_about_a_million_weights_and_is_drawn_from_the_seed():
    one, again, other = (LanguageModel.make(ModelConfig(), seed) for seed in (1, 1, 2))
    assert 500_000 < one.num_parameters < 1_500_000
    first = [lm.model.get_output_embeddings().weight for lm in (one, again, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_reply_tokens": 0}, "max_reply_tokens must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must not be negative, got -1.0"),
        ({"num_heads": 0}, "num_heads must be at least 1, got 0"),
        ({"hidden_size": 30}, "hidden_size must be a multiple of 8, twice num_heads, got 30"),
        ({"hidden_size": 12}, "hidden_size must be a multiple of 8, twice num_heads, got 12"),
        ({"num_key_value_heads": 3}, r"num_key_value_heads must divide num_heads \(4\), got 3"),
    ],
)
def test_a_wrong_setting_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**config)
