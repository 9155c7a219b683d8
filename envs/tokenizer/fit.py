"""A tokenizer fitted to given texts: byte-level BPE over normalised words, so that any text can be encoded.

Sennrich et al. (2016), https://arxiv.org/abs/1508.07909, on the bytes of UTF-8. Before that, text is brought into one
form, so that a small model need not learn what case and spacing do not say: lower case, keyboard quotes and dashes, any
space as one, words and punctuation apart. "Italian food?", "italian  food ?" and "ITALIAN FOOD ?" are the same ids, and
a word is the same id wherever it stands. Decoding writes lower case with the usual spacing ("is it cheap?",
"search(food=italian, area=north)"). The same texts and library version give the same files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

END, PAD = "<|end|>", "<|pad|>"
MARKERS = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
SMALLEST = 256 + len(MARKERS)
"""Size of a vocabulary of bytes and markers alone, in which words are spelt letter by letter."""
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TYPOGRAPHY = {
    "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": " - ", "…": "...", "\u00a0": " ",
}  # fmt: skip
SUFFIX = r"'(?:s|d|m|t|re|ve|ll)\b"
"""What a contraction hangs on to its word: "I'd" is two pieces."""
PIECES = rf"\[[a-z_]+\]|(?<![\w)])-?\d+(?:[.:,]\d+)*(?!\w)|{SUFFIX}|\w+(?:-\w+)*|[^\w\s]"
"""A placeholder, a number or time with its sign, a contraction's end, a word, a sign: what merges stay within."""
JOINTS = (
    rf" (?={SUFFIX})",
    r" (?=[.,?!;:)\]%])",
    r"(?<=[(\[$£€#]) ",
    r"(?<=[a-z_]) (?==)",
    r"(?<=[a-z_]=) ",
    r" (?=\( ?(?:\w+ ?=|\)))",
)
"""Spaces that are not written: before a comma, after a bracket, in ``search(food=...)``."""


def fit_tokenizer(
    texts: Sequence[str], folder: str | Path, size: int = 2048, whole: Sequence[str] = (), single_digits: bool = False
) -> None:
    """Writes a tokenizer into ``folder``, as ``from_pretrained`` reads it.

    Args:
        texts: what its merges are learned from.
        folder: to write into.
        size: of the vocabulary before ``whole``; the bytes and the markers of the chat format are in it, and fewer
            merges where the texts have no more.
        whole: strings that are single tokens: words, placeholders such as "[name]", or whole passages, which are
            recognised as they are written.
        single_digits: every digit is a token, so that 31 and 32 have their first in common and sums can be learned by
            place.

    Raises:
        ValueError: if ``size`` leaves no room for all bytes and the markers.
        ImportError: without transformers (``pip install "dialogym[lm]"``).
    """
    try:
        from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise ImportError('fitting a tokenizer needs transformers: pip install "dialogym[lm]"') from error
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST}, got {size}")
    tokenizer = Tokenizer(models.BPE())
    _add_pipeline(tokenizer, single_digits)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(MARKERS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    words = {name: _pieces(tokenizer, name) for name in whole}
    tokenizer = _with_words(tokenizer, [pieces[0] for pieces in words.values() if len(pieces) == 1])
    passages = [name for name, pieces in words.items() if len(pieces) > 1]
    tokenizer.add_tokens([AddedToken(passage, normalized=False) for passage in passages])
    hf = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(MARKERS[2:]),
        clean_up_tokenization_spaces=False,
    )
    hf.chat_template = TEMPLATE
    hf.save_pretrained(str(folder))


def _add_pipeline(tokenizer: Any, single_digits: bool) -> None:
    """How text becomes pieces, and pieces text."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            *(normalizers.Replace(sign, plain) for sign, plain in TYPOGRAPHY.items()),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
            *([pre_tokenizers.Digits(individual_digits=True)] if single_digits else []),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteLevel(),
            *(decoders.Replace(Regex(joint), "") for joint in JOINTS),
            decoders.Replace(Regex(r"\A "), ""),
        ]
    )


def _pieces(tokenizer: Any, text: str) -> list[str]:
    normal = tokenizer.normalizer.normalize_str(text)
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def _with_words(tokenizer: Any, words: Sequence[str]) -> Any:
    """The tokenizer with more words in its vocabulary, found whole before merges are tried."""
    from tokenizers import Tokenizer

    written = json.loads(tokenizer.to_str())
    vocabulary = written["model"]["vocab"]
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    written["model"]["ignore_merges"] = True
    return Tokenizer.from_str(json.dumps(written))
