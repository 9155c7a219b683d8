"""Haggling: tactics and optimum worked by hand or by brute force, what is understood, every end, and a user's goods."""

import gymnasium as gym
import pytest

from dialogym.agents.language_model.demonstrations import demonstrate
from dialogym.agents.registry import make_agent
from dialogym.envs.negotiation import game
from dialogym.envs.negotiation.game import Answer, Kind, State, Tactic, prior, respond, start
from dialogym.envs.negotiation.optimum import ACCEPT, Optimum, optimal_values
from dialogym.envs.negotiation.understanding import Meaning, understand
from dialogym.envs.negotiation.words import BANKS
from dialogym.envs.text_negotiation import TextNegotiation, step_of
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards import resolve

from .own_files import edited_and_pickled
from .utterances import utterances

FLOORS = ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success")


# Tactics


@pytest.mark.parametrize(
    ("profile", "offers"),
    [  # of a partner that opens at -7 and can go to 9, while the agent asks for 20, 19, 18 ...
        ("linear", [-5, -3, -1, 1, 3, 5, 7]),  # 16 steps in 8 rounds
        ("boulware", [-7, -6, -6, -4, -2, 1, 4]),  # 16 * (t / 8) ** 2.5 = 0.1 0.5 1.4 2.8 4.9 7.8 11.5
        ("conceder", [0, 2, 4, 5, 6, 7, 8]),  # 16 * (t / 8) ** 0.4 = 7.0 9.2 10.8 12.1 13.3 14.3 15.2
        ("tit_for_tat", [-6, -5, -4, -3, -2, -1, 0]),
        ("impatient", [-4, -1, 3, 6]),  # 16 * t / 5 = 3.2 6.4 9.6 12.8, and it leaves at the fifth
    ],
)
def test_a_tactic_concedes_what_its_formula_says(profile, offers, monkeypatch):
    monkeypatch.setattr(game, "FAR", 100)
    state, seen = start(-7), []
    for number in range(len(offers) + 1):
        answer = respond(Kind(10, profile), -7, state, 20 - number)
        if answer.state is None:
            break
        assert answer.last == (profile != "impatient" and number == 6)
        state = answer.state
        seen.append(state.partner_offer)
    assert seen == offers
    assert answer == Answer("left")


def test_tit_for_tat_gives_back_whole_steps_and_nothing_for_nothing():
    kind, state = Kind(9, "tit_for_tat"), State(3, -2, 8, 0)
    moves = {8: -2, 7: -1, 5: 1, 6.5: -1, 9: -2}
    assert {move: respond(kind, -8, state, move).state.partner_offer for move in moves} == moves


def test_patience_is_lost_by_stalling_taking_back_and_asking_for_far_too_much():
    kind, state = Kind(5, "boulware"), State(2, -7, 6, 0)  # its limit is 4, so that 7 is not far and 8 is
    strikes = {5: 0, 6: 1, 5.5: 1, 7: 2, None: 1}
    assert {move: respond(kind, -8, state, move).state.strikes for move in strikes} == strikes
    assert respond(kind, -8, state, 8) == Answer("left")  # taken back and far: three
    assert respond(kind, -8, start(-8), 8).far
    assert not respond(kind, -8, start(-8), 7).far
    assert respond(kind, -8, State(2, -7, 6, 2), None) == Answer("left")


def test_an_offer_is_accepted_when_it_is_worth_the_next_counter_offer_unless_it_takes_back():
    kind = Kind(10, "linear")  # from -7, the fifth offer would be 3
    for move, outcome in ((4, "counter"), (3, "deal"), (-2, "deal")):
        assert respond(kind, -7, State(4, 1, 6, 0), move).outcome == outcome
    assert respond(kind, -7, State(4, 1, 2, 0), 3).outcome == "counter"  # the agent had asked for 2 before


@pytest.mark.parametrize("kind", prior("mixed", 0.5))
def test_no_partner_ever_agrees_to_gain_nothing(kind):
    for move in range(-3, 13):
        for before in (-9, -1, kind.surplus - 1):
            answer = respond(kind, -9, State(4, min(before, kind.surplus - 1), 12, 0), move)
            assert answer.outcome != "deal" or move < kind.surplus
            assert answer.state is None or answer.state.partner_offer < kind.surplus


# The optimum


def by_brute_force(posterior, opening, state, max_gain):
    """The greatest expected share: every move, every answer, posteriors by Bayes; nothing shared, nothing cut."""
    expected = [sum(chance * state.partner_offer / kind.surplus for kind, chance in posterior.items()), 0.0]
    for move in [None, *range(state.partner_offer + 1, max_gain + 1)]:
        value, heard = 0.0, {}
        for kind, chance in posterior.items():
            answer = respond(kind, opening, state, move)
            if answer.outcome == "deal":
                value += chance * move / kind.surplus
            elif answer.outcome == "counter":
                heard.setdefault(answer, {})[kind] = chance
        for answer, group in heard.items():
            total = sum(group.values())
            after = {kind: chance / total for kind, chance in group.items()}
            value += total * by_brute_force(after, opening, answer.state, max_gain)
        expected.append(value)
    return max(expected)


@pytest.mark.parametrize("max_gain", [3, 4])
def test_the_optimum_is_that_of_brute_force(max_gain, monkeypatch):
    profiles = {"slow": Tactic(0.5, 4, True), "even": Tactic(1.0, 3, False), "mirror": Tactic(None, 4, True)}
    monkeypatch.setattr(game, "TACTICS", profiles)
    monkeypatch.setattr(game, "PATIENCE", 2)
    monkeypatch.setattr(game, "FAR", 1)
    kinds = [Kind(surplus, profile) for surplus in (2, 3, 4) for profile in profiles]
    chances = {kind: (number + 1) / 45 for number, kind in enumerate(kinds)}
    found = Optimum(chances, -2, max_gain)
    assert sum(chances.values()) == pytest.approx(1)
    assert found.value() == pytest.approx(by_brute_force(chances, -2, start(-2), max_gain))
    alone = sum(chance * by_brute_force({kind: 1.0}, -2, start(-2), max_gain) for kind, chance in chances.items())
    assert found.clairvoyant_value() == pytest.approx(alone)
    assert 0 < found.value() < found.clairvoyant_value()


def test_who_plays_the_optimum_gets_its_value():
    chances = prior("linear")
    found = Optimum(chances, -8)
    shares = sum(chance * found.gain_from(kind) / kind.surplus for kind, chance in chances.items())
    assert shares == pytest.approx(found.value())
    assert found.success() == pytest.approx(sum(chance for k, chance in chances.items() if found.gain_from(k) > 0))


def test_from_an_impatient_partner_all_but_its_last_step_can_be_had():
    closed_form = sum((surplus - 1) / surplus for surplus in game.SURPLUSES) / len(game.SURPLUSES)
    assert optimal_values("impatient")["clairvoyant"] == pytest.approx(closed_form)


def along_a_line(kind, opening, first, step):
    """The gain of who opens at ``first``, concedes ``step`` each turn, and takes what is no worse than that."""
    state, move = start(opening), first
    while state.partner_offer < move:
        answer = respond(kind, opening, state, move)
        if answer.state is None:
            return move if answer.outcome == "deal" else 0
        state, move = answer.state, max(move - step, 1)
    return state.partner_offer


def test_no_straight_line_comes_near_the_optimum():
    chances, lines = prior(), {}
    for line in [(first, step) for first in range(1, game.MAX_GAIN + 1) for step in (1, 2, 3)]:
        gains = [(c / 3, k, along_a_line(k, opening, *line)) for k, c in chances.items() for opening in game.OPENINGS]
        share = sum(chance * gain / kind.surplus for chance, kind, gain in gains)
        lines[line] = share, sum(chance for chance, _, gain in gains if gain > 0)
    best = max(lines, key=lines.__getitem__)
    assert best == (8, 1)
    assert "it keeps {:.3f} and succeeds in {:.3f}".format(*lines[best]) in " ".join(TextNegotiation.__doc__.split())
    assert lines[best][0] < optimal_values()["uninformed"] / 2


def test_without_a_zone_the_optimum_walks_away():
    assert Optimum({Kind(-1, "linear"): 1.0}, -8).move([]) == "walk"


def test_what_no_partner_would_say_is_an_error():
    with pytest.raises(ValueError, match="no partner of this kind answers so"):
        Optimum(prior("linear"), -8).move([(12, 5, False, False)])
    with pytest.raises(ValueError, match="chances must have kinds with a chance above 0 each"):
        Optimum({}, -8)


def test_the_figures_of_the_documentation_are_those_of_the_optimum():
    mixed = optimal_values()
    told = " ".join(TextNegotiation.__doc__.split())
    assert f"expected share, which is {mixed['uninformed']:.3f}" in told
    assert f"would get {mixed['clairvoyant']:.3f}" in told
    assert f"closes {mixed['success']:.3f}" in told
    for profile in game.TACTICS:
        assert f"{profile} {optimal_values(profile)['uninformed']:.3f}" in told
    assert mixed["uninformed"] < mixed["clairvoyant"]
    assert mixed["success"] >= TextNegotiation.ceiling


# Words


@pytest.mark.parametrize(
    ("utterance", "act", "price"),
    [  # the partner asks for 60, the agent said 40 before
        ("i can pay 45 .", "offer", 45), ("45 ?", "offer", 45), ("$45", "offer", 45),
        ("what about 1,250 ?", "offer", 1250),
        ("60 is too much , 45 is fine", "offer", 45), ("deal at 45", "offer", 45), ("no deal , 45", "offer", 45),
        ("45.50", "offer", 45.5), ("45 or i walk away", "offer", 45), ("i said 40", "offer", 40),
        ("60 is too much , i stay at 40", "offer", 40), ("45 or 50", "confused", None),
        ("deal", "accept", None), ("OK !", "accept", None), ("i'll take it", "accept", None), ("60", "accept", None),
        ("how about 60 ?", "accept", None), ("no problem , deal", "accept", None),
        ("no deal , goodbye .", "walk_away", None), ("60 is too much , bye", "walk_away", None),
        ("i am not interested", "walk_away", None), ("i am out", "walk_away", None),
        ("no deal", "refuse", None), ("60 is too much", "refuse", None), ("i can't accept that", "refuse", None),
        ("i dont agree", "refuse", None), ("i want the tent , it is a deal", "accept", None),
        ("can you do better ?", "better", None), ("is that your best price ?", "better", None),
        ("is that ok ?", "chat", None), ("it is a nice bike .", "chat", None),
        ("", "puzzled", None), ("zzz", "puzzled", None), ("!?", "puzzled", None), ("漢字", "puzzled", None),
    ],
)  # fmt: skip
def test_what_is_understood(utterance, act, price):
    assert understand(utterance, 60, 40) == Meaning(act, price)


def test_no_name_of_a_good_sounds_like_an_answer():
    for good in TextNegotiation().goods:
        assert understand(f"it is a nice {good['item']} .", 60, 40) == Meaning("chat")
        for feeling in ("like", "loved"):
            assert understand(f"I {feeling} the {good['item']}.", 60, 40) == Meaning("chat")


def test_train_and_test_wordings_differ_and_name_one_price():
    for role in ("buyer", "seller"):
        train, test = BANKS[role, False], BANKS[role, True]
        assert train.keys() == test.keys()
        for act, templates in train.items():
            assert not set(templates) & set(test[act]), act
            assert len(set(templates)) >= 2
            named = act in ("open", "counter")
            assert all(words.count("{price}") == named for words in (*templates, *test[act])), act


@pytest.mark.parametrize("split", ["train", "test"])
def test_who_repeats_the_partner_gains_nothing(split):
    env = gym.make("TextNegotiation-v0", interface="text", split=split)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            _, reward, terminated, truncated, info = env.step(info["messages"][-1]["content"])
            over = terminated or truncated
        assert (terminated, info["success"], reward) == (True, False, 0.0)


UTTERANCES = utterances("TextNegotiation-v0")


@pytest.mark.parametrize("said", UTTERANCES, ids=[said["text"] for said in UTTERANCES])
def test_what_people_and_chat_models_say_is_understood(said):
    assert understand(said["text"], 60, 40) == Meaning(said["act"], said.get("price"))


def test_there_are_sixty_utterances_and_some_of_every_act():
    assert len({said["text"] for said in UTTERANCES}) >= 60
    answered = {*BANKS["seller", False], "offer", "accept", "walk_away"}
    acts = {said["act"] for said in UTTERANCES}
    assert acts <= answered
    assert len(acts) == 9


@pytest.mark.parametrize(
    "said",
    ["Would you accept that?", "I'd accept if you could deliver it.", "Deal?", "I might take it.", "No deal.",
     "If that's your final price, I'll have to walk away.", "I don't want to walk away.", "I agree that it is old.",
     "Throw in the lamp and it's a deal.", "Sharpen your pencil. Then I'll take it.",
     "I'll take it... under consideration."],
)  # fmt: skip
def test_half_a_yes_or_half_a_goodbye_is_answered_and_does_not_end_it(said):
    env, _ = haggling()
    _, _, terminated, _, info = env.step(said)
    assert not terminated
    assert env.unwrapped.transcript.goal["price"] is None
    bank = BANKS["seller", False]
    assert info["messages"][-1]["content"] in (*bank["unclear"], *bank["refuse"], *bank["chat"])


def test_a_price_is_taken_and_made_however_it_is_written():
    for said in ("£115", "115 pounds", "a hundred and fifteen quid", "**$115.00**", "i can pay £ 115 ."):
        env, _ = haggling(profile="conceder")
        env.step(said)
        assert env.unwrapped.transcript.goal["price"] == 115, said


@pytest.mark.parametrize("role", ["buyer", "seller"])
def test_the_menu_is_understood_as_what_it_means(role):
    env, _ = haggling("choices", role=role, seller_limit=50 if role == "buyer" else 100, buyer_limit=150)
    partner, task = env.unwrapped.partner, env.unwrapped.task
    price = partner.price_of(partner.state.partner_offer)
    meant = {"accept": "accept", "walk_away": "walk_away", "small_talk": "chat", "ask_better": "better"}
    for choice, name in enumerate(task.menu):
        for words in (partner.phrase(choice), partner.phrase(choice).lower().replace(".", " .").replace("£", "£ ")):
            found = understand(words, price, None)
            wanted = meant.get(name) or partner.price_of(choice - len(meant) + 1)
            assert found == (Meaning(wanted) if name in meant else Meaning("offer", wanted)), words


# Conversations


def haggling(interface="text", reward="surplus", **goal):
    """An environment with a partner of one's own: a seller of a bike for whom 100 is the step 0 of the agent's gain."""
    env = gym.make("TextNegotiation-v0", interface=interface, reward=reward)
    task = env.unwrapped.task
    drawn = {
        "item": "bike", "step": 5, "role": "buyer", "buyer_limit": 100, "seller_limit": 50, "profile": "linear",
        "opening": -7, "price": None, **goal,
    }  # fmt: skip
    task.goal = lambda goal_id: dict(drawn)
    observation, _ = env.reset(seed=0, options={"goal_id": "0"})
    return env, observation


def test_a_buyer_haggles_to_a_deal_and_gets_its_share():
    env, observation = haggling()
    assert "Pay less than £100, or you gain nothing. Prices move in steps of £5." in observation
    assert "135" in observation
    for said, answer in (("i can pay 40", "125"), ("55", "115"), ("60 , it is old", "105"), ("65", "95")):
        observation, reward, terminated, _, _ = env.step(said)
        assert (reward, terminated) == (0.0, False)
        assert answer in observation.splitlines()[-1]
    _, reward, terminated, _, info = env.step("ok , deal .")
    assert (reward, terminated, info["success"]) == (pytest.approx(5 / 50), True, True)


def test_a_seller_haggles_the_same_game_in_the_other_direction():
    env, observation = haggling(role="seller", seller_limit=100, buyer_limit=150)
    assert "Get more than £100" in observation
    assert "65" in observation
    for said, answer in (("you can have it for 160", "75"), ("145", "85"), ("140", "95"), ("135", "105")):
        observation, *_ = env.step(said)
        assert answer in observation.splitlines()[-1]
    _, reward, terminated, _, info = env.step("make it 115")  # its next offer
    assert (reward, terminated, info["success"]) == (pytest.approx(15 / 50), True, True)


@pytest.mark.parametrize(
    ("said", "success", "reward"),
    [
        (["deal"], False, 0.0),  # at the opening: a loss
        (["goodbye"], False, 0.0),
        (["hm", "", "nice weather today"], False, 0.0),
        (["50", "60", "50", "50"], False, 0.0),
        (["115"], False, 0.0),  # more than the agent's limit, and what the partner would have said next
        (["30", "35", "40"], False, 0.0),
    ],
)
def test_a_bad_end_is_no_success(said, success, reward):
    env, _ = haggling(seller_limit=80, profile="conceder")
    for utterance in said:
        _, paid, terminated, truncated, info = env.step(utterance)
        if terminated:
            break
    assert (terminated, truncated, info["success"], paid) == (True, False, success, reward)


def test_where_no_price_suits_both_walking_away_is_right_and_being_left_is_not():
    for said, success in (("no deal , goodbye .", True), ("deal", False), ("", False)):
        env, _ = haggling(seller_limit=105)
        for _ in range(3):
            _, reward, terminated, _, info = env.step(said)
            if terminated:
                break
        assert (terminated, info["success"], reward) == (True, success, 0.0)


def test_the_partner_says_what_it_thinks_of_an_offer():
    env, _ = haggling(seller_limit=80, profile="boulware")
    bank = BANKS["seller", False]
    for said, act in (("60", "far"), ("70", None), ("70", "stalled")):
        observation, *_ = env.step(said)
        last = observation.splitlines()[-1]
        assert [
            remark for remark in ("far", "stalled", "withdrawn", "last") if any(w in last for w in bank[remark])
        ] == ([act] if act else [])


def test_the_summary_holds_what_was_said_in_steps():
    env, observation = haggling("choices", seller_limit=80, profile="conceder")
    assert observation.tolist() == [0, 0, 0, 0, 0, 0]
    assert env.unwrapped.action_masks().all()
    offer_8 = env.unwrapped.task.menu.index("gain_8")
    observation, *_, info = env.step(offer_8)  # 60: five steps beyond what the partner ever gives, so far
    moved = info["heard"][1][1] + 7
    assert observation.tolist() == [1, 0, 8, 1, min(moved, 4), 1]
    assert info["heard"] == [-7, [8, -3, True, False]]  # 10 steps * (1 / 8) ** 0.4 = 4.4


def test_the_record_tells_odd_prices_as_the_nearest_step():
    env, _ = haggling(seller_limit=80)
    env.step("1")
    *_, info = env.step("i meant 81.50")
    assert [turn[0] for turn in info["heard"][1:]] == [13, 4]


def test_offers_that_are_worse_than_the_partners_are_masked_out():
    env, _ = haggling("choices")
    for gain in (12, 11, 10, 9, 8):
        env.step(env.unwrapped.task.menu.index(f"gain_{gain}"))
    assert env.unwrapped.partner.state.partner_offer == 3
    allowed = dict(zip(env.unwrapped.task.menu, env.unwrapped.action_masks(), strict=True))
    assert [name for name, makes_sense in allowed.items() if not makes_sense] == ["gain_1", "gain_2", "gain_3"]


def test_the_reward_is_in_words_what_it_is_from_the_menu():
    env = gym.make("TextNegotiation-v0", interface="choices")
    twin = gym.make("TextNegotiation-v0", interface="text")
    rule = make_agent("rule", env)
    for seed in range(3):
        observation, info = env.reset(seed=seed)
        twin.reset(seed=seed)
        over = False
        while not over:
            observation, reward, over, _, info = env.step(rule.act(observation, info))
            said = env.unwrapped.transcript.reply
            assert twin.step(said)[1] == reward
        assert twin.unwrapped.messages == env.unwrapped.messages


# Agents


@pytest.fixture(scope="module")
def env_and_goals():
    env = gym.make("TextNegotiation-v0")
    return env, frozen_goals(env, "test", 200).goals


def test_the_rule_reaches_the_ceiling_and_the_floors_stay_low(env_and_goals):
    env, goals = env_and_goals
    task = env.unwrapped.task
    rule = score(make_agent("rule", env), env, goals)
    assert rule.success.mean() >= task.ceiling
    assert abs(rule.returns.mean() - optimal_values()["uninformed"]) < 4 * rule.returns.std() / len(goals) ** 0.5
    for floor in FLOORS:
        assert score(make_agent(floor, env), env, goals).success.mean() <= task.floor


def test_a_table_learns_to_close_deals(env_and_goals):
    env, goals = env_and_goals
    table = make_agent("q_learning", env, seed=0, env_turns=15_000)
    table.learn(env)
    learned = score(table, env, goals)
    assert learned.success.mean() >= 0.4  # at random 0.05
    assert learned.returns.mean() >= 0.1  # at random 0.01, at best 0.59


def test_the_rule_demonstrates_with_flaws():
    shown = demonstrate("TextNegotiation-v0", 20, flaw_rate=0.3, seed=0)
    assert 0.2 < shown.success_rate < 1


# Goals and options


def test_goals_have_the_stated_share_without_a_zone_of_agreement():
    task = TextNegotiation(no_deal_share=0.3)
    goals = [task.goal(str(number)) for number in range(2000)]
    without = sum(goal["buyer_limit"] <= goal["seller_limit"] for goal in goals) / 2000
    assert 0.26 < without < 0.34
    surpluses = {(goal["buyer_limit"] - goal["seller_limit"]) // goal["step"] for goal in goals}
    assert surpluses == {*game.SURPLUSES, *game.NO_ZONE_SURPLUSES}


def test_every_price_of_a_goal_is_on_the_grid_and_above_nothing():
    task = TextNegotiation()
    for number in range(500):
        goal = task.goal(str(number))
        sign = 1 if goal["role"] == "buyer" else -1
        limit = goal[f"{goal['role']}_limit"]
        for price in (goal["buyer_limit"], goal["seller_limit"], limit - sign * 12 * goal["step"]):
            assert price > 0
            assert price % goal["step"] == 0
        assert limit - sign * goal["opening"] * goal["step"] > 0


def test_one_profile_can_be_chosen():
    task = TextNegotiation(profile="impatient")
    assert {task.goal(str(number))["profile"] for number in range(50)} == {"impatient"}


@pytest.mark.parametrize(
    ("price", "step"), [(30, 1), (39, 1), (40, 2), (99, 2), (100, 5), (200, 10), (999, 20), (1000, 50)]
)
def test_a_step_goes_twenty_times_into_a_price(price, step):
    assert step_of(price) == step


def test_there_are_more_than_a_hundred_goods():
    goods = TextNegotiation().goods
    assert len({good["item"] for good in goods}) == len(goods) >= 100


def test_goods_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"item": "boat", "price": 3000}\n', encoding="utf-8")
    env = gym.make("TextNegotiation-v0", interface="text", data=str(path))
    observation, _ = env.reset(seed=0)
    assert "the boat." in observation
    assert "steps of £100" in observation


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("boat,20", "line 3: price must be at least 30, got 20"),
        ("bike,50", "line 3: item must be a new name without digits, got 'bike'"),
        ("boat 2,50", "line 3: item must be a new name without digits, got 'boat 2'"),
        ("boat,cheap", "line 3: price must be a number, got 'cheap'"),
    ],
)
def test_a_wrong_line_is_told(tmp_path, line, message):
    path = tmp_path / "own.csv"
    path.write_text(f"item,price\nbike,100\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextNegotiation(data=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "kind"}, "profile must be mixed or one of boulware, .*, got 'kind'"),
        ({"no_deal_share": 1}, r"no_deal_share must be a number in \[0, 1\), got 1"),
        ({"no_deal_share": True}, "no_deal_share must be a number"),
    ],
)
def test_a_wrong_option_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        TextNegotiation(**options)


def test_the_optimum_takes_a_good_last_offer():
    found = Optimum({Kind(10, "linear"): 1.0}, -8)
    assert found.best(State(7, 9, 10, 2), (0,)) == (pytest.approx(0.9), ACCEPT)


def test_the_reward_has_its_place_among_the_others():
    assert resolve("surplus").terms(haggling()[0].unwrapped.transcript) == {"surplus": 0.0}


def test_an_edited_list_is_read_again_from_any_folder(tmp_path, monkeypatch):
    task = edited_and_pickled(
        TextNegotiation, "item,price\nbike,100\n", "item,price\nboat,300\n", tmp_path, monkeypatch
    )
    assert list(task.goods) == [{"item": "boat", "price": 300}]


def test_the_floor_that_names_one_price_is_the_middle_one_of_its_goods(tmp_path):
    assert TextNegotiation().policies["inform_everything"].act("", {}) == "£34."
    path = tmp_path / "own.csv"
    path.write_text("item,price\nbike,100\nboat,300\nhouse,9000\n", encoding="utf-8")
    assert TextNegotiation(data=str(path)).policies["inform_everything"].act("", {}) == "£300."


@pytest.mark.parametrize("role", ["buyer", "seller"])
def test_the_instructions_tell_every_move_and_the_brief_tells_the_limit(role):
    env, observation = haggling(role=role)
    assert observation.startswith("system: You are haggling")
    for needed in (
        '"I can pay £119."',
        '"Deal."',
        '"No deal, goodbye."',
        "ten turns",
        "£100" if role == "buyer" else "£50",
    ):
        assert needed in observation
    assert env.unwrapped.task.instructions in env.unwrapped.messages[0]["content"]
