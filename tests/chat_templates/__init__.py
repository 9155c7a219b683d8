"""Chat templates that behave as those of well-known models do, and small tokenizers made on the spot for them."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Rust
from transformers import PreTrainedTokenizerFast

from dialogym.envs.tokenizer import Tokenizer

TEMPLATES: dict[str, str | None] = {
    path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.jinja"))
}
"""By what is special about them."""
TEMPLATES["none"] = None

MARKERS = (
    "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|end|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
)  # fmt: skip
_TEXTS = ["hello there, which one do you want? search(food=italian) 3 found, no, another one\n\nyes\n"] * 4


class Kind(NamedTuple):
    """A kind of tokenizer.

    Attributes:
        has_bytes: any text has ids; without, there is one token for all that is not known.
        begins_words: a space is written as part of the word behind it, and one is put before a text.
        pads: the padding has a token of its own; else it is the end-of-text token.
        begins: there is a beginning-of-text token.
        think: the markers of thinking are "special" tokens, "added" ones, or spelt out: "".
        is_greedy: markers swallow the white space behind them.
    """

    has_bytes: bool = True
    begins_words: bool = False
    pads: bool = True
    begins: bool = True
    think: str = "added"
    is_greedy: bool = False


KINDS = {
    "bytes": Kind(),
    "pads_with_its_end": Kind(pads=False, begins=False, think="special"),
    "no_bytes": Kind(has_bytes=False, think=""),
    "words_begin": Kind(has_bytes=False, begins_words=True, think="special"),
    "greedy_markers": Kind(is_greedy=True),
}


def small_tokenizer(template: str, kind: str = "bytes") -> Tokenizer:
    """A tokenizer of one of ``KINDS`` with one of ``TEMPLATES``."""
    hf = small_hf_tokenizer(KINDS[kind])
    hf.chat_template = TEMPLATES[template]
    return Tokenizer(hf)


def small_hf_tokenizer(kind: Kind, size: int = 420) -> Any:
    """A tokenizer of transformers, without a chat template."""
    names = {"unk_token": "<unk>", "eos_token": "</s>"}
    names |= {"pad_token": "<pad>"} if kind.pads else {}
    names |= {"bos_token": "<s>"} if kind.begins else {}
    rust, alphabet = _empty(kind)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*names.values()], initial_alphabet=alphabet, show_progress=False
    )
    rust.train_from_iterator(_TEXTS, trainer)
    rust.add_special_tokens([AddedToken(marker, rstrip=kind.is_greedy, normalized=False) for marker in MARKERS])
    thinking = [AddedToken(marker, normalized=False) for marker in ("<think>", "</think>")]
    if kind.think:
        (rust.add_special_tokens if kind.think == "special" else rust.add_tokens)(thinking)
    return PreTrainedTokenizerFast(tokenizer_object=rust, **names)


def _empty(kind: Kind) -> tuple[Rust, list[str]]:
    """A tokenizer that has learned nothing, and the characters that it knows nevertheless."""
    if kind.has_bytes:
        rust = Rust(models.BPE())
        rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        rust.decoder = decoders.ByteLevel()
        return rust, sorted(pre_tokenizers.ByteLevel.alphabet())
    rust = Rust(models.BPE(unk_token="<unk>"))
    if kind.begins_words:
        rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        rust.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        rust.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+|\s|[^\w\s]"), "isolated")
        rust.decoder = decoders.Fuse()
    return rust, sorted(string.ascii_letters + string.digits + string.punctuation)
