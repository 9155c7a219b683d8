"""What is said is read apart from how it was written."""

import doctest

import pytest

from dialogym.envs.understanding import text
from dialogym.envs.understanding.text import is_negated, is_question, plain, sentences, without_courtesy, written_out


def test_the_examples_in_the_docstrings_are_true():
    tried = doctest.testmod(text)
    assert tried.attempted >= 5
    assert not tried.failed


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("**Anatolia** is a *Turkish* place", "Anatolia is a Turkish place"),
        ("# Result\n- Ask Restaurant\n- Clowns Cafe", "Result\nAsk Restaurant\nClowns Cafe"),
        ("1. Thai\n2) Indian", "Thai\nIndian"),
        ("> quoted", "quoted"),
        ("```\nsearch(food=thai)\n```", "search(food=thai)"),
        ("```python\nsearch(food=thai)\n```", "search(food=thai)"),
        ("Use `search(food=thai)` now", "Use search(food=thai) now"),
        ("“Anatolia” — it’s great…", "Anatolia - it's great..."),
        ("I'd say 'yes'", "I'd say yes"),
        ("Great 😊👍 thanks :)", "Great thanks"),
        ("[the menu](https://x.org/menu) is here", "the menu is here"),
        ("[name] is in the [area], [said_food]", "[name] is in the [area], [said_food]"),
        ("search(price_range=cheap)", "search(price_range=cheap)"),
        ("Assistant: hello", "hello"),
        ("<think>\nhmm, thai?\n</think>\nWhich area?", "Which area?"),
        ("<b>bold</b><br/>next", "bold next"),
        ("2 * 3 = 6", "2 * 3 = 6"),
        ("a  b\r\n\r\nc", "a b\nc"),
        ("St. Mary's", "St. Mary's"),
        ("café", "café"),
        ("4.", "4."),
        ("", ""),
    ],
)
def test_markup_is_not_read(written, expected):
    assert plain(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("I don't, I dont, I do not", "i do not, i do not, i do not"),
        ("I'm, im, I’m".replace("’", "'"), "i am, i am, i am"),
        ("id like it and I'd take it", "i would like it and i would take it"),
        ("the id is 7", "the id is 7"),
        ("What's, whats", "what is, what is"),
        ("St. Mary's; Mario's", "st. mary's; mario's"),
        ("it's its own", "it is its own"),
        ("won't can't cannot couldnt", "will not can not can not could not"),
        ("we'll they've you're", "we will they have you are"),
        ("let's", "let us"),
        ("the Indian is want", "the indian is want"),
    ],
)
def test_contractions_are_written_out_with_and_without_apostrophes(written, expected):
    assert written_out(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("At 10.30. In St. Mary's. It costs £40.00!", ["at 10.30", "in st. mary's", "it costs £40.00"]),
        ("At 7 p.m. on Friday, please.", ["at 7 p.m. on friday, please"]),
        ("At 7 p.m. Is that OK?", ["at 7 p.m", "is that ok"]),
        ("which area would you like ?", ["which area would you like"]),
        ("I like it.Do you?", ["i like it", "do you"]),
        ("one\ntwo", ["one", "two"]),
        ("Dr. No. 5", ["dr. no. 5"]),
        ("No. I want Thai.", ["no", "i want thai"]),
        ("e.g. Thai food", ["e.g. thai food"]),
        ("Really?! Yes...", ["really", "yes"]),
        ("U.K. food", ["u.k. food"]),
        ("I am in. Are u?", ["i am in", "are you"]),
        ("...", []),
        ("", []),
    ],
)
def test_sentences_end_where_people_end_them(written, expected):
    assert [sentence.text for sentence in sentences(written)] == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "which area would you like", "What's the area", "can you book it", "is there a thai place", "and where is it",
        "Is it bigger than a car", "you want thai, right", "on which day", "How about Anatolia", "anything else",
        "do you have a preference", "any particular area", "you want the north area , right",
    ],
)  # fmt: skip
def test_a_question_asks_with_or_without_its_mark(sentence):
    assert is_question(written_out(sentence))
    assert sentences(sentence + "?")[0].is_question


@pytest.mark.parametrize(
    "sentence",
    ["i want thai food", "what a nice place", "do not worry", "have a nice day", "that is right", "yes, you are right",
     "when you arrive, ask for a table", "whatever", "it is on the right", "would be nice"],
)  # fmt: skip
def test_a_statement_does_not_ask(sentence):
    assert not is_question(sentence)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Sure! The phone number is 01223.", "the phone number is 01223"),
        ("Of course, it's in the north. Let me know if you need anything else!", "it is in the north"),
        ("Great choice! Thanks for waiting. I'd be happy to help. Which area?", "which area?"),
        ("Hi there, I want Thai food", "i want thai food"),
        ("Hello!", "hello"),
        ("Sure, I can help with that! Which area?", "which area?"),
        ("Sure!", "sure"),
        ("Okay, no problem: 40 pounds.", "40 pounds"),
        ("I hope this helps! Have a nice day!", "i hope this helps. have a nice day"),
        ("Surely you want Thai", "surely you want thai"),
        ("Well done", "well done"),
    ],
)
def test_courtesies_are_left_out_unless_there_is_nothing_else(written, expected):
    assert without_courtesy(written) == expected


@pytest.mark.parametrize(
    ("sentence", "negated", "not_negated"),
    [
        ("not italian but thai", ["italian"], ["thai"]),
        ("anything but chinese", ["chinese"], []),
        ("no chinese please", ["chinese"], []),
        ("I don't want Indian, I want Thai", ["indian"], ["thai"]),
        ("no, italian", [], ["italian"]),
        ("I don't mind Italian", [], ["italian"]),
        ("thai instead of indian", ["indian"], ["thai"]),
        ("everything except fish", ["fish"], []),
        ("neither thai nor indian", ["thai", "indian"], []),
        ("isn't there a thai place in the north", [], ["thai", "north"]),
        ("why not thai", [], ["thai"]),
        ("it's not cheap, but it's thai", ["cheap"], ["thai"]),
        ("thai, not indian", ["indian"], ["thai"]),
        ("not only cheap", [], ["cheap"]),
        ("no i want thai", [], ["thai"]),
    ],
)
def test_a_negation_covers_its_clause(sentence, negated, not_negated):
    words = sentences(sentence)[0].text
    for word in negated:
        assert is_negated(words, words.index(word)), (words, word)
    for word in not_negated:
        assert not is_negated(words, words.index(word)), (words, word)
