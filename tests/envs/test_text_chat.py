"""Small talk: how the partner goes on, when it leaves, and what counts as a good reply."""

import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.chat.corpus import MAX_WORDS, cut, rated_conversations, spaced, tidy
from dialogym.envs.chat.corpus import own_conversations as read_conversations
from dialogym.envs.chat.partner import CLOSES, GOODBYES, HELLOS, LEAVES, PARDON, Place
from dialogym.envs.chat.retrieval import EmbeddingIndex, TfidfIndex, make_index
from dialogym.envs.core.streams import Streams
from dialogym.envs.text_chat import TextChat
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards.environments.chat import RATING_WEIGHTS, fit_ratings, predicted_rating

from .utterances import utterances

NOUNS = "apples bears clouds drums eagles forests guitars horses islands jewels kites lemons mountains noodles oranges"


def own_conversations(count=60):
    """Conversations in which no two turns are alike: of the number, a noun, and what follows from it."""
    for number in range(count):
        noun = NOUNS.split()[number % 15]
        yield [f"{verb} {noun} w{number}x{verb}" for verb in ("buy", "sell", "paint", "draw", "find", "lose")]


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in own_conversations()))
    return str(path)


def played(env, *replies):
    env.reset(seed=0)
    for reply in replies:
        *_, info = env.step(reply)
    return info


def rewards_of(env, agent_name, goals):
    return score(make_agent(agent_name, env), env, goals)


def test_the_partner_goes_on_as_the_person_did_and_closes_after_the_last_turn(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file, turns=3)
    _, info = env.reset(seed=0)
    turns = env.unwrapped.task.goal(info["goal_id"])["turns"]
    for reply, answer in ((turns[1], turns[2]), (turns[3], turns[4])):
        _, reward, terminated, _, info = env.step(reply)
        assert (info["messages"][-1]["content"], terminated) == (answer, False)
        assert reward == pytest.approx(1.0)
    _, _, terminated, _, info = env.step(turns[5])
    assert terminated
    assert info["success"]
    assert info["messages"][-1]["content"] in CLOSES
    assert env.unwrapped.transcript.parts_done == 3


def test_one_poor_reply_is_forgiven_and_the_second_ends_it(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file)
    info = played(env, "")
    assert info["messages"][-1]["content"] in PARDON
    *_, terminated, truncated, info = env.step("漢字 🙂")
    assert (terminated, truncated, info["success"]) == (True, False, False)
    assert info["messages"][-1]["content"] in LEAVES


UTTERANCES = utterances("TextChat-v0")


@pytest.fixture(scope="module")
def someone():
    task = TextChat()
    partner = task.partner(task.goal("0"), Streams(), "train")
    partner.open()
    return partner


@pytest.mark.parametrize("said", UTTERANCES, ids=[said["text"] for said in UTTERANCES])
def test_what_people_and_chat_models_say_is_understood(said, someone):
    assert someone.act_of(said["text"]) == said["act"]


def test_there_are_sixty_utterances_and_some_of_every_act():
    assert len({said["text"] for said in UTTERANCES}) >= 60
    assert {said["act"] for said in UTTERANCES} == {"goodbye", "greeting", "nonsense", "nothing", "talk"}


def test_a_goodbye_ends_it_without_success_and_one_that_is_only_spoken_of_does_not(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file)
    info = played(env, "Sorry, I have to go. Goodbye!")
    assert info["messages"][-1]["content"] in GOODBYES
    assert (env.unwrapped.partner.over, info["success"]) == (True, False)
    played(env, "I said goodbye to the bears")
    assert not env.unwrapped.partner.over


def test_a_goodbye_at_the_end_is_as_good_as_what_was_said_before(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file, turns=2)
    _, info = env.reset(seed=0)
    env.step(env.unwrapped.task.goal(info["task"])["turns"][1])
    *_, terminated, _, info = env.step("Bye, it was nice to talk to you!")
    assert (terminated, info["success"]) == (True, True)
    assert info["messages"][-1]["content"] in CLOSES


def test_a_greeting_is_returned_and_what_was_expected_is_still_to_be_said(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file)
    _, info = env.reset(seed=0)
    turns = env.unwrapped.task.goal(info["task"])["turns"]
    *_, info = env.step("Hello, how are you?")
    assert info["messages"][-1]["content"] in [f"{hello} {turns[0]}" for hello in HELLOS]
    _, reward, _, _, info = env.step(turns[1])
    assert (info["messages"][-1]["content"], reward) == (turns[2], pytest.approx(1.0))


def test_after_a_misunderstanding_the_persons_reply_is_still_good(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file, turns=2)
    _, info = env.reset(seed=0)
    turns = env.unwrapped.task.goal(info["goal_id"])["turns"]
    env.step("xyzzy")
    *_, terminated, _, info = env.step(turns[1])
    assert terminated
    assert info["success"]


def test_a_reply_that_leads_elsewhere_gets_what_was_answered_there(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file)
    env.reset(seed=0)
    world = env.unwrapped.task.world
    own = env.unwrapped.partner.goal["number"]
    about_another_noun = [place for place in world.places if (place.conversation - own) % 15]
    place = next(place for place in about_another_noun if place.turn == 1)
    *_, info = env.step(world.text(place))
    assert info["messages"][-1]["content"] == world.after(place)
    assert env.unwrapped.partner.place == Place(place.conversation, 2)


def test_repeating_what_was_said_and_talking_on_and_on_are_poor(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file)
    env.reset(seed=0)
    partner = env.unwrapped.partner
    gold = partner.moment.expected[0]
    assert partner.quality(gold) == 1.0
    assert partner.quality(partner.moment.text) == 0.0
    assert partner.quality(gold + " and" * 40) == 0.0
    assert partner.quality("") == 0.0


def test_the_turn_limit_cuts_without_success(own_file):
    env = gym.make("TextChat-v0", interface="text", data=own_file, max_turns=1)
    _, info = env.reset(seed=0)
    *_, terminated, truncated, info = env.step(env.unwrapped.task.goal(info["goal_id"])["turns"][1])
    assert (terminated, truncated, info["success"]) == (False, True, False)


def test_the_summary_points_at_replies_and_the_rule_at_the_persons():
    env = gym.make("TextChat-v0", interface="choices", split="test")
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        partner = env.unwrapped.partner
        assert env.observation_space.contains(observation)
        assert len(set(partner.candidates)) == 8
        assert partner.phrase(make_agent("rule", env).act(observation, info)) == partner.moment.expected[0]
        if observation[2]:
            assert partner.candidates[observation[1]] in partner.moment.expected[1:]


def test_the_persons_replies_succeed_and_the_floors_fail_on_held_out_goals():
    env = gym.make("TextChat-v0", interface="choices")
    goals = frozen_goals(env, "test", 100).goals
    assert rewards_of(env, "rule", goals).success.mean() >= TextChat.ceiling
    for name in ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success"):
        assert rewards_of(env, name, goals).success.mean() <= TextChat.floor, name


def test_retrieval_beats_chance_but_not_the_person():
    env = gym.make("TextChat-v0", interface="choices")
    successes = []
    for goal_id, seed in frozen_goals(env, "test", 100).goals:
        observation, info = env.reset(seed=seed, options={"goal_id": goal_id})
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(int(observation[1]))
            over = terminated or truncated
        successes.append(info["success"])
    assert 0.3 < np.mean(successes) < 0.8


def test_nothing_retrieved_comes_from_held_out_conversations():
    task = TextChat()
    held_out = {*task.numbers_of("test"), *task.numbers_of("validation")}
    assert held_out
    assert not held_out & {place.conversation for place in task.world.places}


def test_the_corpus_of_short_answers_is_played_to_the_end():
    env = gym.make("TextChat-v0", interface="choices", corpus="chatterbot")
    goals = frozen_goals(env, "test", 60).goals
    assert rewards_of(env, "rule", goals).success.mean() >= 0.9
    assert rewards_of(env, "random", goals).success.mean() <= TextChat.floor


def test_the_shipped_weights_of_the_rating_are_those_of_the_training_split():
    task = TextChat()
    rated = rated_conversations()
    train = [pair for pair in rated if task.split_of({"turns": pair[0]}) == "train"]
    others = [pair for pair in rated if task.split_of({"turns": pair[0]}) != "train"]
    weights = fit_ratings([turns for turns, _ in train], [rating for _, rating in train])
    assert weights == pytest.approx(dict(RATING_WEIGHTS), abs=1e-4)
    predicted = [predicted_rating(turns, weights) for turns, _ in others]
    assert np.corrcoef(predicted, [rating for _, rating in others])[0, 1] > 0.1  # weak, and said to be


def test_turns_are_tidied_and_private_ones_end_a_conversation(tmp_path):
    assert tidy("Hi ,YOU !  don’t") == "Hi, YOU! don't"
    assert tidy("so so . . . :) ok") == "so so... :) ok"
    assert spaced("Hi, YOU! don't") == "hi , you ! don't"
    path = tmp_path / "own.csv"
    path.write_text("turns\nWho are you?|Bob|call me at 555 123 4567|ok\nDo you sing?|no|no|why not\n")
    found, fields, _ = read_conversations(str(path))
    assert [item["turns"] for item in found] == [("Who are you?", "Bob"), ("Do you sing?", "no")]
    assert fields == {"turns": "turns"}


def test_a_long_turn_is_cut_after_so_many_words_and_signs_and_keeps_its_letters():
    assert cut("Yes, I do! And you?", 5) == "Yes, I do!"
    assert cut("", 5) == ""
    said = [turn for item in TextChat().items for turn in item["turns"]]
    assert max(len(spaced(turn).split()) for turn in said) <= MAX_WORDS + 2  # an emoticon in brackets falls apart
    assert sum(turn[0].isupper() for turn in said) > len(said) / 4
    assert not any(sign in turn for turn in said for sign in (" , ", " ? "))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"turns": ["hi"]}', r"own\.jsonl, line 1: turns must be a list of at least two texts with words"),
        ('{"turns": ["hi", "?"]}', "line 1: turns must be a list of at least two texts with words"),
        ('{"turns": "hi"}', "line 1: turns must be a list, got 'hi'"),
        ('{"talk": []}', "own.jsonl: expected the field 'turns'"),
    ],
)
def test_a_wrong_line_of_a_users_file_is_named(tmp_path, line, message):
    path = tmp_path / "own.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        TextChat(data=str(path))


def test_an_edited_file_is_read_again(own_file):
    import os

    assert len(TextChat(data=own_file).items) == 60
    with open(own_file, "a") as file:
        file.write('{"turns": ["something else", "indeed"]}\n')
    os.utime(own_file, ns=(1, 1))
    assert len(TextChat(data=own_file).items) == 61


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corpus": "reddit"}, "corpus must be one of chitchat, chatterbot, got 'reddit'"),
        ({"retrieval": "magic"}, "retrieval must be one of tfidf, embeddings, got 'magic'"),
        ({"turns": 0}, "turns must be an int of at least 1, got 0"),
        ({"max_conversations": True}, "max_conversations must be an int of at least 1, got True"),
    ],
)
def test_a_wrong_option_says_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        TextChat(**options)


def test_copies_share_the_index_and_a_fresh_process_makes_it_again(own_file):
    task = TextChat(data=own_file)
    assert copy.deepcopy(task).world is task.world
    assert len(pickle.dumps(task)) < 1000
    assert pickle.loads(pickle.dumps(task)).world is task.world


def test_the_nearest_text_is_found_as_scikit_learn_would():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["do you like jazz", "jazz is loud", "the sea is calm", "loud loud music"]
    index = TfidfIndex(texts)
    vectorizer = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True)
    matrix = vectorizer.fit_transform(texts)
    for query in ("is jazz loud ?", "loud loud sea"):
        exact = (matrix @ vectorizer.transform([query]).T).toarray().ravel()
        assert index.scores(query) == pytest.approx(exact, abs=1e-6)
        assert index.nearest(query, 1)[0][0] == int(exact.argmax())
    assert index.nearest("xyzzy", 3) == index.nearest("", 3) == []


def test_embeddings_find_a_text_in_other_words():
    pytest.importorskip("transformers")
    index = make_index("embeddings", ["my dog is ill", "we won the match", "rain all week"])
    assert isinstance(index, EmbeddingIndex)
    assert [index.nearest(query, 1)[0][0] for query in ("a sick puppy", "victory in the game", "bad weather")] == [
        0,
        1,
        2,
    ]
    assert index.nearest("", 1) == []


@pytest.mark.parametrize(("turns", "told"), [(1, "lasts one turn"), (5, "lasts 5 turns")])
def test_the_instructions_tell_how_long_it_lasts_and_when_the_partner_leaves(own_file, turns, told):
    task = TextChat(data=own_file, turns=turns)
    assert told in task.instructions
    assert "40 words" in task.instructions
