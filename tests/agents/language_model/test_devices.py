"""Where a language model computes, in which type, and what it keeps for the backward pass."""

import ast
import copy
import random
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

import dialogym.agents.language_model.model as model_module
from dialogym.agents import make_agent
from dialogym.agents.language_model.adapter import LoRA
from dialogym.agents.language_model.drawing import Turn
from dialogym.agents.language_model.forward import checkpoint_layers
from dialogym.agents.language_model.model import LanguageModel, ModelConfig, compute_type
from dialogym.agents.language_model.sampler import new_sampler
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer, tiny_transformer
from .test_language_model import talk, terse

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))
F32, BF16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize(
    ("device", "dtype", "adapted", "expected"),
    [
        (CPU, "auto", False, (F32, None)),
        (CPU, "auto", True, (F32, None)),
        (MPS, "auto", False, (F32, None)),
        (CUDA, "auto", False, (F32, BF16)),  # master weights in float32
        (CUDA, "auto", True, (BF16, None)),  # frozen; the adapter is float32
        (CUDA, "float32", False, (F32, None)),
        (CUDA, "float32", True, (F32, None)),
        (CPU, "bfloat16", False, (F32, BF16)),
        (CPU, "bfloat16", True, (BF16, None)),
    ],
)
def test_types_of_weights_and_of_what_is_computed(device, dtype, adapted, expected):
    assert compute_type(device, dtype, adapted) == expected


@pytest.mark.parametrize("adapter", [None, LoRA(4)])
def test_in_sixteen_bits_what_is_sampled_is_nearly_what_is_learned_from_and_gradients_are_float32(adapter, tmp_path):
    terse("llama").save(tmp_path)
    lm = LanguageModel.load(tmp_path, "cpu", "bfloat16", adapter)
    exact = LanguageModel.load(tmp_path, "cpu", "float32", adapter)
    assert lm.forward.dtype == BF16
    assert lm.keeps_what_it_read
    assert all(parameter.dtype == F32 for parameter in lm.trainable_parameters())
    frozen = [parameter.dtype for parameter in lm.model.parameters() if not parameter.requires_grad]
    assert set(frozen) == (set() if adapter is None else {BF16})
    largest = 0.0
    for one in talk(lm, 0.7, random.Random(0)):
        ids, mask = torch.tensor([one.ids]), torch.tensor([one.mask])
        found, wide = lm.token_logprobs(ids, mask, 0.7), exact.token_logprobs(ids, mask, 0.7)
        assert found.logprobs.dtype == F32
        assert torch.allclose(found.logprobs, torch.tensor(one.logprobs), atol=0.15)  # three digits of each number
        assert torch.allclose(found.logprobs, wide.logprobs, atol=0.15)
        largest = max(largest, (found.logprobs - wide.logprobs).abs().max().item())
    assert largest > 1e-4  # it was not float32
    found.logprobs.sum().backward()
    wide.logprobs.sum().backward()
    for parameter, expected in zip(lm.trainable_parameters(), exact.trainable_parameters(), strict=True):
        assert parameter.grad.dtype == F32
        size = expected.grad.norm()
        assert (parameter.grad - expected.grad).norm() <= 0.1 * size


def tokens(lm):
    ids = torch.randint(300, 900, (3, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, 8:14] = True
    return ids, mask


def gradients(lm):
    lm.model.zero_grad()
    lm.token_logprobs(*tokens(lm)).logprobs.sum().backward()
    return [parameter.grad.clone() for parameter in lm.trainable_parameters()]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gemma2"])
def test_with_gradient_checkpointing_gradients_are_the_same_and_less_is_kept(family, training):
    tokenizer = load_tokenizer()
    dropout = {"gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}, "opt": {"dropout": 0.0}}
    model = tiny_transformer(family, len(tokenizer), **(dropout.get(family, {}) if training else {})).train(training)
    kept, found = [], []
    for checkpointed in (False, True):
        lm = LanguageModel(copy.deepcopy(model), tokenizer)
        if checkpointed:
            checkpoint_layers(lm.model)
        count = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, count=count: count.append(x.numel()) or x, lambda x: x):
            lm.token_logprobs(*tokens(lm))
        kept.append(sum(count))
        found.append(gradients(lm))
        sampler = new_sampler(lm, 2, 3, 0.0)  # with the cache
        found[-1].append(sampler.reply([[400], [500, 501]], [Turn(0), Turn(1)]).logprobs)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(*found, strict=True))
    assert kept[1] < 0.8 * kept[0]


def test_a_copy_of_a_checkpointed_model_computes_with_its_own_weights():
    lm = tiny_model(load_tokenizer())
    checkpoint_layers(lm.model)
    reference = lm.frozen_copy()
    before = reference.token_logprobs(*tokens(lm)).logprobs
    with torch.no_grad():
        for parameter in lm.trainable_parameters():
            parameter.mul_(1.5)
    assert torch.equal(reference.token_logprobs(*tokens(lm)).logprobs, before)
    assert not torch.equal(lm.token_logprobs(*tokens(lm)).logprobs, before)


def test_a_model_that_cannot_checkpoint_is_named():
    with pytest.raises(ValueError, match="gradient_checkpointing is not known to work with Linear"):
        checkpoint_layers(torch.nn.Linear(2, 2))


def test_the_settings_reach_the_model(tmp_path, monkeypatch):
    tiny_model(tiny_tokenizer()).save(tmp_path)
    asked = []
    monkeypatch.setattr(model_module, "resolve_device", lambda name: asked.append(name) or torch.device("cpu"))
    shared = {"device": "cuda:1", "dtype": "bfloat16", "gradient_checkpointing": True}
    for place in ({"model": str(tmp_path)}, {"init": str(tmp_path)}, {}):
        agent = make_agent("ppo", echo_env(), **shared, **place)
        assert agent.lm.forward.autocast == BF16
        assert any("forward" in vars(layer) for layer in agent.lm.model.modules())  # of the layers, wrapped
    assert set(asked) == {"cuda:1"}


def test_a_wrong_setting_is_named():
    with pytest.raises(ValueError, match="dtype must be one of auto, float32, bfloat16, got 'float8'"):
        ModelConfig(dtype="float8")
    with pytest.raises(ValueError, match="device must be one of auto, cuda, cuda:N, mps, cpu, got 'gpu'"):
        make_agent("sft", echo_env(), device="gpu")


MAKERS = {"arange", "zeros", "ones", "full", "empty", "rand", "randn", "eye"}
"""Functions of torch that put a tensor on the processor unless they are told where."""


def test_no_tensor_is_made_on_the_processor_beside_a_model_that_may_be_elsewhere():
    folder = Path(model_module.__file__).parent
    found = []
    for name in ("cache", "exactness", "forward", "generation", "logprobs", "model", "sampler"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and getattr(node.func.value, "id", "") == "torch"
                and node.func.attr in MAKERS
                and "device" not in {keyword.arg for keyword in node.keywords}
            ):
                found.append(f"{name}.py:{node.lineno}: torch.{node.func.attr}")
    assert found == []
