"""Values are found however people write them, and nothing else is taken for one."""

import doctest

import pytest

from dialogym.envs.understanding import values
from dialogym.envs.understanding.text import sentences


def read(function, text, **options):
    """The values in each sentence, as the readers of the environments do it."""
    return [
        found.value for sentence in sentences(text, courtesies=True) for found in function(sentence.text, **options)
    ]


def test_the_examples_in_the_docstrings_are_true():
    tried = doctest.testmod(values)
    assert tried.attempted > 5
    assert not tried.failed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("forty", [40]),
        ("Twenty-five", [25]),
        ("twenty five please", [25]),
        ("1,200", [1200]),
        ("It's 3.5, I think.", [3.5]),
        ("a hundred and five", [105]),
        ("two thousand three hundred", [2300]),
        ("one million", [1_000_000]),
        ("a dozen eggs", [12]),
        ("half a dozen", [6]),
        ("minus five", [-5]),
        ("-7", [-7]),
        ("10k", [10_000]),
        ("two point five", [2.5]),
        ("The answer is **42**.", [42]),
        ("Not that one, another one", []),
        ("I'd like one", [1]),
        ("someone else's phone", []),
        ("19:30", []),
        ("01223 350688", []),
        ("three, two, one", [3, 2, 1]),
        ("seventy-two and six", [72, 6]),
        ("one two three", [1, 2, 3]),
        ("between 10 and 20", [10, 20]),
        ("no number at all", []),
    ],
)
def test_numbers(text, expected):
    assert read(values.numbers, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$40", [40]),
        ("forty pounds", [40]),
        ("£40.00", [40]),
        ("40 quid", [40]),
        ("40 bucks", [40]),
        ("$1,200", [1200]),
        ("How about €35.50?", [35.5]),
        ("35 €", [35]),
        ("USD 40", [40]),
        ("40 dollars even", [40]),
        ("two hundred and fifty dollars", [250]),
        ("**$55** is my final offer.", [55]),
        ("50p", [0.5]),
        ("I'll take $45, not $50", [45, 50]),
        ("£2k", [2000]),
        ("40", []),
        ("forty people", []),
        ("40 per cent", []),
        ("a pound cake", []),
    ],
)
def test_money(text, expected):
    assert read(values.amounts, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("half past seven", ["19:30"]),
        ("Half seven, please", ["19:30"]),
        ("quarter to eight", ["19:45"]),
        ("a quarter past 8", ["20:15"]),
        ("ten to six", ["17:50"]),
        ("twenty-five past twelve", ["12:25"]),
        ("7:30 pm", ["19:30"]),
        ("7:30pm", ["19:30"]),
        ("7.30pm", ["19:30"]),
        ("7.30 p.m.", ["19:30"]),
        ("7:30 P.M.", ["19:30"]),
        ("19:30", ["19:30"]),
        ("19.30", ["19:30"]),
        ("19h30", ["19:30"]),
        ("1930 hours", ["19:30"]),
        ("seven thirty", ["19:30"]),
        ("seven-thirty in the evening", ["19:30"]),
        ("seven forty-five", ["19:45"]),
        ("seven pm", ["19:00"]),
        ("7pm", ["19:00"]),
        ("7 o'clock", ["19:00"]),
        ("seven o’clock in the evening", ["19:00"]),
        ("11:30", ["11:30"]),
        ("11:30 am", ["11:30"]),
        ("half past eleven", ["11:30"]),
        ("12:15", ["12:15"]),
        ("quarter past twelve", ["12:15"]),
        ("1pm", ["13:00"]),
        ("9 am", ["09:00"]),
        ("7ish", ["19:00"]),
        ("eight-ish", ["20:00"]),
        ("noon", ["12:00"]),
        ("09:15", ["09:15"]),
        ("at 7:30 or 8:15", ["19:30", "20:15"]),
        ("a table for 2", []),
        ("25:70", []),
        ("01223 350688", []),
        ("£7.30", []),
        ("the first half of the menu", []),
        ("two to three people", []),
    ],
)
def test_times(text, expected):
    assert read(values.times, text) == expected


def test_an_hour_alone_is_a_time_only_where_one_is_expected():
    assert read(values.times, "at seven") == []
    assert read(values.times, "at seven", bare_hours=True) == ["19:00"]
    assert read(values.times, "around 8, for 4 people", bare_hours=True) == ["20:00"]
    assert read(values.times, "at half past 7", bare_hours=True) == ["19:30"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on Friday", ["friday"]),
        ("on Fri", ["friday"]),
        ("this Saturday", ["saturday"]),
        ("Sat. at 8", ["saturday"]),
        ("next Tues", ["tuesday"]),
        ("WEDNESDAY", ["wednesday"]),
        ("Thursdays", ["thursday"]),
        ("Thurs, or Mon", ["thursday", "monday"]),
        ("Sunday's fine", ["sunday"]),
        ("We sat in the sun", []),
        ("Fried rice on money", []),
        ("the day after", []),
    ],
)
def test_days(text, expected):
    assert read(values.days, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("four of us", [4]),
        ("There will be four of us.", [4]),
        ("a table for two", [2]),
        ("A table for 5, please", [5]),
        ("party of six", [6]),
        ("for 4 people", [4]),
        ("2 guests", [2]),
        ("a couple of us", [2]),
        ("it's for 8", [8]),
        ("it's 8", []),
        ("We're eight", [8]),
        ("We'll be 3", [3]),
        ("just me", [1]),
        ("Just for one person", [1]),
        ("Me and my wife", [2]),
        ("my boss and I", [2]),
        ("the two of us", [2]),
        ("for seven on Friday", [7]),
        ("a table for 7 pm", []),
        ("a table for 7:30", []),
        ("there are 3 restaurants", []),
        ("it is 20 pounds", []),
        ("in 5 minutes", []),
    ],
)
def test_people(text, expected):
    assert read(values.party_sizes, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "01223 350688", "01223350688", "01223-350688", "(01223) 350688", "01223 350 688", "0 1 2 2 3 3 5 0 6 8 8",
        "+44 1223 350688", "+44 (0)1223 350688", "The number is **01223 350688**.", "call 01223.350688!",
        "tel:01223 350688",
    ],
)  # fmt: skip
def test_phone_numbers(text):
    assert read(values.phones, text) == ["01223350688"]


@pytest.mark.parametrize("text", ["1,200", "19:30", "£40.00", "30 bridge street", "in 2024", "CB2 1NT"])
def test_what_is_no_phone_number(text):
    assert read(values.phones, text) == []


@pytest.mark.parametrize("text", ["CB2 1NT", "cb21nt", "CB2-1NT", "It's cb2 1nt.", "Cambridge, CB2 1NT, UK"])
def test_postcodes(text):
    assert read(values.postcodes, text) == ["cb21nt"]


def test_what_is_no_postcode():
    assert read(values.postcodes, "table 2 for 2 at B12") == []


@pytest.mark.parametrize(
    "text",
    [
        "I don't mind", "I dont care", "no preference", "Whatever", "anything", "Anything is fine", "any area is fine",
        "I have no strong preference", "up to you", "It doesn't matter", "I'm not fussed about the price", "I'm easy",
        "I don't really mind where", "Anywhere is fine by me", "Surprise me!", "it's all the same to me",
        "Either is fine.", "I do not have a preference",
    ],
)  # fmt: skip
def test_no_preference(text):
    assert any(values.has_no_preference(sentence.text) for sentence in sentences(text))


@pytest.mark.parametrize(
    "text",
    ["Italian", "anything but Chinese", "I mind the noise", "in the north", "do you have anything cheap", "not Thai"],
)
def test_a_preference(text):
    assert not any(values.has_no_preference(sentence.text) for sentence in sentences(text))


@pytest.mark.parametrize("function", ["numbers", "amounts", "times", "days", "party_sizes", "phones", "postcodes"])
def test_the_span_of_a_value_is_what_says_it(function):
    text = "for forty pounds or 12, at 7:30 pm on monday, two people, 01223 350688, cb2 1nt"
    found = getattr(values, function)(text)
    assert found
    for one in found:
        again = getattr(values, function)(text[one.start : one.end])
        assert function == "party_sizes" or [other.value for other in again] == [one.value]


def test_a_long_row_of_digits_is_no_phone_number_and_is_read_at_once():
    assert values.phones("9" * 200 + " [") == ()  # a pattern that tries every way to cut it up never comes back
    assert [found.value for found in values.phones("(01223) 350-688, or 9 9 9 9 9 9 9")] == ["01223350688", "9999999"]
