"""Tables: exact updates worked by hand, masks, truncation, and trainings that stop and go on."""

from __future__ import annotations

import json
import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import dialogym  # registers the environments  # noqa: F401
from dialogym.agents import load_agent
from dialogym.agents.tabular.agent import ActionValues, TabularAgent, TabularConfig
from dialogym.agents.tabular.double_q_learning import DoubleQLearningAgent
from dialogym.agents.tabular.expected_sarsa import ExpectedSarsaAgent
from dialogym.agents.tabular.q_learning import QLearningAgent
from dialogym.agents.tabular.sarsa import SarsaAgent

from ..tiny import Bandit, Chain, Noisy

ALGORITHMS = [QLearningAgent, SarsaAgent, ExpectedSarsaAgent, DoubleQLearningAgent]
HALF = TabularConfig(gamma=0.5, step_size=0.5, step_size_decay=0.0, min_step_size=0.0)
A, B = (0,), (1,)


class Script:
    """An exploration that plays a list of actions, and says that both are as likely."""

    def __init__(self, *actions: int):
        self.actions = list(actions)

    def anneal(self, progress: float) -> None:
        pass

    def choose(self, values: Any, allowed: Any, rng: random.Random) -> int:
        return self.actions.pop(0)

    def probabilities(self, values: Any, allowed: Any) -> list[float]:
        return [1 / len(allowed)] * len(allowed)


def scripted(kind: type[TabularAgent], env: gym.Env, *actions: int) -> TabularAgent:
    agent = kind(env, config=HALF)
    agent.exploration = Script(*actions)
    agent.tables[0][B][:] = [2.0, 6.0]  # so that the next state is worth something
    return agent


def test_q_learning_takes_the_maximum_of_the_next_state() -> None:
    agent = scripted(QLearningAgent, Chain(), 1, 0, 1)
    episode = agent.play_episode(Chain(), seed=0)
    # A,1: -1 + 0.5 * max(2, 6) = 2, halfway from 0.  B,0: -1 + 0.5 * 6 = 2, halfway from 2.  B,1: 10, halfway from 6.
    assert agent.tables[0] == {A: [0.0, 1.0], B: [2.0, 8.0]}
    assert episode == (3, 8.0, True)


def test_sarsa_takes_the_action_that_comes_next() -> None:
    agent = scripted(SarsaAgent, Chain(), 1, 0, 1)
    agent.play_episode(Chain(), seed=0)
    # A,1: -1 + 0.5 * Q(B,0)=2 -> 0, halfway from 0.  B,0: -1 + 0.5 * Q(B,1)=6 -> 2, halfway from 2.  B,1: 10 from 6.
    assert agent.tables[0][A] == [0.0, 0.0]
    assert agent.tables[0][B] == [2.0, 8.0]


def test_expected_sarsa_takes_the_expectation() -> None:
    agent = scripted(ExpectedSarsaAgent, Chain(), 1, 0, 1)
    agent.play_episode(Chain(), seed=0)
    # A,1: -1 + 0.5 * (2 + 6) / 2 = 1, halfway from 0.  B,0: -1 + 0.5 * 4 = 1, halfway from 2.  B,1: 10, halfway from 6.
    assert agent.tables[0][A] == [0.0, 0.5]
    assert agent.tables[0][B] == [1.5, 8.0]


def test_double_q_learning_scores_one_tables_choice_by_the_other() -> None:
    agent = scripted(DoubleQLearningAgent, Chain(), 1, 0, 1)
    agent.tables[1][B][:] = [3.0, 1.0]
    agent.random = Coins(0.1, 0.9, 0.1)  # type: ignore[assignment]  # first table, second, first
    agent.play_episode(Chain(), seed=0)
    # First, A,1: the first would choose 1 in B, the second gives it 1: -1 + 0.5 * 1 = -0.5, halfway from 0.
    # Second, B,0: the second would choose 0 in B, the first gives it 2: -1 + 0.5 * 2 = 0, halfway from 3.
    # First, B,1: 10, halfway from 6.
    assert agent.tables[0][A] == [0.0, -0.25]
    assert agent.tables[0][B] == [2.0, 8.0]
    assert agent.tables[1][B] == [1.5, 1.0]
    assert A not in agent.tables[1]


def test_double_q_learning_explores_by_the_mean_of_its_tables() -> None:
    agent = DoubleQLearningAgent(Chain(), config=TabularConfig(exploration="softmax", explore_start=2.0))
    agent.tables[0][A][:], agent.tables[1][A][:] = [1.0, 3.0], [3.0, 5.0]
    assert agent.values(A) == [2.0, 4.0]
    # the values differ by 2, one temperature; their sums would differ by 4
    likely = 1 / (1 + np.exp(-1.0))
    assert agent.exploration.probabilities(agent.values(A), [0, 1]) == pytest.approx([1 - likely, likely])


class Coins(random.Random):
    """Known numbers in place of random ones."""

    def __new__(cls, *numbers: float) -> Coins:
        return super().__new__(cls)  # that of Python 3.10 takes one seed and nothing else

    def __init__(self, *numbers: float):
        super().__init__(0)
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_truncated_conversation_is_bootstrapped_and_a_terminated_one_is_not(kind: type[TabularAgent]) -> None:
    agent = kind(Chain(limit=1), config=HALF)
    agent.exploration = Script(1, 1)
    for table in agent.tables:
        table[B][:] = [6.0, 6.0]
    agent.play_episode(Chain(limit=1), seed=0)  # one step from A to B, and cut
    learned = [table[A][1] for table in agent.tables if A in table]
    assert learned == [1.0]  # halfway to -1 + 0.5 * 6

    agent = kind(Chain(), config=HALF)
    agent.exploration = Script(1, 1)
    for table in agent.tables:
        table[(2,)][:] = [100.0, 100.0]  # were the end worth something, it would show
    agent.play_episode(Chain(), seed=0)
    learned = [table[B][1] for table in agent.tables if B in table and table[B][1]]
    assert learned == [5.0]  # halfway to 10


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_actions_that_are_not_allowed_are_neither_tried_nor_counted(kind: type[TabularAgent]) -> None:
    env = Bandit()
    config = TabularConfig(env_turns=400, initial_value=50.0, num_reports=2)  # untried looks best, forbidden or not
    agent = kind(env, seed=1, config=config)
    agent.learn(env)
    assert env.tried == {0, 1, 2}
    observation, info = env.reset()
    assert agent.act(observation, info) == 1


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_next_states_forbidden_actions_do_not_count(kind: type[TabularAgent]) -> None:
    class Masked(Chain):
        def step(self, action: int) -> Any:
            observation, reward, terminated, truncated, info = super().step(action)
            return observation, reward, terminated, truncated, {**info, "action_mask": np.array([1, 0], dtype=np.int8)}

    agent = kind(Chain(), config=HALF)
    agent.exploration = Script(1, 0)
    for table in agent.tables:
        table[B][:] = [2.0, 1000.0]
    agent.play_episode(Masked(limit=1), seed=0)
    learned = [table[A][1] for table in agent.tables if A in table]
    assert learned == [0.0]  # halfway to -1 + 0.5 * 2


def test_the_step_size_falls_with_the_visits_down_to_its_least() -> None:
    table = ActionValues(2, TabularConfig(step_size=1.0, step_size_decay=1.0, min_step_size=0.3))
    for target in (4.0, 8.0, 3.0, 5.0):
        table.update(A, 0, target)
    # 1 * 4 = 4; 4 + 1/2 * 4 = 6; 6 + 1/3 * -3 = 5; the next would be 1/4, but the least is 0.3: 5 + 0.3 * 0
    assert table[A] == [pytest.approx(5.0), 0.0]
    table.update(A, 0, 6.0)
    assert table[A][0] == pytest.approx(5.3)
    assert table.visits[A] == [5, 0]


def test_looking_at_a_state_does_not_add_it() -> None:
    agent = QLearningAgent(Chain())
    assert agent.act(np.array([1]), {}) == 0
    assert not agent.tables[0]


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("exploration", ["epsilon_greedy", "softmax"])
def test_every_algorithm_learns_the_chain(kind: type[TabularAgent], exploration: str) -> None:
    # 10 for one step after another; staying costs 1 a turn, so a random walk returns less than 7 on average
    for seed in range(3):
        agent = kind(Chain(), seed=seed, config=TabularConfig(env_turns=1000, exploration=exploration))
        agent.learn(Chain())
        assert agent.act(np.array([0]), {}) == agent.act(np.array([1]), {}) == 1
        # the values of the best policy, by hand: 10 in B, and -1 + 0.99 * 10 in A
        if kind is QLearningAgent:
            assert agent.tables[0][B][1] == pytest.approx(10.0, abs=0.01)
            assert agent.tables[0][A][1] == pytest.approx(8.9, abs=0.1)


def test_double_q_learning_is_less_misled_by_noise_than_q_learning() -> None:
    lefts = {kind: [] for kind in (QLearningAgent, DoubleQLearningAgent)}
    config = TabularConfig(
        env_turns=600, gamma=1.0, step_size=0.1, step_size_decay=0.0, explore_start=0.1, explore_end=0.1, num_reports=1
    )
    for kind, shares in lefts.items():
        for seed in range(10):
            env = gym.wrappers.RecordEpisodeStatistics(Noisy(), buffer_length=1000)
            agent = kind(Noisy(), seed=seed, config=config)
            agent.learn(env)
            lengths = np.array(env.length_queue)
            shares.append((lengths[:200] == 2).mean())  # two turns: it went left
    # exploration alone goes left one time in twenty
    assert np.mean(lefts[DoubleQLearningAgent]) < np.mean(lefts[QLearningAgent]) - 0.05


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_what_was_saved_loads_and_acts_alike(kind: type[TabularAgent], tmp_path: Any) -> None:
    env = Chain()
    agent = kind(env, seed=3, config=TabularConfig(env_turns=200, gamma=0.9))
    agent.learn(env)
    agent.save(tmp_path)
    again = kind.load(tmp_path, env)
    assert again.tables == agent.tables
    assert [table.visits for table in again.tables] == [table.visits for table in agent.tables]
    assert (again.config, again.seed, again.budget) == (agent.config, agent.seed, agent.budget)


def test_the_table_is_written_to_be_read(tmp_path: Any) -> None:
    agent = QLearningAgent("dialogym:TextDialog-v0", config=TabularConfig(env_turns=50))
    agent.learn("dialogym:TextDialog-v0")
    agent.save(tmp_path)
    lines = (tmp_path / "table_1.json").read_text().splitlines()
    first = json.loads(lines[2].rstrip(","))
    assert len(first["state"]) == 11
    assert set(first["tried"]) <= set(agent.task.menu)
    assert len(lines) == len(agent.tables[0]) + 3  # one line per state


def test_a_table_of_another_menu_is_refused() -> None:
    text = ActionValues(3, HALF).to_json(["a", "b", "c"])
    with pytest.raises(ValueError, match="a table of 2 actions, got one of 3"):
        ActionValues(2, HALF).read_json(text, ["a", "b"], 1)


@pytest.mark.parametrize("kind", [QLearningAgent, DoubleQLearningAgent])
def test_a_training_that_was_interrupted_ends_with_the_table_of_one_that_was_not(kind: Any, tmp_path: Any) -> None:
    config = TabularConfig(env_turns=400, num_reports=4, explore_end=0.3)
    whole = kind(Noisy(), seed=5, config=config)
    whole.learn(Noisy())

    rows: list[dict[str, Any]] = []

    def stop_after_two(row: dict[str, Any]) -> None:
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    halted = kind(Noisy(), seed=5, config=config)
    with pytest.raises(KeyboardInterrupt):
        halted.learn(Noisy(), log=stop_after_two, checkpoint=tmp_path)
    resumed = kind(Noisy(), seed=5, config=config)
    resumed.learn(Noisy(), log=rows.append, checkpoint=tmp_path, resume=True)
    assert resumed.tables == whole.tables
    assert [row["env_turns"] for row in rows] == sorted({row["env_turns"] for row in rows})
    assert resumed.budget.env_turns == whole.budget.env_turns
    assert kind.load(tmp_path / "last", Noisy()).tables == whole.tables


def test_the_checkpoint_of_another_algorithm_is_not_gone_on_with(tmp_path: Any) -> None:
    config = TabularConfig(env_turns=100, num_reports=1)
    QLearningAgent(Noisy(), config=config).learn(Noisy(), checkpoint=tmp_path)
    with pytest.raises(
        ValueError, match=r"expected a checkpoint of an agent 'double_q_learning' in .*, got one of 'q_l"
    ):
        DoubleQLearningAgent(Noisy(), config=config).learn(Noisy(), checkpoint=tmp_path, resume=True)


def test_an_interrupt_before_the_first_report_leaves_a_checkpoint_too(tmp_path: Any) -> None:
    class Interrupting(Chain):
        def step(self, action: int) -> Any:
            raise KeyboardInterrupt

    agent = QLearningAgent(Chain())
    with pytest.raises(KeyboardInterrupt):
        agent.learn(Interrupting(), checkpoint=tmp_path)
    assert not QLearningAgent.load(tmp_path / "last", Chain()).tables[0]


def test_the_agent_that_validated_best_is_the_one_that_stays(tmp_path: Any) -> None:
    tables = []
    scores = iter([0.1, 0.7, 0.7, 0.3])

    def validate(agent: Any) -> float:
        tables.append({state: list(values) for state, values in agent.tables[0].items()})
        return next(scores)

    rows: list[dict[str, Any]] = []
    agent = QLearningAgent(Noisy(), config=TabularConfig(env_turns=400, num_reports=4, explore_end=0.5))
    agent.learn(Noisy(), log=rows.append, validate=validate, checkpoint=tmp_path)
    assert [row["validation"] for row in rows] == [0.1, 0.7, 0.7, 0.3]
    assert agent.tables[0] == tables[2] != tables[3]  # of two equals, the later
    assert QLearningAgent.load(tmp_path / "best", Noisy()).tables[0] == tables[2]
    assert QLearningAgent.load(tmp_path / "last", Noisy()).tables[0] == tables[3]


def test_the_log_says_what_happened() -> None:
    rows: list[dict[str, Any]] = []
    agent = QLearningAgent(Chain(limit=3), config=TabularConfig(env_turns=300, num_reports=3))
    agent.learn(Chain(limit=3), log=rows.append)
    assert len(rows) == 3
    assert [row["env_turns"] // 100 for row in rows] == [1, 2, 3]
    assert rows[-1]["progress"] == 1.0
    assert rows[-1]["success"] > 0.9
    assert rows[-1]["return"] == pytest.approx(8.9, abs=0.3)  # 9 at best
    assert agent.budget.env_turns == rows[-1]["env_turns"]
    assert agent.budget.seconds > 0


def test_a_second_training_adds_to_the_first() -> None:
    agent = QLearningAgent(Chain(), config=TabularConfig(env_turns=100))
    agent.learn(Chain())
    first = agent.budget.env_turns
    agent.learn(Chain())
    assert agent.budget.env_turns >= first + 100


def test_same_seed_same_table() -> None:
    def trained(seed: int) -> Any:
        agent = QLearningAgent(Noisy(), seed=seed, config=TabularConfig(env_turns=100))
        agent.learn(Noisy())
        return agent.tables

    assert trained(1) == trained(1) != trained(2)


def test_the_global_random_states_do_not_move() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    test_same_seed_same_table()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_it_plays_gymnasiums_own_environments() -> None:
    env = gym.make("CliffWalking-v1")
    agent = QLearningAgent(env, config=TabularConfig(env_turns=30_000, gamma=1.0, step_size=0.5, step_size_decay=0.0))
    agent.learn(env)
    observation, info = env.reset(seed=0)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, info = env.step(agent.act(observation, info))
        total, over = total + float(reward), terminated or truncated or total < -100
    assert total == -13.0  # the shortest way, along the cliff: Sutton & Barto (2018), example 6.6


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
        ({"step_size": 0.0}, r"step_size must be in \(0, 1\], got 0.0"),
        ({"min_step_size": 2.0}, "min_step_size"),
        ({"step_size_decay": -1.0}, "step_size_decay must not be negative"),
        ({"explore_until": 0}, r"explore_until must be in \(0, 1\], a share of training, got 0"),
        ({"exploration": "greedy"}, "exploration must be one of epsilon_greedy, softmax, got 'greedy'"),
        ({"env_turns": 0}, "env_turns must be at least 1, got 0"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TabularConfig(**fields)


def test_environments_without_a_table_are_refused() -> None:
    with pytest.raises(ValueError, match="needs MultiDiscrete or Discrete observations, got Box"):
        QLearningAgent(gym.make("CartPole-v1"))


def test_a_table_of_other_replies_is_refused_though_it_has_as_many(tmp_path):
    rows = [{"text": f"text number {number}", "label": "abc"[number % 3]} for number in range(60)]
    other = [{**row, "label": {"a": "z"}.get(row["label"], row["label"])} for row in rows]
    made, another = (gym.make("TextClassification-v0", data=data, interface="choices") for data in (rows, other))
    agent = QLearningAgent(made, config=TabularConfig(env_turns=50, num_reports=1))
    agent.learn(made)
    agent.save(tmp_path)
    assert load_agent(tmp_path, made).tables == agent.tables
    with pytest.raises(ValueError, match="expected a table whose action 0 is 'b', got one where it is 'a'"):
        load_agent(tmp_path, another)


def test_a_table_of_other_states_is_refused():
    table = ActionValues(2, HALF)
    table.update((1, 2), 0, 1.0)
    with pytest.raises(ValueError, match="expected a table of states of 3 numbers, got one of 2"):
        ActionValues(2, HALF).read_json(table.to_json(["a", "b"]), ["a", "b"], 3)
