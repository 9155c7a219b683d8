"""Supervised fine-tuning: what it learns from, what it scores, when it stops, and that an interrupt loses nothing."""

import itertools
import json
import math
import random
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import gymnasium as gym
import torch

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model import sft
from dialogym.agents.language_model.demonstrations import (
    FLAW_RATE,
    demonstrate,
    hold_out,
    load_messages,
    save_messages,
    suited_flaw_rate,
)
from dialogym.agents.language_model.sft import SFTConfig, sft_loss
from dialogym.agents.training.epochs import learning_rate_factor, shuffled_batches
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import Echo, echo_env, tiny_model, tiny_tokenizer

TALK = [
    {"role": "user", "content": "red"},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": "blue"},
    {"role": "assistant", "content": "blue"},
]


BACK = [{**message, "content": {"red": "blue", "blue": "red"}[message["content"]]} for message in TALK]


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


# Demonstrations


def test_the_rule_demonstrates_on_train_goals():
    env = gym.make("TextDialog-v0")
    shown = demonstrate(env, 20, flaw_rate=0.0, seed=0)
    assert shown.success_rate == 1.0
    replies = [message for talk in shown.conversations for message in talk if message["role"] == "assistant"]
    assert shown.env_turns == len(replies)
    assert shown == demonstrate(env, 20, flaw_rate=0.0, seed=0)
    assert shown != demonstrate(env, 20, flaw_rate=0.0, seed=1)


def test_goals_do_not_come_again_while_the_split_has_others():
    shown = demonstrate("TextWordle-v0", 400, flaw_rate=0.15, seed=0)
    assert len(set(shown.goals)) == len(shown.conversations) == 400


@pytest.mark.parametrize("seed", range(5))
def test_no_conversation_is_both_learned_from_and_held_out(folder, seed):
    agent = make_agent("sft", echo_env(), seed, model=folder, demonstrations=60)
    shown = agent._demonstrations(echo_env())
    assert len({str(talk) for talk in shown.conversations}) < 60
    train, held_out = ({tuple(ids) for ids, _ in side} for side in agent._split(shown))
    assert train
    assert held_out
    assert not train & held_out


def test_what_has_a_key_in_common_is_on_one_side():
    keys = [("a", 1), ("b", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 4), ("f", 5), ("g", 6), ("h", 7), ("i", 8)]
    sizes = set()
    for seed in range(30):
        train, held_out = hold_out(keys, 0.3, random.Random(seed))
        assert sorted([*train, *held_out]) == list(range(10))
        assert not {key for n in train for key in keys[n]} & {key for n in held_out for key in keys[n]}
        sizes.add(len(held_out))
    assert sizes == {3}


def test_the_smallest_group_is_held_out_where_all_are_larger_than_the_share():
    assert sorted(hold_out([("a",)] * 6 + [("b",)] * 4, 0.1, random.Random(0))[1]) == [6, 7, 8, 9]


def test_conversations_that_are_all_alike_are_refused():
    with pytest.raises(ValueError, match=r"expected at least 2 different conversations, .* got 20 that are alike"):
        hold_out([("a",)] * 20, 0.1, random.Random(0))


def test_flaws_are_random_replies_at_the_stated_rate():
    task = gym.make("TextDialog-v0").unwrapped.task
    flawed = demonstrate("TextDialog-v0", 100, flaw_rate=0.5, seed=0)
    assert 0.05 < flawed.success_rate < 0.8
    always = demonstrate("TextDialog-v0", 60, flaw_rate=1.0, seed=0)
    said = {message["content"] for talk in always.conversations for message in talk if message["role"] == "assistant"}
    assert len(said) > len(task.menu) // 2


def test_the_rule_errs_by_default_where_a_turn_is_left_to_make_up_for_it():
    assert SFTConfig().flaw_rate is None
    by_default = demonstrate("TextDialog-v0", 20, flaw_rate=None, seed=0)
    assert by_default == demonstrate("TextDialog-v0", 20, flaw_rate=FLAW_RATE, seed=0)
    assert by_default != demonstrate("TextDialog-v0", 20, flaw_rate=0.0, seed=0)


def test_in_conversations_of_one_turn_the_rule_never_errs_unless_it_is_asked_to():
    assert demonstrate("TextArithmetic-v0", 100, flaw_rate=None, seed=0).success_rate == 1.0
    assert demonstrate("TextArithmetic-v0", 100, flaw_rate=FLAW_RATE, seed=0).success_rate < 1.0


def test_flaws_are_only_taken_by_default_from_a_menu_or_from_what_a_task_itself_calls_another_reply():
    class Sentences(Echo):
        menu = ()

    class OwnReplies(Sentences):
        def another_reply(self, messages, rng):
            return f"number {rng.randrange(1000)}"

    def env(task):
        return SimpleNamespace(task=task, max_turns=2)

    assert [suited_flaw_rate(env(task())) for task in (Echo, Sentences, OwnReplies)] == [FLAW_RATE, 0.0, FLAW_RATE]
    assert suited_flaw_rate(SimpleNamespace(task=OwnReplies(), max_turns=1)) == 0.0


def test_what_has_a_weight_of_0_is_read_and_not_learned():
    lm = make_agent("sft", gym.make("TextDialog-v0")).lm
    talk = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "goodbye", "weight": 0},
        {"role": "user", "content": "what?"}, {"role": "assistant", "content": "hello", "weight": 1},
    ]  # fmt: skip
    plain = [{"role": message["role"], "content": message["content"]} for message in talk]
    (ids, said), (same, all_said) = map(lm.tokenizer.encode_demonstration, (talk, plain))
    assert ids == same
    own, both = ([token for token, mine in zip(ids, mask, strict=True) if mine] for mask in (said, all_said))
    end = lm.tokenizer.end_id
    assert own == [*lm.tokenizer.encode("hello"), end]
    assert both == [*lm.tokenizer.encode("goodbye"), end, *own]


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match=r"flaw_rate must be in \[0, 1\]"):
        demonstrate("TextDialog-v0", 2, rate, 0)


def test_messages_survive_their_file(tmp_path):
    save_messages(tmp_path / "talks.jsonl", [TALK, TALK[:2]])
    assert load_messages(tmp_path / "talks.jsonl").conversations == [TALK, TALK[:2]]


def test_messages_may_hold_any_letter_and_their_file_begin_with_a_byte_order_mark(tmp_path):
    path, talk = tmp_path / "talks.jsonl", [{"role": "assistant", "content": "über\u2028alles"}]
    save_messages(path, [talk, TALK])
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load_messages(path).conversations == [talk, TALK]
    path.write_text("ü", encoding="latin-1")
    with pytest.raises(ValueError, match=r"talks.jsonl, line 1: expected UTF-8 text, got a byte that is none"):
        load_messages(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: expected JSON, got '\{'"),
        ("[]", r"line 2: expected an object with names and values, got '\[\]'"),
        ('{"messages": []}', "line 2: messages must be a list of at least one message"),
        ('{"messages": [{"role": "narrator", "content": "x"}]}', "line 2: message 1: role must be one of system, user"),
        ('{"messages": [{"role": "user", "content": 3}]}', "line 2: message 1: content must be a text, got 3"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: expected something that the assistant says"),
    ],
)
def test_a_line_that_is_no_conversation_is_named(tmp_path, line, message):
    path = tmp_path / "talks.jsonl"
    path.write_text(json.dumps({"messages": TALK}) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=message):
        load_messages(path)


# The loss


def test_the_loss_is_over_the_agents_tokens_and_no_others():
    tokenizer = tiny_tokenizer()
    lm = tiny_model(tokenizer)
    example = tokenizer.encode_demonstration(TALK)
    with torch.no_grad():
        loss, num_tokens = sft_loss(lm, [example])
        logits = lm.model(torch.tensor([example[0]])).logits[0]
    logits[:, tokenizer.forbidden_ids] = -torch.inf
    logprobs = logits.log_softmax(-1)
    words = {name: tokenizer.hf.convert_tokens_to_ids(name) for name in ("red", "blue", "<|end|>")}
    # <|user|> red <|end|> <|assistant|> red <|end|> <|user|> blue <|end|> <|assistant|> blue <|end|>
    said = [(3, "red"), (4, "<|end|>"), (9, "blue"), (10, "<|end|>")]
    assert num_tokens == 4
    assert loss.item() == pytest.approx(-sum(logprobs[at, words[word]].item() for at, word in said) / 4, abs=1e-5)


def test_padding_does_not_change_the_loss():
    tokenizer = tiny_tokenizer()
    lm = tiny_model(tokenizer)
    examples = [tokenizer.encode_demonstration(TALK), tokenizer.encode_demonstration(TALK[:2])]
    with torch.no_grad():
        together, _ = sft_loss(lm, examples)
        alone = [sft_loss(lm, [example]) for example in examples]
    assert together.item() == pytest.approx(
        sum(loss.item() * n for loss, n in alone) / sum(n for _, n in alone), abs=1e-5
    )


def test_a_batch_that_does_not_fit_the_memory_has_the_gradient_of_the_whole(folder, monkeypatch):
    """The same loss and gradients, whether all passed at once or the memory ran out."""
    tokenizer = tiny_tokenizer()
    batch = [tokenizer.encode_demonstration(TALK[: 2 * (1 + number % 2)]) for number in range(4)]
    results, sizes = [], []
    for room in (10_000, 25):
        agent = make_agent("sft", echo_env(), model=folder)

        def loss_of(lm, some, room=room):
            sizes.append(len(some))
            if sum(len(ids) for ids, _ in some) > room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return sft_loss(lm, some)

        monkeypatch.setattr(sft, "sft_loss", loss_of)
        loss = agent._backward(batch, torch.optim.SGD(agent.lm.trainable_parameters()))
        gradients = [p.grad.flatten() for p in agent.lm.trainable_parameters()]
        results.append((loss, torch.cat(gradients)))
        assert agent.room.max_tokens == 2048 if room == 10_000 else agent.room.max_tokens <= 25
    assert {2, 4} <= set(sizes)
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-6)
    assert results[0][1].norm() > 1e-3


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    factors = [learning_rate_factor(update, 100, 10) for update in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == pytest.approx(0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * 0.09)))
    assert factors[50] == pytest.approx(0.525)
    assert factors[100] == pytest.approx(0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[10:]))


def test_every_update_has_the_learning_rate_of_its_place_in_the_whole_training(folder, tmp_path, monkeypatch):
    save_messages(tmp_path / "talks.jsonl", [*[TALK] * 18, BACK, BACK])  # two of the twenty are held out
    rates, step = [], torch.optim.AdamW.step

    def noted(optimizer, *args, **kwargs):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    wanted = settings(folder, epochs=4, patience=4, batch_size=6, learning_rate=1e-3, warmup_updates=2)
    make_agent("sft", echo_env(), data=str(tmp_path / "talks.jsonl"), **wanted).learn(echo_env())
    assert rates == pytest.approx([1e-3 * learning_rate_factor(update, 12, 2) for update in range(12)])


def _num_ids(example):
    return len(example[0])


def test_batches_hold_every_example_once_and_are_alike_in_length():
    examples = [([0] * length, [True] * length) for length in range(1, 101)]
    batches = shuffled_batches(examples, 8, random.Random(0), _num_ids)
    assert sorted(len(ids) for batch in batches for ids, _ in batch) == list(range(1, 101))
    assert sum(max(len(ids) for ids, _ in batch) * len(batch) for batch in batches) < 1.25 * sum(range(1, 101))
    assert batches != shuffled_batches(examples, 8, random.Random(1), _num_ids)


# Learning


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_to_say_what_was_shown(folder, seed):
    """Of the 32 conversations about five words some are held out. By chance one in 3^10 succeeds."""
    rows, env = [], echo_env(num_words=5)
    agent = make_agent("sft", env, seed, model=folder, demonstrations=80, flaw_rate=0.0, epochs=20,
                       learning_rate=1e-2, warmup_updates=5, max_reply_tokens=4)  # fmt: skip
    agent.learn(env, log=rows.append)
    assert rows[-1]["validation_perplexity"] < 1.05 < rows[0]["validation_perplexity"]
    assert (agent.budget.demonstrations, agent.budget.env_turns) == (80, 400)
    said = agent.act_batch([""] * 2, [{"messages": TALK[:1]}, {"messages": TALK[:3]}])
    assert said == ["red", "blue"]


def settings(folder, **changed):
    return {"model": folder, "demonstrations": 24, "epochs": 4, "learning_rate": 1e-2, "warmup_updates": 2, **changed}


def weights(agent):
    return torch.cat([parameter.flatten() for parameter in agent.lm.model.parameters()])


def test_a_training_that_was_still_learning_says_so(folder, caplog):
    for learning_rate, epochs, told in ((1e-2, 2, True), (1e-2, 20, False), (1e-9, 2, False)):
        caplog.clear()
        make_agent("sft", echo_env(), **settings(folder, learning_rate=learning_rate, epochs=epochs)).learn(echo_env())
        assert ("sft was still learning when it ended: its last epoch took the validation loss" in caplog.text) == told


def test_it_learns_from_a_file(folder, tmp_path):
    save_messages(tmp_path / "talks.jsonl", [*[TALK] * 18, BACK, BACK])
    agent = make_agent("sft", echo_env(), data=str(tmp_path / "talks.jsonl"), **settings(folder, epochs=10))
    agent.learn(echo_env())
    assert agent.act_batch([""], [{"messages": TALK[:1]}]) == ["red"]
    assert (agent.budget.demonstrations, agent.budget.env_turns) == (20, 0)


def test_the_tokens_of_the_budget_are_those_learned_from_once_for_every_epoch(folder, tmp_path):
    save_messages(tmp_path / "talks.jsonl", [*[TALK] * 18, BACK, BACK])
    agent = make_agent("sft", echo_env(), data=str(tmp_path / "talks.jsonl"), **settings(folder, epochs=3))
    agent.learn(echo_env())
    ids, _ = agent.lm.tokenizer.encode_demonstration(TALK)
    assert agent.budget.tokens == 3 * 18 * len(ids)  # two of the twenty are held out


def test_the_epoch_that_validated_best_is_kept(folder):
    scores, seen = iter([0.1, 0.7, 0.3, 0.2]), []

    def validate(agent):
        seen.append(weights(agent).clone())
        return next(scores)

    agent = make_agent("sft", echo_env(), **settings(folder))
    agent.learn(echo_env(), validate=validate)
    assert torch.equal(weights(agent), seen[1])
    assert not torch.equal(seen[1], seen[3])


def test_it_stops_when_the_loss_on_held_out_demonstrations_no_longer_falls(folder):
    rows = []
    agent = make_agent("sft", echo_env(), **settings(folder, epochs=30, patience=2, learning_rate=0.2))
    agent.learn(echo_env(), log=rows.append)
    losses = [row["validation_loss"] for row in rows]
    assert len(losses) < 30
    assert min(losses[-2:]) >= min(losses[:-2])
    assert agent._loss(agent._split(agent._demonstrations(echo_env()))[1]) == pytest.approx(min(losses))


class Interrupt:
    """A log that stops the training after some rows."""

    def __init__(self, after):
        self.after, self.rows = after, []

    def __call__(self, row):
        self.rows.append(row)
        if len(self.rows) == self.after:
            raise KeyboardInterrupt


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(folder, tmp_path):
    whole = make_agent("sft", echo_env(), **settings(folder))
    whole.learn(echo_env())
    part = make_agent("sft", echo_env(), **settings(folder))
    with pytest.raises(KeyboardInterrupt):
        part.learn(echo_env(), checkpoint=tmp_path / "run", log=Interrupt(after=2))
    rows = []
    again = make_agent("sft", echo_env(), **settings(folder))
    again.learn(echo_env(), checkpoint=tmp_path / "run", resume=True, log=rows.append)
    assert [row["epoch"] for row in rows] == [3, 4]
    assert torch.equal(weights(whole), weights(again))
    assert load_agent(tmp_path / "run" / "last", echo_env()).budget.demonstrations == 24


def test_resuming_needs_a_checkpoint(folder):
    with pytest.raises(ValueError, match="resume=True needs the checkpoint folder"):
        make_agent("sft", echo_env(), **settings(folder)).learn(echo_env(), resume=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"demonstrations": 1}, "demonstrations must be at least 2, got 1"),
        ({"fields": {"prompt": "Q"}}, "fields name the columns of data, which is not given: got fields={"),
        ({"validation_share": 1.0}, r"validation_share must be in \(0, 1\), got 1.0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"learning_rate": -1e-3}, "learning_rate must be above 0, got -0.001"),
        ({"flaw_rate": 15.0}, r"flaw_rate must be in \[0, 1\], got 15.0"),
    ],
)
def test_a_wrong_setting_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        SFTConfig(**config)


def test_a_demonstration_longer_than_the_context_is_cut(tmp_path):
    tiny_model(load_tokenizer(), max_position_embeddings=48).save(tmp_path)
    agent = make_agent("sft", "TextDialog-v0", model=str(tmp_path), demonstrations=6, epochs=1, max_reply_tokens=8)
    agent.learn("TextDialog-v0")
    train, held_out = agent._split(agent._demonstrations("TextDialog-v0"))
    assert max(len(ids) for ids, _ in [*train, *held_out]) == 48
