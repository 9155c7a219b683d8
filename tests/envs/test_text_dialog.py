"""The restaurant user: what it wants, says, and never does."""

import os
import re

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs.restaurant.database import CONSTRAINT_SLOTS, DONTCARE, Database, load_database
from dialogym.envs.restaurant.goals import final_constraints
from dialogym.envs.restaurant.policies import rule
from dialogym.envs.restaurant.understanding import Reader
from dialogym.envs.restaurant.wording import BANKS, MENU, MENU_WORDS, TEST, TRAIN, user_text
from dialogym.envs.text_dialog import PYDIAL

from .invariants import check_conversations, random_chooser, rule_chooser

ENV_ID = "dialogym:TextDialog-v0"
HEADER = "name,food,area,pricerange,phone,address,postcode\n"


def play(policy, conversations=200, **options):
    """Success rate and mean turns of a policy."""
    env = gym.make(ENV_ID, **options)
    successes, turns = [], []
    observation, info = env.reset(seed=0)
    for _ in range(conversations):
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(policy(observation, info))
            ended = terminated or truncated
        successes.append(info["success"])
        turns.append(info["turn"])
        observation, info = env.reset()
    return float(np.mean(successes)), float(np.mean(turns))


def talk(*utterances, seed=0, **options):
    """A conversation in which the agent says the given things; the environment after it."""
    env = gym.make(ENV_ID, interface="text", **options)
    env.reset(seed=seed)
    for utterance in utterances:
        env.step(utterance)
    return env


def last_user(env):
    return [message["content"] for message in env.unwrapped.messages if message["role"] == "user"][-1]


# Ceiling, floors and difficulty


def test_the_rule_agent_reaches_the_declared_ceiling():
    for split in ("train", "validation", "test"):
        success, turns = play(rule, 500, split=split)
        assert success >= 0.98
        assert 4 < turns < 10


def test_the_task_gets_harder_with_noise():
    rates = [play(rule, 500, noise=noise)[0] for noise in (0.0, 0.15, 0.3, 0.6)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] - rates[-1] > 0.3


@pytest.mark.parametrize("floor", ["inform_everything", "claim_success"])
def test_the_tasks_own_floors_stay_at_the_floor(floor):
    task = gym.make(ENV_ID).unwrapped.task
    policy = task.policies[floor]
    success, _ = play(policy.act, 300, interface=policy.interface)
    assert success <= task.floor


@pytest.mark.parametrize("setting", sorted(PYDIAL))
def test_pydials_settings_are_keyword_arguments(setting):
    env = gym.make(ENV_ID, **PYDIAL[setting])
    _, info = env.reset(seed=0)
    assert bool(info["action_mask"].all()) == (not PYDIAL[setting]["masks"])
    assert env.unwrapped.task.made_with["noise"] == PYDIAL[setting]["noise"]


# Invariants


@pytest.mark.parametrize("chooser", [rule_chooser, random_chooser])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_user_keeps_its_invariants(chooser, noise):
    seen = check_conversations(700, chooser, noise=noise)
    assert seen["bye"] + seen["hang_up"] + seen["truncated"] == 700
    assert seen["hang_up"] > (0 if chooser is rule_chooser else 150)
    if chooser is rule_chooser:
        assert seen["success"] > 300


@pytest.mark.parametrize("noise", [0.15, 0.3])
def test_the_realised_noise_is_the_nominal_noise(noise):
    seen = check_conversations(1500, rule_chooser, noise=noise)
    assert seen["semantic_items"] > 10_000
    assert abs(seen["semantic_errors"] / seen["semantic_items"] - noise) < 0.015  # the benchmark holds it to 0.01


def test_without_noise_nothing_is_garbled():
    assert check_conversations(100, rule_chooser)["semantic_errors"] == 0


def test_the_same_goal_can_be_replayed_under_other_noise():
    env = gym.make(ENV_ID, interface="text", noise=0.5)
    goal = env.unwrapped.task.goal_ids("train", 1)[0]
    texts = set()
    for seed in range(8):
        env.reset(seed=seed, options={"task": goal})
        env.step("what kind of food would you like ?")
        texts.add(env.unwrapped.messages[-1]["content"])
    assert len(texts) > 2


def test_noise_changes_what_is_read_and_not_what_is_meant():
    for seed in range(20):
        clean = talk(seed=seed, noise=0.0).unwrapped.partner
        noisy = talk(seed=seed, noise=0.9).unwrapped.partner
        assert clean.goal == noisy.goal
        assert clean.last_acts == noisy.last_acts
        assert clean.patience == noisy.patience


# Goals


def test_reachability_of_goals_is_known_and_as_configured():
    task = gym.make(ENV_ID, unreachable=0.3).unwrapped.task
    goals = [task.goal(str(number)) for number in range(2000)]
    impossible = [goal for goal in goals if not task.database.matching(goal["constraints"])]
    assert abs(len(impossible) / 2000 - 0.3) < 0.04  # standard error 0.01
    for goal in goals:
        assert (goal["relax"] is not None) == (not task.database.matching(goal["constraints"]))
        assert task.database.matching(final_constraints(goal))
        assert sum((goal["relax"] is not None, goal["change"] is not None, goal["alternative"])) <= 1
        assert goal["requests"] or goal["booking"]


def test_goals_have_every_feature_they_are_said_to_have():
    task = gym.make(ENV_ID).unwrapped.task
    goals = [task.goal(str(number)) for number in range(1000)]
    shares = {
        "dontcare": np.mean([any(value == DONTCARE for _, value in goal["constraints"]) for goal in goals]),
        "booking": np.mean([goal["booking"] is not None for goal in goals]),
        "fallback": np.mean([goal["fallback"] is not None for goal in goals]),
        "change": np.mean([goal["change"] is not None for goal in goals]),
        "alternative": np.mean([goal["alternative"] for goal in goals]),
    }
    assert all(0.03 < share < 0.7 for share in shares.values()), shares


def test_nothing_the_agent_reads_depends_on_a_value_before_it_is_said():
    """Two goals that differ only in a booking not yet spoken of are indistinguishable."""
    task = gym.make(ENV_ID, unreachable=0, goal_change=0, alternatives=0).unwrapped.task
    env = gym.make(ENV_ID, interface="text", unreachable=0, goal_change=0, alternatives=0)
    checked = 0
    for number in range(400):
        goal = task.goal(str(number))
        if goal["booking"] is None:
            continue
        env.reset(seed=1, options={"task": str(number)})
        shown = " ".join(message["content"] for message in env.unwrapped.messages)
        for slot, value in goal["booking"][1:]:
            assert value not in shown, (slot, value, shown)
        checked += 1
    assert checked > 100


# What the user understands


def test_a_terse_question_works_as_well_as_a_polite_sentence():
    answers = {last_user(talk(words, seed=4)) for words in ("area?", "area", "which area would you like ?", "AREA ?!")}
    assert len({re.sub(r"\W+", " ", answer) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("words", "asked"),
    [("what part of town ?", ("area",)), ("price and food please", ("pricerange", "food")), ("when ?", ("day",))],
)
def test_requests_are_found_by_what_the_words_contain(words, asked):
    assert Reader(load_database()).understand(words).asked == asked


def test_plain_names_and_values_are_understood():
    understood = Reader(load_database()).understand("Pizza Hut City Centre is a cheap italian place in the centre")
    assert ("name", "pizza hut city centre") in understood.values
    assert ("food", "italian") in understood.values
    assert ("area", "centre") in understood.values


def test_every_reply_of_the_menu_means_the_same_in_all_its_wordings():
    reader = Reader(load_database())
    for name, options in zip(MENU, MENU_WORDS, strict=True):
        meanings = {_meaning(reader.understand(words)) for words in options}
        assert len(meanings) == 1, (name, meanings)


def _meaning(understood):
    facts = frozenset(
        slot for slot in understood.slots if slot in ("phone", "address", "postcode", "name", "reference")
    )
    names = [name for name in understood.__slots__ if name.startswith(("claims", "asks", "says", "is_"))]
    flags = tuple(getattr(understood, name) for name in names if name != "is_question")
    return facts, flags, understood.tool


def test_a_menu_choice_and_its_words_are_the_same_turn():
    for seed in range(30):
        menu = gym.make(ENV_ID, interface="choices", noise=0.2)
        words = gym.make(ENV_ID, interface="text", noise=0.2)
        observation, info = menu.reset(seed=seed)
        words.reset(seed=seed)
        ended = False
        while not ended:
            observation, reward, terminated, truncated, info = menu.step(rule(observation, info))
            said = menu.unwrapped.transcript.reply
            _, same_reward, same_terminated, same_truncated, same_info = words.step(said)
            assert (reward, terminated, truncated) == (same_reward, same_terminated, same_truncated)
            assert menu.unwrapped.messages == same_info["messages"]
            ended = terminated or truncated


# Tools


def test_search_answers_with_the_number_of_matches_and_the_first_ones():
    env = talk("search(food=turkish, area=centre)")
    assert env.unwrapped.messages[-1] == {"role": "tool", "content": "3 found : anatolia , efes restaurant"}
    assert talk("search(food=martian)").unwrapped.messages[-1]["content"] == "0 found"
    assert "phone = 01223362372" in talk("search(name=anatolia)").unwrapped.messages[-1]["content"]


def test_a_wrong_argument_is_answered_with_the_right_ones():
    assert talk("search(colour=red)").unwrapped.messages[-1]["content"].startswith("error : search takes name , food")
    assert talk("book(people=2)").unwrapped.messages[-1]["content"] == "error : book needs name , day , time"
    booked = talk("book(name=anatolia, people=2, day=someday, time=19:00)")
    assert booked.unwrapped.messages[-1]["content"] == "error : no day someday"


def test_placeholders_are_filled_from_the_last_result():
    env = talk("search(food=turkish)", "[name] is a [food] restaurant , its phone is [phone] .")
    spoken = env.unwrapped.transcript.spoken_messages
    assert "anatolia is a turkish restaurant , its phone is 01223362372 ." in [m["content"] for m in spoken]
    assert "[name] is a [food] restaurant , its phone is [phone] ." in [m["content"] for m in env.unwrapped.messages]


@pytest.mark.parametrize(("price", "said"), [("expensive", "an expensive"), ("cheap", "a cheap")])
def test_a_placeholder_after_an_article_reads_well(price, said):
    env = gym.make("TextDialog-v0", interface="text")
    env.reset(seed=0)
    env.step(f"search(pricerange={price})")
    env.step("[name] is a [pricerange] place .")
    assert f"is {said} place ." in env.unwrapped.transcript.spoken_messages[-2]["content"]


def test_a_placeholder_without_a_result_says_nothing():
    assert last_user(talk("the phone is [phone] .", seed=3)) == last_user(talk("", seed=3))


def test_an_agent_that_only_uses_tools_loses_the_user():
    env = gym.make(ENV_ID, interface="text")
    env.reset(seed=0)
    turn, terminated, info = 0, False, {}
    while not terminated and turn < 20:
        _, _, terminated, _, info = env.step("search(food=thai)")
        turn += 1
    assert terminated
    assert not info["success"]
    assert 5 <= turn <= 8


# Reactions, on goals picked for them


def goal_with(condition, **options):
    task = gym.make(ENV_ID, **options).unwrapped.task
    return next((str(n), task.goal(str(n))) for n in range(5000) if condition(task.goal(str(n))))


def start(goal_id, seed=0, **options):
    env = gym.make(ENV_ID, interface="text", out_of_domain=0, **options)
    env.reset(seed=seed, options={"task": goal_id})
    return env


def test_told_that_nothing_matches_the_user_relaxes_a_constraint():
    goal_id, goal = goal_with(lambda goal: goal["relax"] is not None)
    env = start(goal_id)
    env.step("sorry , there is no such restaurant .")
    assert ("inform", *goal["relax"]) in env.unwrapped.partner.last_acts


def test_told_so_falsely_the_user_insists_and_loses_patience():
    goal_id, goal = goal_with(lambda goal: goal["relax"] is None)
    env = start(goal_id)
    before = env.unwrapped.partner.patience
    env.step("sorry , there is no such restaurant .")
    assert env.unwrapped.partner.last_acts == [("inform", *pair) for pair in goal["constraints"]]
    assert env.unwrapped.partner.patience == before - 1


def test_a_wrong_offer_is_corrected():
    goal_id, _ = goal_with(lambda goal: goal["relax"] is None and dict(goal["constraints"]).get("food") == "indian")
    env = start(goal_id)
    env.step("anatolia is a turkish restaurant .")
    assert env.unwrapped.partner.last_acts == [("negate",), ("inform", "food", "indian")]


def test_a_confirmation_is_affirmed_or_negated():
    goal_id, _ = goal_with(lambda goal: dict(goal["constraints"]).get("area") == "north")
    env = start(goal_id)
    env.step("you want the north , right ?")
    assert env.unwrapped.partner.last_acts == [("affirm",)]
    env.step("you want the south , right ?")
    assert env.unwrapped.partner.last_acts == [("negate",), ("inform", "area", "north")]


def test_a_full_table_is_answered_with_the_fallback():
    goal_id, goal = goal_with(lambda goal: goal["fallback"] is not None and goal["relax"] is None)
    env = start(goal_id)
    wanted = ", ".join(f"{slot}={value}" for slot, value in goal["booking"])
    env.step("search()")
    env.step(f"book({wanted})")
    assert env.unwrapped.messages[-1]["content"] == "not available"
    env.step("sorry , that time is not available .")
    assert env.unwrapped.partner.last_acts == [("inform", *goal["fallback"])]


def test_a_claimed_booking_without_a_reference_is_not_believed():
    goal_id, _ = goal_with(lambda goal: goal["booking"] is not None)
    env = start(goal_id)
    env.step("your table is booked , the reference is abc12 .")
    assert env.unwrapped.partner.last_acts == [("ask_reference",)]


def test_an_out_of_domain_question_waits_for_the_right_reaction():
    env = gym.make(ENV_ID, interface="text", out_of_domain=0.9)
    env.reset(seed=0)
    env.step("which area would you like ?")
    assert env.unwrapped.partner.last_acts[0][0] == "out_of_domain"
    patience = env.unwrapped.partner.patience
    env.step("sorry , i can only help with restaurants .")
    assert env.unwrapped.partner.last_acts[0][0] == "inform"
    assert env.unwrapped.partner.patience == patience


def test_a_lie_about_a_place_is_believed_and_is_no_success():
    goal_id, goal = goal_with(
        lambda goal: (
            goal["booking"] is None
            and goal["relax"] is None
            and goal["change"] is None
            and not goal["alternative"]
            and dict(goal["constraints"]).get("food") == "indian"
            and goal["requests"] == ("phone",)
        )
    )
    env = start(goal_id)
    described = " ".join(value for _, value in goal["constraints"] if value != DONTCARE)
    env.step(f"anatolia is {described} .")
    _, _, terminated, _, info = env.step("the phone number is 01223362372 .")
    assert env.unwrapped.partner.accepted
    assert terminated
    assert not info["success"]


def test_an_early_goodbye_is_no_way_out():
    env = gym.make(ENV_ID, interface="text", out_of_domain=0)
    env.reset(seed=0)
    wanted, patience = env.unwrapped.partner.last_acts, env.unwrapped.partner.patience
    _, _, terminated, _, _ = env.step("goodbye .")
    assert not terminated
    assert env.unwrapped.partner.last_acts == wanted
    assert env.unwrapped.partner.patience == patience - 1


# Wordings and data


def test_train_and_test_wordings_have_no_sentence_in_common():
    for key, options in TRAIN.items():
        if key != ("nothing",):
            assert not set(options) & set(TEST[key]), key
    assert set(TRAIN) == set(TEST)


def test_test_wordings_use_known_words():
    known = {word for options in TRAIN.values() for text in options for word in text.split()}
    unknown = {word for options in TEST.values() for text in options for word in text.split()} - known
    assert not unknown


def test_every_act_the_user_has_can_be_put_into_words():
    for bank in BANKS.values():
        for key in bank:
            act = key if key[0] != "inform" else (*key, "x")
            if key[0] == "any":
                act = ("inform", key[1], DONTCARE)
            if len(key) == 1 and key[0] in ("weather", "train", "joke"):
                act = ("out_of_domain", key[0])
            assert user_text([act], 1, 1, bank).strip()


def test_the_shipped_database_is_the_cambridge_one():
    database = load_database()
    assert len(database.venues) == 110
    assert {len(database.values[slot]) for slot in CONSTRAINT_SLOTS} == {23, 5, 3}


def test_a_broken_database_is_refused_with_the_line(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("name,food,area\nx,y,z\n")
    with pytest.raises(ValueError, match=r"mine.csv: expected the field 'pricerange'.*, got 'name', 'food', 'area'"):
        Database(path)
    path.write_text(HEADER + "a,thai,north,cheap,1,x,y\nb,,north,cheap,1,x,y\n")
    with pytest.raises(ValueError, match=r"mine.csv, line 3: food must not be empty"):
        Database(path)


def test_a_database_saved_by_excel_is_read(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "café,thai,north,cheap,1,x,y\n", encoding="utf-8-sig")
    assert [venue.name for venue in Database(path).venues] == ["café"]
    path.write_text(HEADER + "café,thai,north,cheap,1,x,y\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"mine.csv, line 2: expected UTF-8 text, got a byte that is none in b'caf"):
        Database(path)


def test_an_edited_database_is_read_again(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "a,thai,north,cheap,1,x,y\n")
    before = load_database(str(path))
    assert load_database(str(path)) is before
    path.write_text(HEADER + "b,thai,north,cheap,1,x,y\n")
    os.utime(path, ns=(1, 1))  # a file system may count time more coarsely than this test writes
    assert [venue.name for venue in load_database(str(path)).venues] == ["b"]


def test_an_own_database_is_played(tmp_path):
    path = tmp_path / "mine.csv"
    kinds = ["thai,north,cheap", "thai,south,cheap", "fish,south,expensive", "fish,north,cheap"]
    rows = [f"place {n},{kind},0{n},street {n},ab{n}" for n, kind in enumerate(kinds)]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    success, _ = play(rule, 100, database=str(path))
    assert success >= 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 1.5}, r"noise must be a number in \[0, 1\), got 1.5"),
        ({"profile": "angry"}, "profile must be one of cooperative, unfriendly, mixed, got 'angry'"),
        ({"unreachable": 0.5, "goal_change": 0.4, "alternatives": 0.3}, "must be at most 1, got 1.2"),
    ],
)
def test_a_wrong_task_option_says_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make(ENV_ID, **options)
