"""LoRA: a few weights that learn, beside a model's own, which stay as they are. By ``peft``.

Hu et al. (2022), section 4.1, https://arxiv.org/abs/2106.09685: W + (alpha / rank) B A, with B = 0 at the start.
Without dropout, so that what is trained is what was sampled. With the adapter off, the model is what it started as.

On disk an adapted model is a folder that anybody loads, its adapter merged into its weights, and beside these a folder
``adapter`` with the adapter alone, the name of the model below it and a fingerprint of that one's weights. Merging
rounds, so whoever goes on learning takes the model below and the adapter, and gets the very same weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils.peft_utils import find_adapter_config_file

from ..files import show_weights

ADAPTER = "adapter"
"""The folder of the adapter, in that of the merged model."""
BASE_FILE, WEIGHTS_FILE = "base.json", "adapter_model.safetensors"
ALL_LINEAR = "all-linear"
"""Targets: every linear layer but the last, the output's, and those that :func:`_unfit_layers` names."""


@dataclasses.dataclass(frozen=True)
class LoRA:
    """The shape of an adapter.

    Attributes:
        rank: of B A, at least 1.
        alpha: B A is multiplied by alpha / rank; None is twice the rank.
        targets: names of the layers that get one, in a tuple or separated by commas; or ``ALL_LINEAR``.
    """

    rank: int
    alpha: float | None = None
    targets: str | tuple[str, ...] = ALL_LINEAR

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"lora_rank must be at least 1 or None, got {self.rank}")
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(f"lora_alpha must be above 0 or None, got {self.alpha}")


def add_adapter(model: Any, lora: LoRA, seed: int) -> Any:
    """The model with a fresh adapter, drawn from ``seed``; it says what it said before.

    Raises:
        ImportError: without ``peft``.
        ValueError: for targets that the model does not have, or of which the output layer is one.
    """
    peft = _peft()
    targets = lora.targets.split(",") if isinstance(lora.targets, str) else list(lora.targets)
    everything = targets == [ALL_LINEAR]
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=2 * lora.rank if lora.alpha is None else lora.alpha,
        target_modules=ALL_LINEAR if everything else targets,
        exclude_modules=_unfit_layers(model) if everything else None,
        task_type="CAUSAL_LM",
        base_model_name_or_path=_absolute(model.name_or_path),
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls by old names what transformers has renamed
        torch.manual_seed(seed)
        try:
            adapted = peft.get_peft_model(model, config)
        except ValueError as e:
            raise ValueError(f"lora_targets={lora.targets!r} do not fit {type(model).__name__}: {e}") from e
    embeddings = (model.get_input_embeddings(), model.get_output_embeddings())
    if any(isinstance(layer, _lora_layer()) for layer in embeddings):
        raise ValueError(f"lora_targets must leave embeddings and the output layer alone, got {lora.targets!r}")
    adapted.lora = lora  # peft's configuration has other targets by now where experts are one tensor
    return adapted


def _unfit_layers(model: Any) -> list[str]:
    """Linear layers that an adapter cannot stand beside: routers that return more than a tensor, and those of Mamba
    layers whose weights are taken past them."""
    unfit = []
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and type(layer).forward is not torch.nn.Linear.forward:
            unfit.append(name)
        elif hasattr(layer, "A_log") and hasattr(layer, "D"):
            unfit += [f"{name}.{part}" for part in ("out_proj", "x_proj", "dt_proj")]
    return unfit


def is_adapted(model: Any) -> bool:
    """Whether a model has an adapter."""
    return hasattr(model, "peft_config")


def save_adapted(model: Any, folder: str | Path) -> None:
    """Writes the merged model into a folder, and the adapter into its folder ``adapter``."""
    base = model.get_base_model()
    base.save_pretrained(str(folder), state_dict=merged_weights(base))
    save_adapter(model, Path(folder) / ADAPTER)
    name, targets = model.peft_config["default"].base_model_name_or_path, model.lora.targets
    below = {"name": name, "fingerprint": fingerprint(base), "targets": targets}
    (Path(folder) / ADAPTER / BASE_FILE).write_text(json.dumps(below, indent=2) + "\n")


def save_adapter(model: Any, folder: str | Path) -> None:
    """Writes the adapter alone into a folder, as peft and vLLM load it."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    show_weights(folder)


def holds_adapter(name: str | Path) -> bool:
    """Whether a folder, or a name on the hub, is that of an adapter alone, such as peft and TRL save."""
    return find_adapter_config_file(str(name)) is not None


def below_adapter(name: str | Path) -> str:
    """Name, or folder, of the model that such an adapter was trained on."""
    return str(_peft().PeftConfig.from_pretrained(str(name)).base_model_name_or_path)


def merge_adapter(model: Any, name: str | Path) -> Any:
    """The model with such an adapter merged into its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls by old names what transformers has renamed
        merged = _peft().PeftModel.from_pretrained(model, str(name)).merge_and_unload()
    merged.name_or_path = str(name)
    return merged.requires_grad_(True)  # peft held it still


def load_adapter(model: Any, folder: str | Path) -> None:
    """Gives a model with an adapter that of a saved one.

    Raises:
        ValueError: where there is none, or one of another shape or of another model.
    """
    from safetensors.torch import load_file

    path = Path(folder) / ADAPTER / WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(f"expected a model saved with its adapter in {folder}, got no {ADAPTER}/{WEIGHTS_FILE}")
    if base_of(folder)[1] != fingerprint(model.get_base_model()):
        raise ValueError(f"the adapter in {folder} was trained on another model than {model.name_or_path}")
    weights = load_file(path)
    shapes, own = (
        {name: tensor.shape for name, tensor in found.items()} for found in (weights, adapter_weights(model))
    )
    if shapes != own:
        raise ValueError(f"the adapter in {folder} has other layers or another rank than this model's")
    _peft().set_peft_model_state_dict(model, weights)


def adapter_weights(model: Any) -> dict[str, Tensor]:
    """The weights of the adapter, by the names that a file has them under."""
    return _peft().get_peft_model_state_dict(model, save_embedding_layers=False)


def base_of(folder: str | Path) -> tuple[str, str]:
    """Name, or folder, and fingerprint of the model below an adapter."""
    below = _below(folder)
    return below["name"], below["fingerprint"]


def lora_of(folder: str | Path) -> LoRA:
    """The shape of a saved adapter."""
    saved = _peft().PeftConfig.from_pretrained(str(Path(folder) / ADAPTER))
    targets = _below(folder).get("targets", sorted(saved.target_modules))  # which are not there in older folders
    return LoRA(saved.r, saved.lora_alpha, targets if isinstance(targets, str) else tuple(targets))


def _below(folder: str | Path) -> dict[str, Any]:
    """What :func:`save_adapted` wrote of the model below an adapter."""
    return json.loads((Path(folder) / ADAPTER / BASE_FILE).read_text())


def merged_weights(base: Any) -> dict[str, Tensor]:
    """The weights of a model with its adapter merged into them, under the names of a model that has none.

    Where experts are one tensor, the layer that adapts it names it, and lies around the one that adapts another.
    """
    layers = {
        _plain(f"{name}.{getattr(layer, 'parameter_name', 'weight')}"): layer
        for name, layer in base.named_modules()
        if isinstance(layer, _lora_layer())
    }
    merged: dict[str, Tensor] = {}
    for name, tensor in base.state_dict().items():
        if ".lora_" in name:
            continue
        plain = _plain(name)
        if plain in layers:
            change = layers[plain].get_delta_weight("default")
            tensor = (tensor.to(change.dtype) + change).to(tensor.dtype)
        merged[plain] = tensor
    return merged


def _plain(name: str) -> str:
    """The name of a weight in a model without an adapter."""
    return name.replace("base_layer.", "")


def fingerprint(base: Any) -> str:
    """Tells models apart by the first of each of their weights, as bfloat16 has them, whichever type they have now."""
    digest = hashlib.sha256()
    for name, tensor in sorted(base.state_dict().items()):
        if ".lora_" not in name:
            first = tensor.flatten()[:8].to(torch.bfloat16).float().tolist()
            digest.update(f"{_plain(name)} {tuple(tensor.shape)} {first}\n".encode())
    return digest.hexdigest()


def _absolute(name: str) -> str:
    """A folder by its whole path, so that it is found from elsewhere; a name on the hub as it is."""
    return str(Path(name).resolve()) if name and Path(name).is_dir() else name


def _peft() -> Any:
    try:
        import peft
    except ImportError as e:
        raise ImportError('lora_rank needs peft: pip install "dialogym[lora]"', name="peft") from e
    return peft


def _lora_layer() -> type[Any]:
    from peft.tuners.lora import LoraLayer

    return LoraLayer
