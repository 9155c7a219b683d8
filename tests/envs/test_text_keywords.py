"""One sentence with given words: the concept sets, what succeeds, floors, and a user's own sets."""

import pickle

import gymnasium as gym
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.text_keywords import FLUENT, TextKeywords, candidates, fluency, is_fluent_use
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards.environments.keywords import coverage, stem, tokens_of

OWN = '{"words": ["dog", "ball"], "reference": "The dog loved to play with a red ball in the park."}\n'
LONG = '{"words": ["dog"], "reference": "a dog' + " and a dog" * 29 + ' ran ."}'


def test_concept_sets_are_words_of_their_sentence():
    items = TextKeywords().items
    assert len(items) == 5000
    for item in items:
        tokens = tokens_of(item["reference"])
        assert 3 <= len({stem(word) for word in item["words"]}) == len(item["words"]) <= 5
        assert set(item["words"]) <= set(tokens)
        assert 12 <= len(tokens) <= 24
    in_order = [[tokens_of(i["reference"]).index(w) for w in i["words"]] for i in items]
    assert sum(places == sorted(places) for places in in_order) < 0.25 * len(items)  # chance is 1/6 for three words


def test_no_sentence_and_no_set_is_in_two_splits():
    task = TextKeywords()
    seen = {}
    for split in ("train", "validation", "test"):
        for number in task.numbers_of(split):
            item = task.items[number]
            for key in (item["reference"], frozenset(item["words"])):
                assert seen.setdefault(key, number) == number


def test_the_reference_earns_the_whole_reward_and_success():
    env = gym.make("TextKeywords-v0", interface="text")
    for seed in range(20):
        _, info = env.reset(seed=seed)
        _, reward, terminated, truncated, info = env.step(env.unwrapped.transcript.references[0])
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        assert info["reward_terms"] == {"keywords": 1.0}


def test_the_agent_reads_the_words_and_not_the_sentence():
    env = gym.make("TextKeywords-v0", interface="text")
    observation, info = env.reset(seed=0)
    goal = env.unwrapped.transcript.goal
    assert observation.splitlines()[-1] == "user: Write a sentence with these words: " + ", ".join(goal["words"])
    assert goal["reference"] not in observation + repr(info)


def test_floors_fail():
    env = gym.make("TextKeywords-v0")
    goals = frozen_goals(env, "test", 200).goals
    for floor in ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success"):
        assert score(make_agent(floor, env), env, goals).success.mean() <= 0.05, floor


def test_success_needs_both_all_the_words_and_fluency():
    task = TextKeywords()
    item = task.items[0]
    words, sentence = item["words"], item["reference"]
    assert is_fluent_use(words, sentence)
    assert not is_fluent_use((*words, "zebra"), sentence)
    assert not is_fluent_use(words, " ".join(reversed(sentence.split())))


def test_the_guard_tells_real_sentences_it_has_not_chosen_from_shuffled_ones():
    found = [item for _, item in zip(range(300), candidates(), strict=False)]
    real = [fluency(item["reference"], item["words"]) for item in found]
    backwards = [fluency(" ".join([*item["reference"].split()[-2::-1], "."]), item["words"]) for item in found]
    assert sum(value >= FLUENT for value in real) > 0.55 * len(found)
    assert sum(value >= FLUENT for value in backwards) < 0.01 * len(found)


def test_a_fixed_frame_around_the_words_fails():
    task = TextKeywords()
    frames = ("This is one of the {} of the film.", "The film is about the {} of the film.")
    for number in task.numbers_of("validation")[:200]:
        words = task.items[number]["words"]
        for frame in frames:
            assert not is_fluent_use(words, frame.format(" in the ".join(words)))


def test_sets_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(OWN + '{"words": ["sun", "rain", "window"]}\n', encoding="utf-8")
    task = TextKeywords(data=str(path))
    assert task.references(task.items[1]) == ()
    assert "rule" not in task.policies
    path.write_text(OWN, encoding="utf-8")
    assert TextKeywords(data=str(path)).policies["rule"].act("", {"goal_id": "0"}) == task.items[0]["reference"]


def test_sets_of_ones_own_in_csv(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("words\ndog|ball\n", encoding="utf-8")
    assert TextKeywords(data=str(path)).items == [{"words": ["dog", "ball"]}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"words": []}', r"line 2: words must be a list of words, at least one, got \[\]"),
        ('{"words": ["new york", "dog"]}', "line 2: each of words must be one word, got 'new york'"),
        ('{"words": ["U.S."]}', "line 2: each of words must be one word, got 'U.S.'"),
        ('{"words": ["!!!"]}', "line 2: each of words must be one word, got '!!!'"),
        ('{"words": ["dog", "?"]}', r"line 2: each of words must be one word, got '\?'"),
        (LONG, "line 2: reference must have at most 300 characters, got 301: 'a dog"),
        ('{"words": ["a", 3]}', "line 2: words must be a list of words"),
        ('{"words": ["dog", "dogs"]}', "line 2: words must differ in more than their inflection, got dog, dogs"),
        ('{"words": ["cat"], "reference": "a dog ."}', "line 2: reference must use all of cat, got 'a dog .'"),
        (OWN.replace("dog", "park", 1).strip(), "line 2: reference must be new, got"),
        ('{"word": ["cat"]}', "line 2: expected the field 'words'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, line, message):
    path = tmp_path / "own.jsonl"
    path.write_text(OWN + line, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextKeywords(data=str(path))


def test_it_pickles_without_its_data():
    task = TextKeywords()
    assert len(pickle.dumps(task)) < 1000
    assert pickle.loads(pickle.dumps(task)).items is task.items
    assert coverage(task.items[0]["reference"], task.items[0]["words"]) == 1.0
