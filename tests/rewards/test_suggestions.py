"""A name that there is not is answered with the one that was meant."""

from dialogym.rewards.suggestions import did_you_mean


def test_the_nearest_name_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("rul", ["random", "rule"]) == "; did you mean 'rule'?"
    assert did_you_mean("chess", ["random", "rule"]) == ""
    assert did_you_mean("", ["random", "rule"]) == ""


def test_of_a_mapping_the_name_is_compared_and_what_it_stands_for_is_shown():
    long = {"agent": "runs/a/long/way/down/agent", "notes": "runs/a/long/way/down/notes"}
    assert did_you_mean("agnet", long) == "; did you mean 'runs/a/long/way/down/agent'?"
    assert did_you_mean("picture", long) == ""


def test_the_cutoff_says_how_much_alike_names_must_be():
    assert did_you_mean("TextChess", ["TextChat-v0"], cutoff=0.3) == "; did you mean 'TextChat-v0'?"
    assert did_you_mean("TextChess", ["TextChat-v0"], cutoff=0.9) == ""


def test_an_ending_that_many_names_have_makes_them_no_more_alike():
    ids = ["TextWordle-v0", "TextChat-v0"]
    assert did_you_mean("Nope-v0", ids, cutoff=0.3) == ""
    assert did_you_mean("TextWordl-v0", ids, cutoff=0.3) == "; did you mean 'TextWordle-v0'?"
    assert did_you_mean("TextChat-v1", ids) == "; did you mean 'TextChat-v0'?"
    assert did_you_mean("nope.jsonl", ["broken.jsonl"]) == ""
    assert did_you_mean("brokn.jsonl", ["broken.jsonl", "notes.txt"]) == "; did you mean 'broken.jsonl'?"
    assert did_you_mean("mine.json", ["mine.jsonl"]) == "; did you mean 'mine.jsonl'?"
