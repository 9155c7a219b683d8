"""Twenty questions: what is understood, how it ends, who wins, and a user's own table."""

import itertools

import gymnasium as gym
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.core.streams import Streams
from dialogym.envs.text_twenty_questions import ATTRIBUTES, GUESS, NO, QUESTIONS, UNANSWERED, YES, TextTwentyQuestions
from dialogym.envs.twenty_questions.understanding import Meaning
from dialogym.evaluation.score import frozen_goals, score

from .own_files import edited_and_pickled
from .utterances import utterances

TASK = TextTwentyQuestions()
meaning = TASK.understanding.meaning


def partner_of(thing, **options):
    task = TextTwentyQuestions(**options) if options else TASK
    return task.partner(task.items[task.things.index(thing)], Streams(), "train")


def test_every_pair_of_at_least_150_things_differs():
    assert len(TASK.things) >= 150
    assert all(one != other for one, other in itertools.combinations(TASK.table, 2))
    assert all(any(attribute in have for have in TASK.table) for attribute in ATTRIBUTES)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_menus_question_and_the_bare_attribute_in_lower_case_are_understood(attribute):
    asked = Meaning("ask", ((attribute, True),))
    assert meaning(QUESTIONS[attribute]) == asked
    assert meaning(QUESTIONS[attribute].lower().replace("?", " ?")) == asked


@pytest.mark.parametrize("thing", TASK.things)
def test_every_thing_can_be_guessed_and_spoken_of(thing):
    for said in (f"Is it a {thing}?", f"I think it's the {thing}.", f"My guess: {thing}.", f"is it the {thing} ?"):
        assert meaning(said) == Meaning("guess", thing=thing)
    for said in (f"Is it bigger than a {thing}?", f"It isn't a {thing}.", f"Would it be afraid of the {thing}?"):
        assert meaning(said).act in ("unknown", "puzzled")


UTTERANCES = utterances("TextTwentyQuestions-v0")


@pytest.mark.parametrize("said", UTTERANCES, ids=[said["text"] for said in UTTERANCES])
def test_what_people_and_chat_models_say_is_understood(said):
    thing, attributes = said.get("thing"), tuple(said.get("attributes", {}).items())
    found = meaning(said["text"])
    assert (found.act, found.thing, set(found.attributes)) == (said["act"], thing, set(attributes))


def test_there_are_sixty_utterances_and_some_of_every_act():
    assert len({said["text"] for said in UTTERANCES}) >= 60
    assert {said["act"] for said in UTTERANCES} == {"ask", "guess", *UNANSWERED}


@pytest.mark.parametrize(
    ("said", "act"),
    [
        ("Is it bigger than a car?", "unknown"), ("It might be a cat.", "unclear"),
        ("Is it a cat or a dog?", "several"),
        ("It's not a cat.", "puzzled"), ("Does it look like a cat?", "unknown"), ("If it's a cat, I win.", "puzzled"),
    ],
)  # fmt: skip
def test_to_speak_of_a_thing_is_no_guess(said, act):
    partner = partner_of("cat")
    ((_, answer),) = partner.hear(said)
    assert answer in UNANSWERED[act]
    assert (partner.over, partner.told) == (False, {})


def test_what_holds_of_a_question_about_two_attributes_is_kept_where_it_is_sure():
    horse, cat = partner_of("horse"), partner_of("cat")
    assert horse.hear("Is it a farm animal?")[0][1] in YES
    assert horse.told == {"farm": True, "animal": True}
    assert cat.hear("Is it a farm animal?")[0][1] in NO
    assert cat.told == {}
    cat.hear("Is it an animal?")
    cat.hear("Is it a farm animal?")
    assert cat.told == {"animal": True, "farm": False}
    assert cat.hear("Is it inanimate?")[0][1] in NO
    assert cat.told["alive"] is True


def test_answers_are_true():
    for thing, question, answers in (
        ("cat", "is it alive ?", YES), ("cat", "can it fly ?", NO), ("moon", "so , is it ROUND", YES),
        ("violin", "music?", YES),
        ("cat", "Is it smaller than a person?", YES), ("horse", "Is it smaller than a person?", NO),
    ):  # fmt: skip
        ((role, said),) = partner_of(thing).hear(question)
        assert role == "user"
        assert said in answers


@pytest.mark.parametrize("nonsense", ["", "  ", "is it alive and round ?", "hm", "漢字", "cat or dog ?", "x" * 300])
def test_nonsense_gets_no_answer_and_does_not_end_the_game(nonsense):
    partner = partner_of("cat")
    assert partner.hear(nonsense)[0][1] in (*UNANSWERED["puzzled"], *UNANSWERED["several"])
    assert (partner.over, partner.told) == (False, {})


def test_a_guess_ends_the_game():
    right, wrong = partner_of("cat"), partner_of("cat")
    right.hear("is it a cat ?")
    wrong.hear("is it a dog ?")
    assert (right.over, right.success) == (True, True)
    assert (wrong.over, wrong.success) == (True, False)


def test_the_turn_limit_is_twenty():
    env = gym.make("TextTwentyQuestions-v0", interface="text")
    env.reset(seed=0)
    for turn in range(1, 21):
        _, reward, terminated, truncated, info = env.step("hm")
        assert (terminated, truncated) == (False, turn == 20)
    assert reward == pytest.approx(-0.61)
    assert not info["success"]


def test_the_oracle_finds_every_thing_in_few_questions():
    env = gym.make("TextTwentyQuestions-v0")
    oracle = make_agent("rule", env)
    goals = [(str(number), number) for number in range(len(TASK.things))]
    scores = score(oracle, env, goals)
    assert scores.success.all()
    assert scores.turns.mean() < 11
    assert scores.turns.max() <= 20


def test_more_noise_means_less_success():
    env = gym.make("TextTwentyQuestions-v0")
    goals = frozen_goals(env, "test", 100).goals
    found = []
    for noise in (0.0, 0.1, 0.3):
        noisy = gym.make("TextTwentyQuestions-v0", noise=noise)
        found.append(score(make_agent("rule", noisy), noisy, goals).success.mean())
    assert found[0] > found[1] > found[2]


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("thing,attributes\nleaf,plant|green\nblood,red|body\n", encoding="utf-8")
    assert TextTwentyQuestions(data=str(path)).things == ("leaf", "blood")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("leaf,plant|grean", "line 3: attributes must be among .*, got 'grean'"),
        ("Leaf !,plant", "line 3: thing must be a name that no other thing has, got 'Leaf !', .* those of 'leaf'"),
        ("blade,plant|green", "line 3: 'blade' has the same attributes as 'leaf'"),
        ("leaf,plant", "line 3: thing must be a name that no other thing has, got 'leaf'"),
    ],
)
def test_a_wrong_table_is_told(tmp_path, line, message):
    path = tmp_path / "own.csv"
    path.write_text(f"thing,attributes\nleaf,plant|green\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextTwentyQuestions(data=str(path))


def test_a_wrong_noise_is_told():
    with pytest.raises(ValueError, match=r"noise must be a number in \[0, 1\), got 1.5"):
        TextTwentyQuestions(noise=1.5)


def test_an_edited_table_is_read_again_from_any_folder(tmp_path, monkeypatch):
    task = edited_and_pickled(
        TextTwentyQuestions, "thing,attributes\nleaf,plant\n", "thing,attributes\nblood,red\n", tmp_path, monkeypatch
    )
    assert task.things == ("blood",)


def test_an_answer_that_halves_what_it_may_be_is_a_part_and_a_question_that_tells_nothing_is_none():
    partner = partner_of("cat")
    assert partner.parts_done == 0
    partner.hear("hm")
    assert partner.parts_done == 0
    while (best := partner.summary()[1]) < GUESS:
        partner.hear(partner.phrase(best))
        left = len(partner.fitting())
        assert 2**partner.parts_done <= len(TASK.things) / left < 2 ** (partner.parts_done + 1)
    assert partner.parts_done == 7  # 223 things, one left


def test_the_menu_asks_eight_new_questions_the_best_among_them_wherever_chance_puts_it():
    slots = []
    for thing in TASK.things[::10]:
        partner = partner_of(thing)
        for turn in range(12):
            best = TASK.knowledge(frozenset(partner.told.items()))[1]
            if best is None:
                assert partner.summary()[1] == GUESS
                break
            slots.append(partner.summary()[1])
            questions = [partner.phrase(choice) for choice in range(GUESS)]
            assert questions[slots[-1]] == QUESTIONS[ATTRIBUTES[best]]
            assert len(set(questions)) == GUESS
            assert partner.allowed() == bytes([1] * (GUESS + 1))
            asked = set(partner.told)
            partner.hear(questions[turn % GUESS])
            assert len(set(partner.told) - asked) == 1  # it is answered, and was not asked before
    assert set(slots) == set(range(GUESS))
    assert max(map(slots.count, range(GUESS))) < len(slots) / 4


def test_when_everything_was_asked_the_menu_only_guesses():
    partner = partner_of("cat")
    for attribute in ATTRIBUTES:
        partner.hear(QUESTIONS[attribute])
    assert partner.allowed() == bytes([0] * GUESS + [1])
    assert partner.phrase(0) == partner.phrase(GUESS) == "Is it the cat?"


def test_the_instructions_tell_the_form_of_a_reply_and_the_limits():
    told = TASK.instructions
    for needed in ("twenty turns", "one single guess", "Can it fly?", "Is it a cat?"):
        assert needed in told
    assert meaning("Can it fly?") == Meaning("ask", (("flies", True),))
