"""The utterance space and the random streams."""

import copy
import pickle

import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector.utils import batch_space

from dialogym.envs import Stream, Task, Utterance, pick
from dialogym.envs.core.spaces import TokenIds


def test_any_text_up_to_the_limit_is_an_utterance():
    space = Utterance(5)
    assert all(text in space for text in ("", " ", "a\nb", "漢字🙂"))
    assert "abcdef" not in space
    assert 5 not in space
    assert None not in space


def test_samples_are_plausible_utterances_of_the_task():
    space = Utterance(50, examples=("hello .", "goodbye ."), seed=0)
    assert {space.sample() for _ in range(50)} == {"hello .", "goodbye ."}
    assert all(Utterance(50, seed=seed).sample() in Utterance(50) for seed in range(20))


def test_token_ids_of_two_vocabularies_are_two_spaces():
    space = TokenIds(5, "one")
    assert space == pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == TokenIds(5, "one")
    assert TokenIds(5, "other") != space != TokenIds(6, "one")
    assert space == Discrete(5) == space
    assert batch_space(space, 3) == MultiDiscrete([5, 5, 5])
    assert all(space.sample() in space for _ in range(20))


def test_a_stream_is_a_function_of_its_seed():
    first, again, other = Stream(7), Stream(7), Stream(8)
    numbers = [first.random() for _ in range(100)]
    assert numbers == [again.random() for _ in range(100)]
    assert numbers != [other.random() for _ in range(100)]
    first.seed(7)
    assert first.random() == numbers[0]


def test_a_streams_numbers_are_uniform_and_its_other_methods_work():
    stream = Stream(1)
    numbers = np.array([stream.random() for _ in range(20_000)])
    assert abs(numbers.mean() - 0.5) < 0.01  # standard error 0.002
    assert np.abs(np.histogram(numbers, bins=10, range=(0, 1))[0] - 2000).max() < 200  # standard deviation 42
    assert sorted(stream.sample(range(10), 10)) == list(range(10))
    assert {stream.randrange(3) for _ in range(60)} == {0, 1, 2}
    assert stream.getrandbits(100) < 2**100


def test_a_pickled_stream_goes_on_where_it_was():
    stream = Stream(3)
    [stream.random() for _ in range(5)]
    twin = pickle.loads(pickle.dumps(stream))
    assert [twin.random() for _ in range(20)] == [stream.random() for _ in range(20)]


def test_normal_numbers_of_a_stream_are_a_function_of_its_seed():
    stream = Stream(3)
    number = stream.gauss(0, 1)  # it makes two at a time
    twin = copy.deepcopy(stream)
    assert twin.gauss(0, 1) == stream.gauss(0, 1)
    stream.gauss(0, 1)
    stream.seed(3)
    assert stream.gauss(0, 1) == number


class DrawnFromANormal(Task):
    name, examples = "DrawnFromANormal", ("a",)

    def draw_goal(self, rng):
        return {"number": rng.gauss(0, 1)}

    def partner(self, goal, streams, split):
        raise NotImplementedError


def test_a_goal_drawn_from_a_normal_is_the_one_of_its_id_and_stays_in_its_split():
    task = DrawnFromANormal()
    drawn = [task.sample_goal(seed, "test") for seed in range(30)]
    assert all(task.goal(goal_id) == goal and task.split_of(goal) == "test" for goal_id, goal in drawn)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pick_spreads_over_its_range(count):
    counts = np.bincount([pick(123, number, count) for number in range(7000)], minlength=count)
    assert len(counts) == count
    assert counts.min() > 0.85 * 7000 / count
