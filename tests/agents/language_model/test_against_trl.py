"""The same batch through our losses and through those of TRL's GRPOTrainer and RLOOTrainer."""

import dataclasses

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("trl", reason="compares with TRL")
pytest.importorskip("datasets")

import torch
import trl
from datasets import Dataset

from dialogym.agents.language_model.advantages import group_normalised, leave_one_out
from dialogym.agents.language_model.batch import Batch
from dialogym.agents.language_model.grpo import grpo_loss
from dialogym.agents.language_model.rloo import rloo_loss
from dialogym.agents.language_model.rollout import Episode
from dialogym.agents.language_model.surrogate import kl_k3, truncated_weights

from ..tiny_lm import tiny_model, tiny_tokenizer

TEMPERATURE, MAX_TOKENS = 0.7, 12
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not hasattr(trl, "RLOOTrainer"), reason="needs a TRL with GRPOTrainer and RLOOTrainer"),
]


@pytest.fixture(scope="module")
def lm():
    lm = tiny_model(tiny_tokenizer())
    lm.forbidden = torch.zeros(0, dtype=torch.long)  # TRL lets a model say anything
    return lm


@pytest.fixture(scope="module")
def batch():
    """Six conversations of two turns, in two groups; sampled from something that is not quite the policy."""
    generator, episodes = torch.Generator().manual_seed(0), []

    def some(low, high):
        return torch.randint(low, high, (1,), generator=generator).item()

    for number in range(6):
        episode = Episode(group=number // 3)
        for _ in range(2):
            reply = [some(1, 8) for _ in range(some(1, 5))]
            episode.read([some(1, 8) for _ in range(some(1, 5))])
            episode.say(reply, torch.rand(len(reply), generator=generator).sub(2.5).tolist(), torch.zeros(16))
            episode.rewards.append(torch.rand(1, generator=generator).item())
        episodes.append(episode)
    batch = Batch.of(episodes, pad_id=0)
    near = 0.3 * torch.randn(batch.old_logprobs.shape, generator=generator)
    reference = -2 + 0.3 * torch.randn(batch.old_logprobs.shape, generator=generator)
    return dataclasses.replace(batch, old_logprobs=batch.sampled_logprobs + near, reference_logprobs=reference)


def trainer_of(kind, lm, folder, **options):
    """A trainer of TRL around the model, as light as it gets."""
    trainer, config = {
        "grpo": (trl.GRPOTrainer, trl.GRPOConfig), "rloo": (trl.RLOOTrainer, trl.RLOOConfig)
    }[kind]  # fmt: skip
    arguments = config(
        output_dir=str(folder), report_to=[], use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False,
        per_device_train_batch_size=3, num_generations=3, max_completion_length=MAX_TOKENS, temperature=TEMPERATURE,
        disable_dropout=True, **options,
    )  # fmt: skip
    made = trainer(
        lm.model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["red"] * 3}), processing_class=lm.tokenizer.hf,
    )  # fmt: skip
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def in_trl(batch, advantages, **rows):
    """Our batch as TRL has it: prompts padded on the left, what follows on the right, masks of ints."""
    starts = batch.action_mask.int().argmax(1).tolist()
    prompts = [ids[:start] for ids, start in zip(batch.ids, starts, strict=True)]
    longest = max(starts)
    ends = batch.lengths.tolist()

    def rest(values):
        parts = [row[start:end] for row, start, end in zip(values, starts, ends, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)

    return {
        "prompt_ids": torch.stack([torch.nn.functional.pad(one, (longest - len(one), 0)) for one in prompts]),
        "prompt_mask": torch.stack([(torch.arange(longest) >= longest - start).int() for start in starts]),
        "completion_ids": rest(batch.ids),
        "completion_mask": rest(torch.ones_like(batch.ids)),
        "tool_mask": rest(batch.action_mask.int()),
        "advantages": advantages,
        "num_items_in_batch": batch.action_mask.sum(),
        **{name: rest(values) for name, values in rows.items()},
    }


def both(lm, ours, theirs):
    """Losses and gradients."""
    found = []
    for loss_of in (ours, theirs):
        lm.model.zero_grad()
        loss = loss_of()
        loss.backward()
        found.append((loss.item(), torch.cat([parameter.grad.flatten() for parameter in lm.trainable_parameters()])))
    (loss, gradient), (their_loss, their_gradient) = found
    assert gradient.abs().max() > 1e-4
    assert loss == pytest.approx(their_loss, rel=1e-5, abs=5e-6)  # sums of terms a hundred times as large cancel
    assert (gradient - their_gradient).norm() < 1e-4 * gradient.norm()


@pytest.mark.parametrize(
    ("loss_type", "average"), [("dapo", "token"), ("bnpo", "token"), ("grpo", "sequence"), ("dr_grpo", "constant")]
)
@pytest.mark.parametrize(("kl_weight", "unbiased"), [(0.0, False), (0.3, False), (0.3, True)])
def test_grpo(loss_type, average, kl_weight, unbiased, lm, batch, tmp_path):
    advantages = group_normalised(batch.rewards.sum(1), batch.group)
    ours = dataclasses.replace(batch, advantages=advantages[:, None].expand_as(batch.rewards))
    trainer = trainer_of(
        "grpo",
        lm,
        tmp_path,
        loss_type=loss_type,
        epsilon=0.2,
        epsilon_high=0.28,
        beta=0.0,
        steps_per_generation=1,
        use_bias_correction_kl=unbiased,
    )
    trainer.beta = kl_weight  # without making a reference, whose log-probabilities are in the batch

    def our_loss():
        found, old = lm.token_logprobs(batch.ids, batch.action_mask, TEMPERATURE), batch.tokens(batch.old_logprobs)
        kl = kl_k3(found.logprobs, batch.tokens(batch.reference_logprobs))
        kl = kl * (found.logprobs - old).exp() if unbiased else kl
        return grpo_loss(
            found.logprobs, old, ours.token_advantages, batch.rows, 0.2, 0.28, average, MAX_TOKENS, 1.0, kl, kl_weight,
        )  # fmt: skip

    inputs = in_trl(
        batch, advantages, old_per_token_logps=batch.old_logprobs, ref_per_token_logps=batch.reference_logprobs
    )
    both(lm, our_loss, lambda: trainer._compute_loss(trainer.model, inputs))


def test_truncated_importance_weights(lm, batch, tmp_path):
    trainer = trainer_of("grpo", lm, tmp_path, loss_type="dapo", epsilon=0.2, epsilon_high=0.28, steps_per_generation=1)
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    weights = truncated_weights(batch.old_logprobs - batch.sampled_logprobs, cap=1.2)
    assert ((weights > 0.999 * 1.2) & batch.action_mask).any()
    advantages = group_normalised(batch.rewards.sum(1), batch.group, by_std=False)
    ours = dataclasses.replace(batch, advantages=advantages[:, None].expand_as(batch.rewards))

    def our_loss():
        found = lm.token_logprobs(batch.ids, batch.action_mask, TEMPERATURE)
        return grpo_loss(
            found.logprobs, batch.tokens(batch.old_logprobs), ours.token_advantages, batch.rows, 0.2, 0.28,
            weights=batch.tokens(weights),
        )  # fmt: skip

    inputs = in_trl(batch, advantages, old_per_token_logps=batch.old_logprobs, importance_sampling_ratio=weights)
    both(lm, our_loss, lambda: trainer._compute_loss(trainer.model, inputs))


def test_rloo(lm, batch, tmp_path):
    first = torch.tensor([int(mask.int().argmax()) for mask in batch.action_mask])
    places = torch.arange(batch.ids.shape[1])
    spoken = (places >= first[:, None]) & (places < batch.lengths[:, None])  # TRL's has no tokens of others in between
    batch = dataclasses.replace(batch, action_mask=spoken)
    advantages = leave_one_out(batch.rewards.sum(1), batch.group)
    batch = dataclasses.replace(batch, advantages=advantages[:, None].expand_as(batch.rewards))
    close = lm.token_logprobs(batch.ids, spoken, TEMPERATURE).logprobs.detach()
    old = close + 0.05 * torch.randn(close.shape, generator=torch.Generator().manual_seed(1))
    trainer = trainer_of("rloo", lm, tmp_path, epsilon=0.2, epsilon_high=0.28, beta=0.0, steps_per_generation=1)

    def our_loss():
        found = lm.token_logprobs(batch.ids, batch.action_mask, TEMPERATURE)
        actions = batch.actions(per_turn=False)
        return rloo_loss(found.logprobs, old, batch.token_advantages, batch.rows, actions, 0.2, 0.28)

    sums = torch.zeros(len(batch)).index_add(0, batch.rows, old)
    inputs = {**in_trl(batch, advantages), "old_logps": sums}
    both(lm, our_loss, lambda: trainer._compute_loss(trainer.model, inputs))
