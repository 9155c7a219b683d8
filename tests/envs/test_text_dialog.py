"""The restaurant user: what it wants, says, and never does."""

import os
import re

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs.restaurant.database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE, Database, load_database
from dialogym.envs.restaurant.goals import final_constraints
from dialogym.envs.restaurant.hearing import UserReader
from dialogym.envs.restaurant.policies import rule
from dialogym.envs.restaurant.tracker import COMPLETE, NOT_WANTED, RESERVED, Tracker
from dialogym.envs.restaurant.understanding import Reader
from dialogym.envs.restaurant.wording import BANKS, MENU, MENU_WORDS, TEST, TRAIN, time_in_words, user_text
from dialogym.envs.text_dialog import PYDIAL
from dialogym.envs.understanding.values import times

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
        env.reset(seed=seed, options={"goal_id": goal})
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
    reader, checked = UserReader(task.database), 0
    for number in range(400):
        goal = task.goal(str(number))
        if goal["booking"] is None:
            continue
        env.reset(seed=1, options={"goal_id": str(number)})
        shown = [message["content"] for message in env.unwrapped.messages if message["role"] != "system"]
        said = {act[1] for text in shown for act in reader.hear(text) if act[0] == "inform"}
        assert shown
        assert not said & {slot for slot, _ in goal["booking"]}, shown
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
    assert ("name", "pizza hut city centre") in understood.told
    assert ("food", "italian") in understood.told
    assert ("area", "centre") in understood.told


def test_every_reply_of_the_menu_means_the_same_in_all_its_wordings():
    reader = Reader(load_database())
    for name, options in zip(MENU, MENU_WORDS, strict=True):
        meanings = {_meaning(reader.understand(words)) for words in options}
        assert len(meanings) == 1, (name, meanings)


def _meaning(understood):
    """Its acts, but for how fully an offer describes the place."""
    return frozenset(act for act in understood.acts() if act[0] != "tell" or act[1] not in (*CONSTRAINT_SLOTS, "time"))


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
    assert env.unwrapped.messages[-1] == {
        "role": "tool",
        "content": "3 restaurants match: Anatolia, Efes Restaurant, ...",
    }
    assert tool_result("search(food=thai, area=north)") == "No restaurant matches."
    assert tool_result("search(food=thai, area=west)") == "1 restaurant matches: Sala Thong"
    assert tool_result("search(name=anatolia)") == (
        "Anatolia: food Turkish, area centre, price range moderate, phone 01223 362372, "
        "address 30 Bridge Street, City Centre, postcode CB2 1UJ"
    )


def test_the_system_message_says_how_many_matches_a_search_names():
    env = talk("search(pricerange=cheap)")
    named = env.unwrapped.messages[-1]["content"].partition(": ")[2].removesuffix(", ...").split(", ")
    assert len(named) == 2
    assert "The result says how many match and names the first two." in env.unwrapped.messages[0]["content"]
    env.step("[name] is a cheap place.")
    assert env.unwrapped.transcript.spoken_messages[-2]["content"] == f"{named[0]} is a cheap place."


def tool_result(*utterances):
    message = talk(*utterances).unwrapped.messages[-1]
    assert message["role"] == "tool"
    return message["content"]


def test_a_value_that_does_not_exist_is_answered_with_those_that_do():
    assert tool_result("search(food=martian)") == "No restaurant matches: none has the food martian."
    assert tool_result("search(area=moon)") == (
        "No restaurant matches: none has the area moon; choose centre, east, north, south or west."
    )
    assert tool_result("search(name=nowhere)") == "No restaurant matches: none has the name nowhere."


def test_a_wrong_argument_is_answered_with_the_right_ones():
    assert tool_result("search(colour=red)") == (
        "Error: search takes name, food, area and pricerange, as in search(food=italian, area=north)."
    )
    assert tool_result("book(people=2)") == "Error: book needs name, day and time too."
    booked = tool_result("book(name=anatolia, people=2, day=someday, time=19:00)")
    assert booked.startswith("Error: no table for the day someday; choose Monday, Tuesday,")
    assert (
        tool_result("book(name=nowhere, people=2, day=friday, time=19:00)") == "Error: there is no restaurant nowhere."
    )


@pytest.mark.parametrize(
    "call",
    [
        "search ( food = turkish , area = centre )", "Search(Food='Turkish', Area=\"Centre\")",
        "Sure! Let me look: `search(cuisine=Turkish food, location=the city centre)`", "search(food=turkish",
        '{"name": "search", "arguments": {"food": "Turkish", "area": "centre"}}',
        '<tool_call>\n{"function": {"name": "search", "arguments": {"food": "turkish"}}}\n</tool_call>',
        "search(food=turkish, pricerange=any, area=[area])",
    ],
)  # fmt: skip
def test_a_tool_call_is_read_however_it_is_written(call):
    assert tool_result(call) == "3 restaurants match: Anatolia, Efes Restaurant, ..."


@pytest.mark.parametrize("time", ["19:30", "7:30 pm", "half past seven", "7.30pm", "[said_time]"])
def test_a_booking_takes_values_as_people_write_them(time):
    result = tool_result("search(food=turkish)", f"book(people=two, day=Fri, time={time})")
    expected = "Error: book needs time too." if "[" in time else "Error: no table for the time 19:30"
    assert result.startswith(expected)  # 19:30 is none of the times at which tables are to be had
    assert tool_result("search(food=turkish)", "book(people=two, day=Sat, time=7 pm)").startswith("Booked.")


@pytest.mark.parametrize(
    "words",
    [
        "Shall I call book(name=Anatolia, people=2, day=friday, time=19:00)?",
        "I could use book(name=Anatolia, people=2, day=friday, time=19:00) if you like.",
        "I will not book(name=Anatolia, people=2, day=friday, time=19:00) before you say so.",
        "Just say 'yes' and I'll call book(name=Anatolia, people=2, day=friday, time=19:00)",
        "~~book(name=Anatolia, people=2, day=friday, time=19:00)~~ (cancelled)",
        "// TODO ask user first\nbook(name=Anatolia, people=2, day=friday, time=19:00)",
        "book(name=Anatolia, people=2, day=friday, time=19:00)\nWait, I should ask for the day first.",
    ],
)
def test_a_booking_that_is_only_spoken_of_is_not_made(words):
    env = talk(words)
    assert env.unwrapped.partner.tools.reservation is None
    assert env.unwrapped.messages[-1]["role"] == "user"
    assert Reader(load_database()).understand(words).acts() == [("ask_booking",)]


@pytest.mark.parametrize(
    "words",
    [
        "~~book(name=Cocum, people=2, day=friday, time=19:00)~~ book(name=Anatolia, people=2, day=friday, time=19:00)",
        "# Book the table\nbook(name=Anatolia, people=2, day=friday, time=19:00)",
        "book(name=Anatolia, people=2, day=friday, time=19:00)\nWait a moment while I check.",
        "book(name=Anatolia, people=2, day=friday, time=19:00)\nIs there anything else I should know?",
    ],
)
def test_a_booking_with_words_around_it_is_made(words):
    booked = [("book", "name=anatolia", "people=2", "day=friday", "time=19:00")]
    assert Reader(load_database()).understand(words).acts() == booked


def test_placeholders_are_filled_from_the_last_result():
    env = talk("search(food=turkish)", "[name] is a [food] restaurant , its phone is [phone] .")
    spoken = env.unwrapped.transcript.spoken_messages
    assert "Anatolia is a Turkish restaurant , its phone is 01223 362372 ." in [m["content"] for m in spoken]
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
    env.reset(seed=seed, options={"goal_id": goal_id})
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
    assert env.unwrapped.messages[-1]["content"] == "Not available."
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
    assert env.unwrapped.partner.agenda.accepted
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
        if key not in (("nothing",), ("greeting",)):
            assert not set(options) & set(TEST[key]), key
    assert set(TRAIN) == set(TEST)


def test_test_wordings_use_known_words():
    known = {word for options in TRAIN.values() for text in options for word in spoken_words(text)}
    unknown = {word for options in TEST.values() for text in options for word in spoken_words(text)} - known
    assert not unknown


def spoken_words(text):
    return re.findall(r"[a-z']+", text.lower())


def test_every_act_the_user_has_can_be_put_into_words():
    database = load_database()
    for bank in BANKS.values():
        for key in bank:
            acts = [key]
            if key[0] == "any":
                acts = [("inform", key[1], DONTCARE)]
            elif key[0] == "inform":
                acts = [("inform", slot, "x") for slot in key[1:]]
            elif key in (("request",), ("request", "also")):
                acts = [("request", "phone"), ("request", "postcode")]
            elif key[0] == "details":
                acts = [("inform", "people", "2"), ("inform", "day", "friday"), ("inform", "time", "19:45")]
            elif key[0] in ("weather", "train", "joke"):
                acts = [("out_of_domain", key[0])]
            words = user_text(acts, 1, 1, bank, database)
            assert words.strip()
            assert "{" not in words


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_the_user_says_is_what_a_person_would_be_understood_to_say(split):
    """The simulator's words, read as a person's: two ways to the same acts."""
    database = load_database()
    reader = UserReader(database)
    task = gym.make(ENV_ID).unwrapped.task
    wanted = [
        act
        for number in range(150)
        for goal in [task.goal(str(number))]
        for act in (
            [("inform", slot, value) for slot, value in goal["constraints"]],
            [("inform", slot, value) for slot, value in goal["booking"] or ()],
            [("book",), *[("inform", slot, value) for slot, value in goal["booking"] or ()]],
            [("request", slot) for slot in goal["requests"]],
            [("request", slot) for slot, _ in goal["constraints"]],
            [("negate",), ("inform", *goal["constraints"][0])] if goal["constraints"] else [],
        )
        if act
    ]
    wanted += [[(kind,)] for kind in ("affirm", "alternative", "no_booking", "bye", "ask_reference", "prompt")]
    wrong = []
    for number, acts in enumerate(wanted * 3):
        words = user_text(acts, 7919 * number, 1, BANKS[split], database)
        heard = reader.hear(words, tuple(act[1] for act in acts if act[0] == "inform"))
        if set(heard) - {("book",)} != set(acts) - {("book",)} or ("book",) in set(acts) - set(heard):
            wrong.append((words, heard))
    assert not wrong[:5], len(wrong)


@pytest.mark.parametrize(
    ("time", "style", "words"),
    [
        ("19:30", 0, "19:30"), ("19:30", 1, "7:30 pm"), ("12:15", 1, "12:15 pm"), ("13:00", 1, "1 pm"),
        ("11:30", 1, "11:30 am"), ("00:05", 1, "12:05 am"),
    ],
)  # fmt: skip
def test_a_time_is_said_in_the_ways_of_people(time, style, words):
    assert time_in_words(time, style) == words
    assert times(words)[0].value == time


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


def test_an_agent_without_placeholders_gets_as_far():
    """The rule's replies with every value written out as the user would hear it, in a chat model's manner."""
    plain, menu = gym.make(ENV_ID, interface="text", split="test"), gym.make(ENV_ID, split="test")
    for seed in range(120):
        plain.reset(seed=seed)
        observation, info = menu.reset(seed=seed)
        ended = False
        while not ended:
            choice = rule(observation, info)
            words = menu.unwrapped.partner.phrase(choice)
            spoken = menu.unwrapped.partner.spoken(words)
            said = words if spoken is None else spoken()
            if "(" not in said:
                said = f"**Sure!** {said} 😊\n\nLet me know if you need anything else."
            observation, _, terminated, truncated, info = menu.step(choice)
            _, _, same_terminated, same_truncated, same_info = plain.step(said)
            assert (terminated, truncated) == (same_terminated, same_truncated), said
            ended = terminated or truncated
        assert info["success"] == same_info["success"]
        assert info["success"]


def test_values_written_in_another_way_answer_the_question():
    goal_id, _ = goal_with(
        lambda goal: (
            dict(goal["constraints"]) == {"food": "chinese", "area": "north", "pricerange": "moderate"}
            and goal["requests"] == ("phone", "postcode")
            and goal["booking"] is None
            and not (goal["relax"] or goal["change"] or goal["alternative"])
        )
    )
    env = start(goal_id)
    env.step("search(name=Golden Wok)")
    env.step("How about **Golden Wok**? They do Chinese food in the north and it's reasonably priced.")
    assert env.unwrapped.partner.agenda.accepted
    env.step("Sure! You can call them on (01223) 350-688.")
    _, _, terminated, _, info = env.step("And the postcode is cb4 3hl.")
    assert terminated
    assert info["success"]


def test_a_proposal_to_book_is_answered():
    with_table, _ = goal_with(lambda goal: goal["booking"] is not None and goal["relax"] is None)
    env = start(with_table)
    env.unwrapped.partner.agenda.accepted = True
    env.step("Shall I book a table for you?")
    assert ("book",) in env.unwrapped.partner.last_acts
    without, _ = goal_with(lambda goal: goal["booking"] is None)
    env = start(without)
    env.step("Would you like me to reserve a table?")
    assert env.unwrapped.partner.last_acts == [("no_booking",)]


def test_a_goodbye_behind_something_else_is_not_heard():
    words = "The phone number is 01223 350688. Have a nice day, goodbye!"
    assert Reader(load_database()).understand(words).acts() == [("tell", "phone", "01223350688")]


def test_a_denied_value_is_not_told():
    reader = Reader(load_database())
    assert reader.understand("Anatolia isn't Italian, it's Turkish.").told == (
        ("name", "anatolia"),
        ("food", "turkish"),
    )


def test_a_person_leaves_only_with_a_clear_goodbye():
    reader = UserReader(load_database())
    assert ("bye",) in reader.hear("No thanks, that's all. Bye!")
    assert ("bye",) not in reader.hear("Before I say goodbye, what's the phone number?")
    assert ("bye",) not in reader.hear("Thanks!")


@pytest.mark.parametrize(
    "words",
    [
        "bye bye table for two, we're gonna be five", "bye the way, what's the address?",
        "Before I say bye, where is it?",
        "Good night out, that's what I want, somewhere expensive", "Thanks, bye, and what was the postcode?",
    ],
)  # fmt: skip
def test_a_farewell_beside_a_wish_is_no_goodbye(words):
    assert ("bye",) not in UserReader(load_database()).hear(words)


@pytest.mark.parametrize(
    ("words", "booking"),
    [
        ("Cancel my booking.", NOT_WANTED), ("Maybe I'll book later.", NOT_WANTED),
        ("Book it, if they have parking.", RESERVED), ("Do I need to book?", RESERVED),
        ("Don't cancel the booking!", RESERVED), ("You booked the wrong table.", RESERVED),
        ("Book it for me.", COMPLETE),
    ],
)  # fmt: skip
def test_talk_of_a_booking_books_no_other_table(words, booking):
    tracker = Tracker(masks=True)
    tracker.hear_user([("book",), *[("inform", slot, "1") for slot in BOOKING_SLOTS]])
    tracker.hear_booking(succeeded=True)
    tracker.hear_user(UserReader(load_database()).hear(words))
    assert tracker.booking == booking


def test_a_persons_short_answer_means_what_was_asked():
    reader = UserReader(load_database())
    assert reader.hear("four", ("people",)) == (("inform", "people", "4"),)
    assert reader.hear("at eight", ("time",)) == (("inform", "time", "20:00"),)
    assert reader.hear("not 7, 8", ("time",)) == (("inform", "time", "20:00"),)
    assert reader.hear("8 instead of 7", ("time",)) == (("inform", "time", "20:00"),)
    assert reader.hear("not 7", ("time",)) == ()
    assert reader.hear("Whatever.", ("area",)) == (("inform", "area", DONTCARE),)
    assert reader.hear("four") == ()


def test_what_a_person_rules_out_is_forgotten():
    tracker = Tracker(masks=True)
    tracker.hear_user([("inform", "food", "italian"), ("inform", "area", "north")])
    tracker.hear_search(3)
    tracker.hear_user(UserReader(load_database()).hear("Actually, anything but Italian."))
    assert tracker.heard == {"area": "north"}
    assert tracker.summary()[:4] == (0, 1, 0, 0)


def test_own_files_are_shown_as_they_are_written(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "McCoy's Bar,Tex-Mex,Old Town,££,+44 20 7946 0018,1 High St.,EC1A 1BB\n")
    database = Database(path)
    assert database.venues[0].phone == "02079460018"
    assert database.written("name", "mccoy's bar") == "McCoy's Bar"
    env = gym.make(ENV_ID, interface="text", database=str(path), unreachable=0)
    env.reset(seed=0)
    env.step("search(food=tex-mex, area=old town)")
    assert env.unwrapped.messages[-1]["content"] == "1 restaurant matches: McCoy's Bar"
    env.step("[name] is a [food] place in the [area]; the number is [phone], [postcode].")
    spoken = env.unwrapped.transcript.spoken_messages[-2]["content"]
    assert spoken == "McCoy's Bar is a Tex-Mex place in the Old Town; the number is +44 20 7946 0018, EC1A 1BB."
    understood = Reader(database).understand("McCoys Bar has Tex Mex food in the Old Town. Call 020 7946 0018.")
    assert set(understood.told) == {
        ("name", "mccoy's bar"), ("food", "tex-mex"), ("area", "old town"), ("phone", "02079460018"),
    }  # fmt: skip


def test_what_a_database_was_asked_is_kept_within_bounds(monkeypatch):
    from dialogym.envs.restaurant import database as module

    monkeypatch.setattr(module, "CACHE_SIZE", 4)
    database = module.Database()
    asked = [(("food", food), ("area", area)) for food in database.values["food"] for area in database.values["area"]]
    for constraints in [*asked, *asked]:
        wanted = dict(constraints)
        expected = [
            number
            for number, venue in enumerate(database.venues)
            if all(getattr(venue, slot) == value for slot, value in wanted.items())
        ]
        assert list(database.matching(constraints)) == expected
        database.changes(constraints)
    for kept in (database.matches, database.matching, database.changes):
        assert kept.cache_info().currsize <= 4
