"""A tokenizer fitted to given texts: byte-level BPE, so that any text can be encoded without loss.

Sennrich et al. (2016), https://arxiv.org/abs/1508.07909, on the bytes of UTF-8. The same texts and library version give
the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

END, PAD = "<|end|>", "<|pad|>"
MARKERS = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def fit_tokenizer(texts: Sequence[str], folder: str | Path, size: int = 2048, whole: Sequence[str] = ()) -> None:
    """Writes a tokenizer into ``folder``, as ``from_pretrained`` reads it.

    Args:
        texts: what its merges are learned from.
        folder: to write into.
        size: of the vocabulary before ``whole``; the bytes and the markers of the chat format are in it, and fewer
            merges where the texts have no more.
        whole: strings that are single tokens, with and without a space before them.

    Raises:
        ValueError: if ``size`` leaves no room for all bytes and the markers.
        ImportError: without transformers (``pip install "dialogym[lm]"``).
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise ImportError('fitting a tokenizer needs transformers: pip install "dialogym[lm]"') from error
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if size < len(alphabet) + len(MARKERS):
        raise ValueError(f"size must be at least {len(alphabet) + len(MARKERS)}, got {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(MARKERS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(space + name, normalized=False) for name in whole for space in ("", " ")])
    hf = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(MARKERS[2:]),
        clean_up_tokenization_spaces=False,
    )
    hf.chat_template = TEMPLATE
    hf.save_pretrained(str(folder))
