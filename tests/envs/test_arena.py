"""The games of textarena, as environments of ours."""

import importlib.util
import json
import pickle
import random
import re
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from dialogym.envs import bridged_ids, remake, task_class
from dialogym.envs.bridges import ONE_PLAYER, PYTHON_312, SEVERAL_PLAYERS, TEXTARENA
from dialogym.rewards import RewardError

from ..rewards.stub_server import saying, serving
from .bridged_page import checked_page

INSTALLED = importlib.util.find_spec("textarena") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason='needs textarena: pip install "dialogym[textarena]"')
needs_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="its program is in the syntax of Python 3.12")
GAMES = [pytest.param(name, marks=needs_312) if name in PYTHON_312 else name for name in TEXTARENA]
GAMES_FOR_TWO = [
    game for game, name in zip(GAMES, TEXTARENA, strict=True) if name not in ONE_PLAYER and name not in SEVERAL_PLAYERS
]
HANOI = ("[A C]", "[A B]", "[C B]", "[A C]", "[B A]", "[B C]", "[A C]")


def make(name, **options):
    return gym.make(f"dialogym:textarena/{name}-v0", **{"interface": "text", **options})


def play(env, moves, **reset):
    """All that is seen in a game."""
    seen = [env.reset(**{"seed": 0, **reset})]
    for move in moves:
        seen.append(env.step(move))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


def test_nothing_of_theirs_is_imported_before_one_of_their_games_is_made():
    code = (
        "import sys, dialogym, gymnasium as gym\n"
        "gym.make('TextArithmetic-v0', interface='text')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('textarena', 'nltk', 'chess')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_their_package_an_id_says_which_extra_brings_it():
    code = (
        "import sys; sys.modules['textarena'] = None\n"
        "import gymnasium as gym\n"
        "try: gym.make('dialogym:textarena/Bandit-v0')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "dialogym[textarena]"' in done.stdout


@needs_it
def test_every_game_of_theirs_is_bridged_or_left_out_for_a_reason():
    from dialogym.envs.bridges.arena_game import registry
    from dialogym.envs.bridges.arena_left_out import LEFT_OUT

    games = {id.removesuffix("-v0") for id in registry() if id.endswith("-v0")}
    too_new = PYTHON_312 if sys.version_info < (3, 12) else frozenset()
    assert {*bridged_ids("textarena")} == {f"textarena/{name}-v0" for name in TEXTARENA if name not in too_new}
    assert not {*TEXTARENA} & {*LEFT_OUT}
    assert games == {*TEXTARENA, *LEFT_OUT}


@needs_it
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python can read them")
@pytest.mark.parametrize("name", sorted(PYTHON_312))
def test_a_game_that_this_python_cannot_read_says_which_can(name):
    with pytest.raises(ImportError, match=rf"textarena/{name}-v0 needs Python 3\.12 or later.*this is Python 3\.1"):
        make(name)


@needs_it
@needs_312
def test_chess_is_won_as_on_paper():
    def black(observation, info):
        return ("[e7e5]", "[b8c6]", "[g8f6]")[info["turn"]]

    env = make("Chess", seat=0, reward="textarena", opponent=black)
    *_, info = won = play(env, ["e2e4", "f1c4", "d1h5", "h5f7"])[-1]
    assert (won[1:3], info["success"], info["invalid_moves"]) == ((1.0, True), True, 0)


@needs_it
@needs_312
def test_three_in_a_row_lose_reverse_tic_tac_toe():
    env = make("ReverseTicTacToe", seat=0, reward="textarena", opponent=line_of([3, 4, 8]))
    assert play(env, ["[0]", "[1]", "[2]"])[-1][1:3] == (-1.0, True)


@needs_it
def test_the_known_solution_of_three_disks_wins():
    seen = play(make("TowerOfHanoi", reward="textarena"), HANOI)
    assert [step[1] for step in seen[1:]] == [0.0] * 6 + [1.0]
    assert seen[-1][2]
    assert seen[-1][4]["success"]
    assert seen[-1][4]["invalid_moves"] == 0
    assert "You solved the Tower of Hanoi" in seen[-1][0]


@needs_it
def test_an_invalid_move_is_answered_counted_and_two_in_a_row_lose():
    env = make("TowerOfHanoi")
    _, first, _, second = play(env, ["[C A]", "[A C]", "what ?"])
    assert first[4]["invalid_moves"] == 1
    assert "move a disk from an empty tower" in first[4]["messages"][-1]["content"]
    assert not first[2]
    assert (second[4]["invalid_moves"], second[2]) == (2, False)  # not in a row
    last = env.step("[B A]")
    assert last[2]
    assert last[4]["invalid_moves"] == 3
    assert not last[4]["success"]


@needs_it
def test_part_marks_for_an_invalid_move_are_no_success():
    env = make("PegJump", reward="textarena")
    _, *steps = play(env, ["x", "y"])
    assert 0 < steps[-1][1] < 1
    assert steps[-1][2]
    assert not steps[-1][4]["success"]


@needs_it
def test_a_move_on_which_their_program_fails_is_an_invalid_one(monkeypatch):
    env = make("TowerOfHanoi")
    env.reset(seed=0)
    env.step(HANOI[0])
    kind = type(env.unwrapped.partner.game.env)
    step = kind.step

    def fails(self, action):
        if "boom" in action:
            self.state.game_state["towers"].clear()  # and leaves the game in pieces
            raise IndexError("list index out of range")
        return step(self, action)

    monkeypatch.setattr(kind, "step", fails)
    env.step("boom")
    *_, info = env.step(HANOI[1])
    assert info["invalid_moves"] == 1
    assert "cannot read this move (IndexError)" in info["messages"][-3]["content"]
    for move in HANOI[2:]:
        *_, info = env.step(move)
    assert info["success"]


@needs_it
def test_no_word_of_an_episode_is_in_the_next_one():
    env = make("FifteenPuzzle")
    play(env, ["[up]", "nonsense"])
    observation, info = env.reset(seed=1)
    assert observation == make("FifteenPuzzle").reset(seed=1)[0]
    assert info["invalid_moves"] == 0
    assert "nonsense" not in observation


@needs_it
@pytest.mark.parametrize("name", ["2048", "Bandit", "Blackjack", "Sokoban"])
def test_a_goal_is_the_same_game_to_the_last_throw_and_no_global_generator_moves(name):
    def game(goal_id):
        env = make(name)
        env.action_space.seed(7)
        return repr(play(env, [env.action_space.sample() for _ in range(8)], options={"goal_id": goal_id}))

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (the global state is the point)
    states = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    first = game("5")
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == states  # noqa: NPY002
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert game("5") == first != game("6")


@needs_it
def test_two_games_at_once_draw_from_generators_of_their_own():
    alone = play(make("2048"), ["[left]", "[up]"] * 6)
    first, second = make("2048"), make("2048")
    seen = [first.reset(seed=0)]
    second.reset(seed=9)
    for move in ["[left]", "[up]"] * 6:
        seen.append(first.step(move))
        second.step(move)
    assert repr(seen) == repr(alone)


@needs_it
def test_a_game_without_brackets_around_the_move_gets_them_where_they_would_put_them():
    *_, info = play(make("2048"), ["left"])[-1]
    assert info["invalid_moves"] == 0


@needs_it
def test_variants_and_settings_are_keyword_arguments():
    assert "3 disks" in play(make("TowerOfHanoi"), [])[0][0]
    assert "4 disks" in play(make("TowerOfHanoi", variant="medium"), [])[0][0]
    env = make("TowerOfHanoi", variant="medium", num_disks=2, game_max_turns=5, max_turns=30)
    assert "2 disks" in play(env, [])[0][0]
    assert play(env, ["[A B]", "[A C]", "[B C]"])[-1][4]["success"]
    assert env.unwrapped.partner.game.env.max_turns == 5
    env = remake(pickle.loads(pickle.dumps(env)), interface="text", split="test")
    assert env.unwrapped.task.made_with == {"variant": "medium", "num_disks": 2, "game_max_turns": 5}


@needs_it
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "chess"}, "variant of textarena/TowerOfHanoi-v0 must be one of 'extreme', 'hard', .*got 'chess'"),
        ({"variant": "hard-train"}, "must be one of"),
        ({"num_disks": "three"}, "refuses its settings {'num_disks': 'three'}"),
    ],
)
def test_wrong_settings_say_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        make("TowerOfHanoi", **options)
    with pytest.raises(TypeError, match="did you mean 'num_disks'"):
        make("TowerOfHanoi", num_disk=3)


@needs_it
def test_settings_that_permit_too_few_games_are_an_error_and_no_endless_search():
    task = make("LightsOut", size=1).unwrapped.task
    (split,) = {task.split_of(task.goal(str(number))) for number in range(5)}
    other = next(name for name in ("train", "validation", "test") if name != split)
    assert task.sample_goal(0, split)
    with pytest.raises(ValueError, match=f"into the split '{other}' .*permit too few"):
        task.sample_goal(0, other)


@needs_it
def test_their_count_is_a_reward_for_their_games_alone():
    env = make("Blackjack", reward="textarena")
    total, over = 0.0, False
    env.reset(seed=3)
    while not over:
        _, reward, over, _, info = env.step("[Stand]")
        total += reward
    assert total == info["reward_terms"]["textarena"] == env.unwrapped.transcript.goal["outcome"]
    assert 0 <= total <= 1
    assert round(5 * total) == 5 * total
    env = gym.make("TextArithmetic-v0", interface="text", reward="textarena")
    env.reset(seed=0)
    with pytest.raises(RewardError, match="is for the ids textarena/"):
        env.step("7")


@needs_it
def test_a_pickled_game_goes_on_where_it_was():
    env = make("2048")
    play(env, ["[left]", "[up]", "nonsense", "[down]"])
    twin = pickle.loads(pickle.dumps(env))
    for move in ("[left]", "[up]", "[right]", "x"):
        assert repr(env.step(move)) == repr(twin.step(move))


@needs_it
@pytest.mark.parametrize("name", GAMES)
def test_the_form_of_a_move_is_known_and_no_setting_hides_an_option_of_ours(name):
    import inspect

    from dialogym.envs.bridges.textarena import OWN_WORDS

    own = {"variant"} if name in ONE_PLAYER else {"variant", "opponent", "seat"}
    own |= {"num_players"} if name in SEVERAL_PLAYERS else set()
    assert not {*inspect.signature(task_class(f"textarena/{name}-v0")).parameters} & OWN_WORDS - own


# For two players


def forever(env, reply, **reset):
    """The last step of a game in which ``reply`` of the info is said each turn."""
    _, info = env.reset(**{"seed": 0, **reset})
    while True:
        step = env.step(reply(info) if callable(reply) else reply)
        info = step[4]
        if step[2] or step[3]:
            return step


def first_free(observation, info):
    """The lowest cell of a game of tic-tac-toe that was shown as free last."""
    boards = [message["content"] for message in info["messages"] if "Available Moves:" in message["content"]]
    return boards[-1].rpartition("Available Moves: ")[2].split(",")[0].split("'")[1]


def line_of(cells):
    """Says the cells of a list, one a turn."""
    return lambda observation, info: f"[{cells[info['turn']]}]"


@needs_it
def test_tic_tac_toe_is_won_and_lost_as_on_paper():
    env = make("TicTacToe", seat=0, reward="textarena", opponent=line_of([3, 4, 8]))
    won = play(env, ["[0]", "[1]", "[2]"])
    assert won[-1][1:3] == (1.0, True)
    assert won[-1][4]["success"]
    lost = play(env, ["[0]", "[1]", "[7]", "[2]"])  # and never comes to its fourth
    env = make("TicTacToe", seat=0, reward="textarena", opponent=line_of([3, 4, 5]))
    lost = play(env, ["[0]", "[1]", "[7]", "[2]"])
    assert (len(lost), *lost[-1][1:3]) == (4, -1.0, True)
    assert not lost[-1][4]["success"]
    assert "Player 1 has won" in lost[-1][0]


@needs_it
def test_each_side_has_either_seat_as_often_and_keeps_it_for_a_goal():
    env = make("TicTacToe")
    seats = {goal_id: env.reset(options={"goal_id": goal_id})[1]["seat"] for goal_id in map(str, range(200))}
    assert 80 < sum(seats.values()) < 120
    again = make("TicTacToe", opponent="rule")
    assert all(again.reset(options={"goal_id": id})[1]["seat"] == seat for id, seat in [*seats.items()][:20])
    second = next(id for id, seat in seats.items() if seat == 1)
    assert "placed their symbol (O)" in env.reset(seed=0, options={"goal_id": second})[0]  # the other side began
    assert {make("TicTacToe", seat=1).reset(seed=seed)[1]["seat"] for seed in range(5)} == {1}


@needs_it
def test_the_same_goal_is_the_same_deal_and_the_seed_is_the_chance_of_the_other_side():
    def game(seed, name="KuhnPoker", moves=("[check]", "[bet]", "[call]")):
        env = make(name, seat=0)
        return repr(play(env, moves, seed=seed, options={"goal_id": "5"}))

    assert game(1) == game(1)
    assert len({game(seed) for seed in range(6)}) > 1
    openings = {repr(make("Briscola", seat=0).reset(seed=s, options={"goal_id": "5"})[0]) for s in range(6)}
    assert len(openings) == 1


@needs_it
def test_a_game_that_an_invalid_move_ends_is_won_by_nobody():
    env = make("TicTacToe", seat=0, reward="textarena")
    *_, info = lost = forever(env, "nonsense")
    assert lost[1:3] == (-1.0, True)
    assert (info["invalid_moves"], info["opponent_invalid_moves"], info["success"]) == (2, 0, False)
    env = make("TicTacToe", seat=0, reward="textarena", opponent=lambda observation, info: "nonsense")
    *_, info = gift = forever(env, "[0]")
    assert gift[1:3] == (0.0, True)
    assert (info["invalid_moves"], info["opponent_invalid_moves"], info["success"]) == (0, 2, False)


@needs_it
def test_a_game_thrown_away_before_the_agents_first_turn_ends_with_that_turn():
    env = make("TicTacToe", seat=1, reward="textarena", opponent=lambda observation, info: "nonsense")
    _, *steps = play(env, ["[0]"])
    assert steps[0][1:3] == (0.0, True)
    assert not steps[0][4]["success"]
    assert env.reset(seed=1)[1]["opponent_invalid_moves"] == 2


@needs_it
def test_a_player_who_is_out_does_not_play_on_in_a_game_that_forgets_it():
    *_, info = step = forever(make("SantoriniBaseFixed", seat=0, reward="textarena"), "nonsense")
    assert step[1:3] == (-1.0, True)
    assert info["invalid_moves"] == 11  # theirs allows ten


@needs_it
def test_an_agent_on_the_other_side_is_told_what_its_own_side_is_told():
    heard = []

    class Spy:
        interface = "text"

        def act(self, observation, info):
            heard.append((observation, info))
            return "[check]" if "'[check]'" in info["messages"][-1]["content"] else "[fold]"

    env = make("KuhnPoker", opponent=Spy(), seat=0)
    own = forever(env, "[bet]")[4]["messages"]
    observation, info = heard[0]
    assert "You are Player 1" in observation
    assert "You are Player 0" in own[1]["content"]
    assert "You are Player 0" not in observation
    assert [message["role"] for message in info["messages"]] == ["system", "user"]
    assert info["turn"] == 0
    assert heard[-1][1]["turn"] == len(heard) - 1
    cards = [re.findall(r"Your card is: '(.)'", text)[0] for text in (own[1]["content"], observation)]
    assert {*cards} < {"J", "Q", "K"}
    assert len({*cards}) == 2
    assert observation.count("Your card is") == 1


@needs_it
def test_the_rules_beat_chance_and_nim_is_won_from_every_won_position():
    def wins(name, count=20, **options):
        env = make(name, **options)
        return sum(forever(env, lambda info: first_free("", info), seed=seed)[4]["success"] for seed in range(count))

    assert wins("TicTacToe", opponent="rule") < 3 < wins("TicTacToe", opponent="random")
    for goal_id in ("1", "2", "3", "4", "5", "6"):  # 3 xor 4 xor 5 is 2: who begins can win
        env = make("Nim", opponent="rule", reward="textarena", seat=1)

        def takes_one(info):
            last = info["messages"][-1]["content"].rpartition("Current Pile:")[2]
            piles = [line.split()[1:] for line in last.strip().splitlines()]
            return next(f"[{pile[0].strip(':')} 1]" for pile in piles if pile[1] != "0")

        assert forever(env, takes_one, options={"goal_id": goal_id})[1] == -1.0


@needs_it
def test_an_endpoint_is_asked_with_what_its_side_has_heard():
    with serving(lambda request: saying(first_free("", request))) as server:
        endpoint = {"model": "served", "base_url": server.url, "key_variable": ""}
        env = make("TicTacToe", opponent=endpoint, seat=0)
        *_, info = forever(env, lambda info: first_free("", info))
    asked = server.requests
    assert info["opponent_invalid_moves"] == 0
    assert [message["role"] for message in asked[-1]["messages"]][:4] == ["system", "user", "assistant", "user"]
    assert asked[0]["model"] == "served"


@pytest.fixture
def first_free_agent(monkeypatch):
    """The name of an agent that takes the lowest free cell, and a list of those that were made."""
    from dialogym.agents import Agent
    from dialogym.agents.registry import AGENTS

    made = []

    class FirstFree(Agent):
        name = "first_free"

        def __init__(self, env, seed=0, config=None):
            super().__init__(env, seed, config)
            made.append(self)

        act = staticmethod(first_free)

    monkeypatch.setitem(AGENTS, FirstFree.name, f"{__name__}:FirstFree")
    monkeypatch.setattr(sys.modules[__name__], "FirstFree", FirstFree, raising=False)
    return FirstFree.name, made


@needs_it
def test_an_agent_on_the_other_side_may_be_named_and_is_made_when_it_first_speaks(first_free_agent):
    name, made = first_free_agent
    env = make("TicTacToe", opponent=name, seat=0, variant=None)
    env.reset(seed=0)
    assert made == []
    moves = ["[4]", "[8]", "[2]", "[3]"]
    assert repr(play(env, moves)) == repr(play(make("TicTacToe", opponent=first_free, seat=0), moves))
    play(env, moves)
    play(pickle.loads(pickle.dumps(env)), moves)
    assert [agent.spec.id for agent in made] == ["textarena/TicTacToe-v0"] * 2  # that of the pickled one is another
    *_, info = forever(make("TicTacToe", opponent="claim_success", seat=0), "[0]")
    assert info["opponent_invalid_moves"] == 2


@needs_it
def test_a_saved_agent_on_the_other_side_is_its_folder_which_a_file_can_hold(first_free_agent, tmp_path):
    from dialogym.agents import load_agent, make_agent
    from dialogym.evaluation.score import score

    name, made = first_free_agent
    make_agent(name, make("TicTacToe")).save(tmp_path / "opponent")
    env = make("TicTacToe", opponent=str(tmp_path / "opponent"), seat=0, reward="textarena")
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    moves = ["[4]", "[8]", "[2]", "[3]"]
    expected = play(make("TicTacToe", opponent=first_free, seat=0, reward="textarena"), moves)
    assert repr(play(env, moves)) == repr(play(again, moves)) == repr(expected)
    make_agent(name, env).save(tmp_path / "learner")
    made.clear()
    loaded = load_agent(tmp_path / "learner")
    assert loaded.spec.kwargs["opponent"] == str(tmp_path / "opponent")
    assert len(made) == 1  # the learner alone
    scores = score(loaded, remake(loaded.spec, interface="text"), [(str(number), number) for number in range(3)])
    assert scores.success.all()  # who begins with 0, 2, 4, 6 has a line first
    assert len(made) == 2


@needs_it
def test_the_command_line_plays_against_a_saved_agent(tmp_path):
    from typer.testing import CliRunner

    from dialogym.agents import make_agent
    from dialogym.cli import app

    make_agent("claim_success", make("TicTacToe")).save(tmp_path / "agent")
    asked = ["evaluate", "random", "--env", "textarena/TicTacToe-v0", "--goals", "2"]
    done = CliRunner().invoke(app, [*asked, "--set", f"opponent={tmp_path}/agent"])
    assert done.exit_code == 0, done.output
    wrong = CliRunner().invoke(app, [*asked, "--set", f"opponent={tmp_path}"])
    assert "did you mean" in str(wrong.exception or wrong.output)


@needs_it
def test_an_environment_without_an_agent_on_the_other_side_imports_none():
    code = (
        "import sys, gymnasium as gym\n"
        "gym.make('dialogym:textarena/TicTacToe-v0', interface='text', opponent='rule').reset(seed=0)\n"
        "print([name for name in sys.modules if name.startswith('dialogym.agents')])\n"
        "gym.make('dialogym:textarena/TicTacToe-v0', interface='text', opponent='sft').reset\n"
        "print([name for name in sys.modules if name == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


@needs_it
def test_a_folder_that_names_a_server_is_not_played_against(tmp_path):
    from dialogym.agents import make_agent

    options = {"model": "m", "base_url": "http://localhost:1", "key_variable": "SECRET_KEY"}
    make_agent("do_nothing", make("TicTacToe")).save(tmp_path)
    description = json.loads((tmp_path / "agent.json").read_text())
    (tmp_path / "agent.json").write_text(json.dumps({**description, "agent": "api", "config": options}))
    with pytest.raises(
        ValueError, match=r"names the server 'http://localhost:1', which would get the key in SECRET_KEY"
    ):
        make("TicTacToe", opponent=str(tmp_path))


@needs_it
def test_against_itself_the_agent_plays_both_seats_of_a_game():
    from dialogym.agents import Agent
    from dialogym.envs import playing
    from dialogym.evaluation.score import score

    class Counts(Agent):
        name = "counts"

        def __init__(self, env):
            super().__init__(env)
            self.seats = []

        def act(self, observation, info):
            self.seats.append(int("You are Player 1" in observation))
            return first_free(observation, info)

    env = make("TicTacToe", opponent="self", reward="textarena")
    agent = Counts(env)
    with playing(agent):
        _, info = env.reset(seed=0, options={"goal_id": "5"})
        env.step(first_free("", info))
    assert agent.seats == [1 - info["seat"]] * len(agent.seats) != []
    agent.seats.clear()
    scores = score(agent, env, [(str(number), number) for number in range(8)])
    assert len(scores.success) == 8
    assert 0 < sum(agent.seats) < len(agent.seats)  # both, in turn with the agent or from goal to goal
    with pytest.raises(ValueError, match=r"opponent='self' has to know who plays"):
        forever(env, "[0]")


@needs_it
def test_a_language_model_learns_against_itself(monkeypatch):
    pytest.importorskip("torch")
    from dialogym.agents import make_agent
    from dialogym.envs.core.playing import who_plays

    env = make("IteratedMatchingPennies", opponent="self", num_rounds=2)
    settings = {"env_turns": 1, "batch_conversations": 2, "num_reports": 1, "hidden_size": 16}
    agent = make_agent("reinforce", env, **settings)
    said = []
    act = agent.act

    def told(observation, info):
        assert who_plays() is agent
        said.append(act(observation, info))
        return said[-1]

    monkeypatch.setattr(agent, "act", told)
    agent.learn(env)
    assert said
    assert who_plays() is None


@needs_it
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"opponent": "chess"},
            ValueError,
            r"opponent must be one of random, rule, self, the name .*got 'chess': .*chess",
        ),
        (
            {"opponent": "q_learning"},
            ValueError,
            "got 'q_learning': expected an agent that plays .*'text', and q_learn",
        ),
        ({"opponent": 3}, TypeError, "opponent must be one of .*got 3"),
        ({"opponent": {"base_url": "http://localhost:1"}}, ValueError, "of which model has to be given"),
        ({"opponent": {"model": "m", "modell": 1}}, ValueError, "endpoint of an opponent takes model, base_url"),
        ({"seat": 2}, ValueError, "seat must be 0, 1 or None, got 2"),
    ],
)
def test_a_wrong_opponent_says_what_was_expected(options, error, message):
    with pytest.raises(error, match=message):
        make("Briscola", **options)


@needs_it
def test_a_game_without_a_rule_names_those_that_have_one():
    with pytest.raises(ValueError, match=r"textarena/Briscola has no rule; opponent='rule' is for .*Nim"):
        make("Briscola", opponent="rule")
    env = make("TicTacToe", opponent=lambda observation, info: 3, seat=1)
    with pytest.raises(TypeError, match="opponent must say a str, got 3"):
        env.reset(seed=0)


@needs_it
@pytest.mark.parametrize("name", GAMES_FOR_TWO)
def test_chance_against_chance_ends_every_game_without_an_invalid_move(name):
    from dialogym.envs.bridges.arena_game import Game
    from dialogym.envs.bridges.arena_moves import legal_move

    game, rng = Game(f"{name}-v0", {}, 1, 2), random.Random(0)
    while not game.done and len(game.moves) < 30:
        move = legal_move(name, game, rng)
        assert move is not None
        game.step(move)
    assert game.invalid == [0, 0]
    assert game.done == (game.env.state.rewards is not None)


# Keys


@needs_it
@pytest.mark.parametrize(
    "name",
    ["Countdown", "Crosswords", "Cryptarithm", "FrozenLake", "LightsOut", "LogicPuzzle", "Mastermind", "Minesweeper",
     "PegJump", "Secretary", "Set", "Sudoku", "ThreeCardMonte", "TowerOfHanoi"],
)  # fmt: skip
def test_the_key_of_a_game_for_one_wins_it_without_an_invalid_move(name):
    env = make(name)
    rule = env.unwrapped.task.policies["rule"].act
    for goal_id in ("3", "4"):
        observation, info = env.reset(seed=0, options={"goal_id": goal_id})
        over = False
        while not over:
            observation, reward, over, _, info = env.step(rule(observation, info))
        assert (reward, info["success"], info["invalid_moves"]) == (1.0, True, 0)


def test_the_fewest_moves_are_found_and_none_where_there_are_none():
    from dialogym.envs.bridges.arena_keys import shortest

    def moves(place):
        return [("+3", place + 3), ("*2", place * 2)] if place < 100 else []

    assert shortest(1, moves, lambda place: place == 11) == ["+3", "*2", "+3"]
    assert shortest(3, moves, lambda place: place == 4) == []
    assert shortest(4, moves, lambda place: place == 4) == []


@needs_it
def test_the_page_of_all_games_is_what_was_found():
    bridged_tasks, _ = checked_page("textarena")
    row = {
        "goals": 3,
        "checks": [["floor: random", "fail", "0.500 [0, 1]"], ["floor: do_nothing", "pass", "0.000 [0, 1]"]],
    }
    assert bridged_tasks.row_of_game("textarena/Nim-v0", row) == (
        "| `Nim-v0` | 2 | 3 | failed | loose floor: random | – | 0.50 | 0.00 |  |"
    )
