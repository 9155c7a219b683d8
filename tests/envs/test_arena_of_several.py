"""The games of textarena for more than two players, as environments of ours."""

import importlib.util
import pickle
import random
import re

import gymnasium as gym
import pytest

from dialogym.envs.bridges import SEVERAL_PLAYERS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("textarena") is None, reason='needs textarena: pip install "dialogym[textarena]"'
)
INVALID = "neither a move ] nor a word of use"
"""What no game takes for a move, in brackets or without."""
WITHOUT_INVALID_MOVES = {"ThreePlayerIPD"}
SHORT = {"SettlersOfCatan": {"game_max_turns": 40}, "CharacterConclave": {"character_budget": 100}}
"""Settings with which a long game is over soon."""


def make(name, **options):
    settings = {"interface": "text", "reward": "textarena", "seat": 0, **SHORT.get(name, {}), **options}
    return gym.make(f"dialogym:textarena/{name}-v0", **settings)


def ended(env, act, seed=0, **reset):
    """The last step of a game in which the agent says ``act(observation, info)``."""
    observation, info = env.reset(seed=seed, **reset)
    while True:
        step = observation, _, terminated, truncated, info = env.step(act(observation, info))
        if terminated or truncated:
            return step


def by_chance(env):
    """Any legal move, as an agent that looks into the game."""
    from dialogym.envs.bridges.arena_moves import legal_move

    rng = random.Random(0)

    def act(observation, info):
        game = env.unwrapped.partner.game
        return legal_move(game.id.partition("-")[0], game, rng) or "[pass]"

    return act


def seat_of(observation):
    """Who an agent is, as it reads it in the rules."""
    return int(re.findall(r"You are Player (\d+)", observation)[0])


def overheard(say):
    """What each seat was told last, by its number, and who says ``say(seat, info)`` in every seat."""
    heard = {}

    def speaks(observation, info):
        me = seat_of(observation)
        heard[me] = observation
        return say(me, info)

    return heard, speaks


# Seats and how many there are


@pytest.mark.parametrize("name", SEVERAL_PLAYERS)
def test_chance_among_chance_ends_every_game_without_an_invalid_move_of_anybody(name):
    env = make(name, seat=None)
    for seed in range(2):
        _, reward, terminated, _, info = ended(env, by_chance(env), seed)
        assert terminated
        assert (info["invalid_moves"], info["opponent_invalid_moves"]) == (0, 0)
        assert info["success"] == (reward == 1.0)
        assert reward == env.unwrapped.partner.game.env.state.rewards[info["seat"]]


@pytest.mark.parametrize(("name", "permitted"), SEVERAL_PLAYERS.items())
def test_the_fewest_and_the_most_players_sit_down_and_other_numbers_are_refused(name, permitted):
    for count in {permitted[0], permitted[-1]}:
        env = make(name, num_players=count, seat=count - 1)
        assert env.reset(seed=0)[1]["seat"] == count - 1
        assert env.unwrapped.partner.game.num_players == count
        with pytest.raises(ValueError, match=rf"seat must be 0, 1, .*{count - 1} or None, got {count}"):
            make(name, num_players=count, seat=count)
    for count in (permitted[0] - 1, permitted[-1] + 1, True, "4"):
        with pytest.raises(ValueError, match=rf"num_players of textarena/{name} must be .*, got {count!r}"):
            make(name, num_players=count)


def test_without_a_number_as_many_play_as_they_register_or_the_fewest():
    counts = {name: make(name).unwrapped.task.num_players for name in ("MarketEntryGame", "PublicGoodsGame", "Taboo")}
    assert counts == {"MarketEntryGame": 4, "PublicGoodsGame": 3, "Taboo": 4}


def test_every_seat_comes_as_often_and_a_goal_keeps_its_own():
    env = make("ThreePlayerGOPS", seat=None)
    seats = [env.reset(options={"goal_id": str(number)})[1]["seat"] for number in range(150)]
    assert all(30 < seats.count(seat) < 70 for seat in range(3))
    again = make("ThreePlayerGOPS", seat=None, opponent=silent)
    assert [again.reset(options={"goal_id": str(number)})[1]["seat"] for number in range(20)] == seats[:20]


# Who wins


def line_of(cells):
    """Says the cells of the player that one is, one a turn."""
    return lambda observation, info: f"[{cells[seat_of(observation)][info['turn']]}]"


def test_three_in_a_game_of_tic_tac_toe_win_and_lose_as_on_paper():
    cells = {0: [0, 1, 2, 3], 1: [5, 6, 7, 9], 2: [20, 21, 22, 24]}
    won = ended(make("ThreePlayerTicTacToe", opponent=line_of(cells)), line_of(cells))
    assert (won[1:3], won[4]["success"], won[4]["turn"]) == ((1.0, True), True, 4)
    lost = ended(make("ThreePlayerTicTacToe", opponent=line_of(cells), seat=2), line_of(cells))
    assert (lost[1:3], lost[4]["success"]) == ((-1.0, True), False)
    assert "Player 0 (A) wins!" in lost[0]


def test_who_defects_alone_wins_the_dilemma_and_who_shares_the_first_place_with_all_does_not():
    def cooperates(observation, info):
        return "[0 cooperate] [1 cooperate] [2 cooperate]"

    env = make("ThreePlayerIPD", opponent=cooperates, seat=1)
    assert ended(env, lambda observation, info: "[0 defect] [2 defect]")[1] == 1.0
    *_, info = draw = ended(env, cooperates)
    assert (draw[1], info["success"]) == (0.0, False)


def test_who_has_been_voted_out_waits_for_the_end_and_wins_or_loses_with_its_side():
    def votes(observation, info):
        targets = re.findall(r"\[(\d+)\]", info["messages"][-1]["content"].rpartition(": ")[2]) or ["0"]
        return f"[{targets[-1 if 'Your teammates' in observation else 0]}]"

    ends = set()
    for goal_id in map(str, range(40)):
        env = make("SecretMafia", opponent=votes, discussion_rounds=1)
        observation, reward, _, _, info = ended(env, votes, options={"goal_id": goal_id})
        game = env.unwrapped.partner.game
        is_mafia, is_out = game.env.player_roles[0] == "Mafia", 0 not in game.env.state.game_state["alive_players"]
        assert info["invalid_moves"] == info["opponent_invalid_moves"] == 0
        assert reward == (1.0 if ("eliminated. Village wins!" in observation) != is_mafia else -1.0)
        assert info["success"] == (reward == 1.0)
        ends.add((is_out, reward))
    assert {(True, 1.0), (True, -1.0)} <= ends


# Invalid moves


@pytest.mark.parametrize("name", sorted({*SEVERAL_PLAYERS} - WITHOUT_INVALID_MOVES))
def test_invalid_moves_of_the_agent_are_counted_and_lose_the_game(name):
    def speaks(observation, info):
        return "I speak." if "You are Player 0, the Clue Giver" in observation else INVALID

    env = make(name, seat=1 if name == "Taboo" else 0, opponent="random")  # the first in Taboo may say anything
    _, reward, terminated, _, info = ended(env, speaks)
    allowed = 2 if name in ("MarketEntryGame", "PublicGoodsGame") else 1
    assert (reward, terminated, info["success"]) == (-1.0, True, False)
    assert (info["invalid_moves"], info["opponent_invalid_moves"]) == (allowed + 1, 0)


@pytest.mark.parametrize("name", sorted({*SEVERAL_PLAYERS} - WITHOUT_INVALID_MOVES))
def test_invalid_moves_of_the_others_make_nobody_win(name):
    for seed in range(3):
        env = make(name, opponent=lambda observation, info: INVALID, seat=None)
        _, reward, terminated, _, info = ended(env, by_chance(env), seed)
        assert (terminated, info["success"], info["invalid_moves"]) == (True, False, 0)
        assert info["opponent_invalid_moves"] >= 2
        assert reward <= 0


def silent(observation, info):
    return ""


def test_others_who_never_come_to_an_end_are_left_without_a_winner():
    env = make("CharacterConclave", opponent=silent)
    observation, reward, terminated, _, info = ended(env, lambda observation, info: "I am the one to vote for." * 9)
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    assert "The others have made 1000 moves and the game is not over. Nobody wins." in observation
    twin = pickle.loads(pickle.dumps(env))
    assert repr(twin.reset(seed=3)) == repr(env.reset(seed=3))


# What a seat is told


def test_what_is_said_in_braces_is_public_and_all_else_a_players_own():
    heard, speaks = overheard(lambda me, info: f"thought-{me} {{word-{me}}} [E]")
    ended(make("MarketEntryGame", opponent=speaks), speaks)
    assert sorted(heard) == [0, 1, 2, 3]
    for me, observation in heard.items():
        assert {*re.findall(r"thought-\d", observation)} == {f"thought-{me}"}
        assert {*re.findall(r"word-\d", observation)} == {"word-0", "word-1", "word-2", "word-3"}


def test_a_choice_made_at_once_is_shown_to_nobody_before_all_have_chosen():
    heard = []

    def speaks(observation, info):
        heard.append(observation)
        return "[E]" if seat_of(observation) < 2 else "[S]"

    ended(make("MarketEntryGame", opponent=speaks, num_rounds=1, seat=3), speaks)
    assert heard  # and the one round is over when the last has chosen
    assert not any("ENTERED" in observation for observation in heard)


def test_no_one_but_the_mafia_knows_what_the_night_was_about():
    def say(me, info):
        asked = info["messages"][-1]["content"].rpartition("\n")[2]
        targets = re.findall(r"\[(\d+)\]", asked) or ["0"]
        return f"[{targets[-1]}] {'secret' if asked.startswith(('Valid targets', 'Night phase')) else 'public'}-{me}"

    heard, speaks = overheard(say)
    env = make("SecretMafia", opponent=speaks, num_players=9)
    observation, *_ = ended(env, speaks)
    roles = env.unwrapped.partner.game.env.player_roles
    heard[0] = observation
    mafia = {player for player, role in roles.items() if role == "Mafia"}
    for me, told in heard.items():
        secrets = {int(player) for player in re.findall(r"secret-(\d)", told)} - {me}
        assert secrets == (mafia - {me} if me in mafia else set())
        assert bool(re.search(r"IS (NOT )?a Mafia member", told)) <= (roles[me] == "Detective")
        assert told.count("Your role: ") == 1


def test_a_guesser_hears_its_own_clue_giver_and_never_the_word():
    heard, speaks = overheard(lambda me, info: f"[word-{me}]")
    env = make("Taboo", opponent=speaks, num_players=6)
    ended(env, speaks)
    words = [word for pairs in env.unwrapped.partner.game.env.state.game_state["team_word_pairs"].values()
             for word, _ in pairs]  # fmt: skip
    for me, told in heard.items():
        said = {int(player) for player in re.findall(r"word-(\d)", told)} - {me}
        team = {0, 1, 2} if me < 3 else {3, 4, 5}
        assert said == team - {me}
        knows = [word for word in words if f"word to guess is '{word}'" in told]
        assert bool(knows) == (me in (0, 3))


# Who the others are


def test_against_itself_the_agent_plays_every_seat():
    from dialogym.agents import Agent
    from dialogym.envs import playing

    class Counts(Agent):
        name = "counts"
        seats = ()

        def act(self, observation, info):
            self.seats = (*self.seats, seat_of(observation))
            return re.findall(r"Available Moves: (\[\d+\])", observation)[-1]

    env = make("ThreePlayerTicTacToe", opponent="self")
    agent = Counts(env)
    with playing(agent):
        ended(env, agent.act)
    assert agent.seats[:4] == (0, 1, 2, 0)
    with pytest.raises(ValueError, match=r"opponent='self' has to know who plays"):
        ended(env, lambda observation, info: "[0]")


def test_an_agent_in_the_other_seats_may_be_named_and_is_made_for_as_many_players():
    env = make("Taboo", opponent="claim_success", num_players=6, seat=5)
    *_, info = ended(env, lambda observation, info: "[a guess]")
    assert not info["success"]
    made = env.unwrapped.task.opponent._made.agent.spec
    assert made.kwargs["num_players"] == 6
    twin = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert repr(twin.reset(seed=1)) == repr(env.reset(seed=1))


def test_a_rule_of_theirs_beats_chance_where_there_is_one():
    def wins(count, **options):
        env = make("ThreePlayerTicTacToe", seat=None, **options)
        return sum(ended(env, by_chance(env), seed)[4]["success"] for seed in range(count))

    assert wins(3, opponent="rule") == 0 < wins(12)
    with pytest.raises(ValueError, match=r"textarena/Taboo has no rule; opponent='rule' is for .*SettlersOfCatan"):
        make("Taboo", opponent="rule")


def test_settlers_who_go_by_the_rule_build_and_the_turn_limit_that_theirs_forgets_ends_the_game():
    def builds_nothing(observation, info):
        return re.findall(r"'(\[\d+\])'\s+-  Nothing", observation)[-1]

    env = make("SettlersOfCatan", opponent="rule", game_max_turns=100)
    observation, reward, terminated, _, info = ended(env, builds_nothing)
    game = env.unwrapped.partner.game
    points = {str(color): record["total"] for color, record in game.env.board.get_scores().items()}
    assert terminated
    assert len(game.moves) == 100
    assert "Final scores" in observation
    assert sum(points.values()) - points["red"] > 6  # what they begin with
    assert points["red"] == min(points.values())
    assert (reward, info["success"]) == (-1.0, False)
