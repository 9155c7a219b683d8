"""A sentence that uses given words: how many of them are in it, and is it a sentence at all?

The task is CommonGen's: Lin et al. (2020), https://aclanthology.org/2020.findings-emnlp.165, who report coverage too.
Words are compared by :func:`stem`, so that inflections count. Fluency is a guard that needs no download:
:class:`FluencyGuard` asks a bigram model whether words follow each other as in real sentences.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ..base import Reward
from ..text.ngram import NGramModel
from ..text.style import repeated_share
from ..transcript import Transcript

ORDER_RAMP = (0.1, 0.9)
"""Nats per word by which a sentence is likelier than its words alone, where the score leaves 0 and reaches 1."""
PLACE_RAMP = (-0.4, 0.6)
"""The same around the given words alone."""
LISTED_SHARE = 1 / 3
"""Of the given words, how many may stand after a comma, "and" or "or" before a reply counts as a list."""
MAX_WORDS = 30
NO_SENTENCE = 0.25
"""Factor of a reply that is not one sentence."""
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.,!?;:()]")
_MARKS = frozenset(".,!?;:()")
_ARTICLES, _LISTING = frozenset({"a", "an", "the"}), frozenset({",", "and", "or"})
_VOWEL = re.compile("[aeiouy]")


def tokens_of(text: str) -> list[str]:
    """Lower-cased words and punctuation marks, in order."""
    return _TOKEN.findall(text.lower())


@functools.lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A word without the endings of its inflections: plural, third person, -ed, -ing, possessive, a final e.

    Step 1 of Porter (1980), https://doi.org/10.1108/eb046814, and the final e of step 5; derivations stay apart
    (``brave``, ``bravery``), and so do irregular forms (``go``, ``went``).
    """
    word = re.sub("['’](s|$).*", "", word.lower())
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    for ending in ("ed", "ing"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and _VOWEL.search(rest):
            word = rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 2 else word


def coverage(reply: str, words: Sequence[str]) -> float:
    """The share of ``words`` that a reply uses, in any inflection that :func:`stem` takes off.

    Returns:
        A value in [0, 1]; 0.0 for an empty reply.

    Raises:
        ValueError: if ``words`` is empty.
    """
    if not words:
        raise ValueError("coverage needs at least one word, got none")
    said = {stem(token) for token in tokens_of(reply)}
    return sum(stem(word) in said for word in words) / len(words)


class FluencyGuard:
    """Whether a reply is one sentence of words that follow each other as in real sentences.

    The syntactic log-odds ratio (SLOR) of a token is its log-probability after the token before it, less that of the
    token alone: rare words are no fault, a wrong order is. Pauls and Klein (2012), https://aclanthology.org/P12-1101;
    Kann et al. (2018), section 3, https://aclanthology.org/K18-1031, show that it goes with what people find fluent.

    Args:
        sentences: texts that are fluent by definition; tens of thousands, of the kind that is wanted.
    """

    def __init__(self, sentences: Iterable[str]):
        tokens = [tokens_of(sentence) for sentence in sentences]
        self.model = NGramModel(order=2).fit(tokens)
        self.counts = Counter(token for sentence in tokens for token in sentence)
        self._ends = len(tokens)
        self._total = math.log(self.counts.total() + len(tokens) + len(self.counts) + 1)

    def log_odds(self, tokens: Sequence[str]) -> list[float]:
        """SLOR (nats) of each token of a sentence and of its end."""
        alone = [math.log(self.counts[token] + 1) - self._total for token in tokens]
        alone.append(math.log(self._ends + 1) - self._total)
        return [after - bare for after, bare in zip(self.model.logprobs(tokens), alone, strict=True)]

    def __call__(self, reply: str, words: Sequence[str] = ()) -> float:
        """How fluent a reply is, a product of

        - the lower of two scores of order: the mean SLOR of all tokens, and that of the given words and of what follows
          each, so that a list hung onto a good sentence counts as a list (a fixed frame whose words fit any noun does
          not); an unknown word after another, as in "dog's ball's park's", tells nothing there, so at most 0;
        - length: 0 up to as many words as were given, 1 from twice as many and one, and falling above ``MAX_WORDS`` to
          0 for twice that;
        - listing: 1 while at most ``LISTED_SHARE`` of the given words stand right after a comma, "and" or "or" (an
          article may come between), falling to 0 for five of six;
        - one less the share of bigrams that are repeated;
        - ``NO_SENTENCE`` unless there is one ``.``, ``!`` or ``?``, at the end.

        Returns:
            A value in [0, 1]; 0.0 for a reply without words.
        """
        tokens = tokens_of(reply)
        num_words = sum(token not in _MARKS for token in tokens)
        if not num_words:
            return 0.0
        stems = {stem(word) for word in words}
        places = [place for place, token in enumerate(tokens) if stem(token) in stems]
        order = self._order(tokens, places) * _listing(tokens, places)
        shape = 1.0 if tokens[-1] in ".!?" and sum(token in ".!?" for token in tokens) == 1 else NO_SENTENCE
        return order * shape * _length(num_words, len(words)) * (1.0 - repeated_share(" ".join(tokens), n=2))

    def _order(self, tokens: Sequence[str], places: Sequence[int]) -> float:
        odds = self.log_odds(tokens)
        score = _ramp(math.fsum(odds) / len(odds), ORDER_RAMP)
        if places:
            known = [True, *(token in self.model.ids for token in tokens), True]
            told = [value if known[i] or known[i + 1] else min(value, 0.0) for i, value in enumerate(odds)]
            near = math.fsum(told[place] + told[place + 1] for place in places) / (2 * len(places))
            score = min(score, _ramp(near, PLACE_RAMP))
        return score


class Keywords(Reward):
    """:func:`coverage` of ``goal["words"]`` by the last reply, times its fluency; bounds [0, 1], 0.0 when empty.

    Args:
        guard: ``(reply, words) -> [0, 1]``, such as a :class:`FluencyGuard`.

    Raises:
        ValueError: when called, if the goal gives no words (another task).
    """

    name: str = "keywords"

    def __init__(self, guard: Callable[[str, Sequence[str]], float]):
        self.guard = guard

    def __call__(self, transcript: Transcript) -> float:
        words = transcript.goal.get("words")
        if not words:
            raise ValueError(f"transcript.goal must have 'words', got {words!r}")
        return coverage(transcript.reply, words) * self.guard(transcript.reply, words)


def _listing(tokens: Sequence[str], places: Sequence[int]) -> float:
    if not places:
        return 1.0
    share = sum(_is_listed(tokens, place) for place in places) / len(places)
    return min(1.0, max(0.0, 1.0 - 2.0 * (share - LISTED_SHARE)))


def _is_listed(tokens: Sequence[str], place: int) -> bool:
    before = place - 1
    if before >= 0 and tokens[before] in _ARTICLES:
        before -= 1
    return before >= 0 and tokens[before] in _LISTING


def _length(num_words: int, num_given: int) -> float:
    short = (num_words - num_given) / (num_given + 1)
    return max(0.0, min(1.0, short, 2.0 - num_words / MAX_WORDS))


def _ramp(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return min(1.0, max(0.0, (value - low) / (high - low)))
