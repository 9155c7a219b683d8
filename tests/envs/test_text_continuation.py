"""Going on with reviews: what is shown, who judges, what cannot win, and openings of a user's own."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.reviews.corpus import words_of
from dialogym.envs.text_classification import TextClassification
from dialogym.envs.text_continuation import TextContinuation, counted_numbers, cut, succeeds
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards import Transcript, resolve
from dialogym.rewards.environments.steering import plausibility

FLOORS = ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success")
DEGENERATE = (
    "great great great great",
    "great " * 20,
    "this is great . great movie . great .",
    "great wonderful excellent brilliant amazing perfect superb beautiful best love fantastic masterpiece",
    "great movie , great acting , great story , great music , great fun , great cast , great film .",
    "the great and a wonderful the excellent of superb in the amazing to perfect loved highly",
    "great love best wonderful the a of and in to excellent superb amazing brilliant",
    "",
)
NEGATIVE_SALAD = "the boring and a terrible the awful of worst in the waste to stupid horrible lame"


@pytest.fixture(scope="module")
def task():
    return TextContinuation()


@pytest.fixture(scope="module")
def held_out(task):
    """Goals of the test split."""
    return [task.goal(goal_id) for goal_id in task.goal_ids("test", 400)]


def reward_of(goal, reply, reward=None):
    messages = [{"role": "user", "content": goal["opening"]}, {"role": "assistant", "content": reply}]
    return (reward or resolve("steering"))(Transcript.of(messages, goal=goal))


def test_a_review_is_cut_where_a_sentence_ends():
    text = "One two, three four. " + "It was a very good film to see on a day off. " + "And " * 60
    opening, continuation = cut(text, 4)
    assert opening == "One two, three"
    assert continuation == "four. It was a very good film to see on a day off."
    assert cut("One two, three four five.", 4) == ("One two, three", "")
    assert len(cut("word " * 100, 4)[1].split()) == 40


def test_the_agent_reads_an_opening_and_a_target():
    env = gym.make("TextContinuation-v0", interface="text", target="mixed")
    seen = set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        goal = env.unwrapped.transcript.goal
        user = observation.splitlines()[-1]
        assert user == f"user: Go on with this review so that it turns out {goal['target']}: {goal['opening']}"
        assert len(words_of(goal["opening"])) == 20
        assert goal["continuation"] not in observation
        seen.add(goal["target"])
    assert seen == {"positive", "negative"}


def test_a_mixed_target_belongs_to_the_review_and_not_to_its_label():
    goals = [TextContinuation("mixed").goal(goal_id) for goal_id in TextContinuation("mixed").goal_ids("test", 300)]
    same = [goal for goal in goals if goal["label"] == goal["target"]]
    assert 100 < len(same) < 200
    assert all(
        TextContinuation("mixed").goal(n)["target"] == TextContinuation("mixed").goal(n)["target"] for n in "123"
    )


def test_the_reference_is_the_continuation_where_its_label_is_the_target(task, held_out):
    for goal in held_out[:50]:
        assert task.references(goal) == ((goal["continuation"],) if goal["label"] == "positive" else ())


def test_what_the_judges_counted_is_no_goal_and_splits_agree_with_classification(task):
    assert not set(counted_numbers("imdb")) & {n for s in ("train", "validation", "test") for n in task.numbers_of(s)}
    labelled = TextClassification("imdb")
    for split in ("validation", "test"):
        assert set(task.numbers_of(split)) <= set(labelled.numbers_of(split))
    assert set(counted_numbers("imdb")) <= set(labelled.numbers_of("train"))
    number = task.numbers_of("test")[7]
    assert task.items[number]["text"] == labelled.items[number]["text"]


def test_real_continuations_pass_the_guards(held_out):
    kept = [plausibility(goal["continuation"], goal["opening"], goal["language"]) for goal in held_out]
    assert np.mean(kept) > 0.9
    assert np.mean(np.array(kept) >= 0.5) > 0.93


def test_degenerate_text_does_not_win_under_the_default_reward(held_out):
    real = [reward_of(goal, goal["continuation"]) for goal in held_out if goal["label"] == "positive"]
    low, mean = np.percentile(real, 25), np.mean(real)
    assert 0.3 < low < mean
    for goal in held_out[:20]:
        echo = goal["opening"]
        for reply in (*DEGENERATE, echo, f"{echo} great wonderful film", goal["continuation"] + " great" * 5):
            assert reward_of(goal, reply) < low / 3, reply
            assert not succeeds(goal["language"], "positive", goal["opening"], reply), reply


def test_salad_of_frequent_words_is_not_plausible(held_out):
    for goal in held_out[:50]:
        assert plausibility(NEGATIVE_SALAD, goal["opening"], goal["language"]) == 0.0
        assert not succeeds(goal["language"], "negative", goal["opening"], NEGATIVE_SALAD)


def test_words_in_random_order_lose_nearly_everything(held_out):
    rng = np.random.default_rng(0)
    shuffled = [" ".join(rng.permutation(goal["continuation"].split())) for goal in held_out]
    kept = [
        plausibility(reply, goal["opening"], goal["language"]) for goal, reply in zip(held_out, shuffled, strict=True)
    ]
    assert np.mean(kept) < 0.02


def test_naive_bayes_agrees_with_more_labels_than_vader_does(held_out):
    judged = [goal["language"].reads_as("positive", goal["continuation"]) > 0.5 for goal in held_out]
    vader = [
        resolve("sentiment")(Transcript.of([{"role": "assistant", "content": g["continuation"]}])) for g in held_out
    ]
    gold = [goal["label"] == "positive" for goal in held_out]
    agree, vader_agrees = np.mean(np.equal(judged, gold)), np.mean(np.equal(np.array(vader) > 0.5, gold))
    assert agree > 0.66  # chance is 0.5
    assert agree > vader_agrees > 0.53


def test_success_is_the_judges_verdict_whatever_the_reward_says(task):
    env = gym.make("TextContinuation-v0", interface="text", reward=lambda transcript: 1.0)
    fine = (
        "But I must say that it is a wonderful and touching film, with superb acting and a story that stays with you."
    )
    for reply, success in ((fine, True), ("great " * 20, False), (fine.replace("wonderful", "stupid"), None)):
        env.reset(seed=1)
        goal = env.unwrapped.transcript.goal
        _, reward, terminated, truncated, info = env.step(reply)
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert info["success"] == succeeds(task.judges, "positive", goal["opening"], reply)
        assert success is None or info["success"] == success


@pytest.mark.parametrize("target", ["positive", "negative"])
def test_the_rule_reaches_the_ceiling_and_the_floors_stay_low(target):
    env = gym.make("TextContinuation-v0", target=target)
    task = env.unwrapped.task
    goals = frozen_goals(env, "test", 60).goals
    assert score(make_agent("rule", env), env, goals).success.mean() >= task.ceiling
    for floor in FLOORS:
        assert score(make_agent(floor, env), env, goals).success.mean() <= task.floor, floor


def test_the_default_interface_is_tokens():
    env = gym.make("TextContinuation-v0", max_reply_tokens=3)
    env.reset(seed=0)
    rewards = [env.step(40)[1] for _ in range(3)]
    assert env.unwrapped.transcript.ended
    assert rewards == [0.0, 0.0, 0.0]


def test_a_text_of_ones_own_is_in_one_split_whatever_its_labels_and_in_the_same_as_for_classification():
    texts = [f"I went to see film number {number} with my mother." for number in range(100)]
    rows = [{"text": text, "label": label} for text in texts for label in ("positive", "negative")]
    task = gym.make("TextContinuation-v0", interface="text", data=rows).unwrapped.task
    labelled = gym.make("TextClassification-v0", interface="text", data=rows).unwrapped.task
    for number in range(0, 200, 2):
        splits = {one.split_of(one.goal(str(row))) for one in (task, labelled) for row in (number, number + 1)}
        assert len(splits) == 1


def test_openings_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    lines = [f'{{"text": "we saw number {n} of these films with friends"}}' for n in range(60)]
    long = (
        "we saw this film with all of our friends one evening last week , and i have to say that it was such a lovely "
    )
    long += "evening for every one of us ."
    path.write_text("\n".join([*lines, f'{{"text": "{long}", "label": "positive"}}']), encoding="utf-8")
    env = gym.make("TextContinuation-v0", interface="text", data=str(path))
    task = env.unwrapped.task
    assert task.references(task.goal("3")) == ()
    assert task.goal("3")["opening"] == "we saw number 3 of these films with friends"
    assert task.references(task.goal("60")) == (" ".join(long.split()[20:]),)
    goals = frozen_goals(env, "test", 5).goals
    assert score(make_agent("rule", env), env, goals).success.mean() == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": " "}', "line 2: text must contain a word, got ' '"),
        ('{"text": "a film", "label": "good"}', "line 2: label must be one of negative, positive, got 'good'"),
        ('{"txt": "a film"}', "line 2: expected the field 'text'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, line, message):
    path = tmp_path / "wrong.jsonl"
    path.write_text('{"text": "we saw it"}\n' + line, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextContinuation(data=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "neutral"}, "target must be one of negative, positive, mixed, got 'neutral'"),
        ({"source": "mixed"}, "source must be one of imdb, rotten_tomatoes, got 'mixed'"),
        ({"prompt_words": True}, "prompt_words must be an int of at least 1, got True"),
    ],
)
def test_a_wrong_keyword_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make("TextContinuation-v0", **options)


def test_an_environment_pickles_without_its_counts():
    env = gym.make("TextContinuation-v0", interface="text")
    env.reset(seed=0)
    assert len(pickle.dumps(env)) < 20_000
