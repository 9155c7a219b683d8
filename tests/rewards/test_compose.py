import copy
import fractions
import functools
import math
import pickle
import random

import numpy as np
import pytest

from dialogym.rewards import ComposedReward, Length, Reward, RewardError, as_reward, parts, resolve, success, turn

from .conversations import saying


def polite(transcript):
    return 1.0 if "please" in transcript.reply else 0.0


@as_reward
def shouting(transcript):
    return float(transcript.reply.isupper())


class Counting(Reward):
    """Says how long the reply is, and remembers how it was asked."""

    name = "counting"

    def __init__(self):
        self.calls = []

    def __call__(self, transcript):
        self.calls.append(1)
        return len(transcript.reply)

    def batch(self, transcripts):
        self.calls.append(len(transcripts))
        return np.array([len(transcript.reply) for transcript in transcripts])


def returns(value):
    def careless(transcript):
        return value

    return careless


# Composition


def test_a_name_is_no_function_and_the_error_says_what_takes_it():
    with pytest.raises(TypeError, match=r"of a name or a dict take resolve\('bounded'\)"):
        2 * as_reward("bounded")


def test_terms_are_weighted_and_named_after_their_rewards():
    reward = resolve({"success": 20, "turn": -1, polite: 0.5})
    assert reward.terms(saying("please wait")) == {"success": 0.0, "turn": -1.0, "polite": 0.5}


def test_operators_make_the_sum_they_show():
    reward = 2 * success - turn + 0.1 * Length() + polite
    assert [(part.name, part.weight) for part in reward.parts] == [
        ("success", 2.0), ("turn", -1.0), ("length", 0.1), ("polite", 1.0),
    ]  # fmt: skip
    assert [(part.name, part.weight) for part in (-(reward * 0.5)).parts[:2]] == [("success", -1.0), ("turn", 0.5)]


def test_a_function_may_stand_on_either_side_and_the_built_in_sum_works():
    assert (polite + 0.1 * turn).terms(saying("please")) == {"polite": 1.0, "turn": 0.1}
    assert (turn - polite).terms(saying("please")) == {"turn": 1.0, "polite": -1.0}
    assert (polite - turn).terms(saying("please")) == {"polite": 1.0, "turn": -1.0}
    assert sum([success, turn]).terms(saying("hi")) == {"success": 0.0, "turn": 1.0}


def test_a_preset_in_a_dict_is_scaled_term_by_term():
    assert resolve({"pydial": 0.5, polite: 1}).terms(saying("please", ended=True, success=True)) == {
        "success": 10.0, "turn": -0.5, "polite": 1.0,
    }  # fmt: skip


def test_the_reward_is_exactly_the_sum_of_its_terms():
    rng = random.Random(0)
    for _ in range(300):
        reward = resolve({as_reward(returns(rng.uniform(-1, 1))): rng.uniform(-1e3, 1e3) for _ in range(7)})
        transcript = saying("hi")
        assert reward(transcript) == sum(reward.terms(transcript).values())
        assert reward.batch([transcript]) == [reward(transcript)]


def test_equal_names_get_distinct_keys():
    reward = Length(1, 2) + Length(3, 4) + as_reward(functools.partial(polite)) + polite + Length(5, 6)
    assert list(reward.terms(saying("a b c"))) == ["length", "length_2", "polite", "polite_2", "length_3"]
    assert list((turn + (turn + turn)).terms(saying("a"))) == ["turn", "turn_2", "turn_3"]


def test_terms_are_fresh_on_every_call_and_never_minus_zero():
    reward, transcript = resolve("convlab"), saying("hi")
    first = reward.terms(transcript)
    first.clear()
    assert math.copysign(1, reward.terms(transcript)["failure"]) == 1.0


def test_resolving_a_sum_gives_it_back():
    reward = resolve("pydial")
    assert resolve(reward) is reward


def test_rewards_survive_pickling_and_copies_share_what_they_hold():
    for reward in (resolve({"pydial": 1, polite: 2, shouting: 3, Length(2, 3): 4}), shouting, as_reward(polite)):
        again = pickle.loads(pickle.dumps(reward))
        assert again(saying("PLEASE please")) == reward(saying("PLEASE please"))
    assert pickle.loads(pickle.dumps(shouting)) is shouting
    counting = Counting()
    assert copy.deepcopy({"reward": counting})["reward"] is counting


@pytest.mark.parametrize("spec", [None, 3, ["success"], Length, object()])
def test_what_is_no_reward_is_a_type_error(spec):
    with pytest.raises(TypeError, match="a reward must be"):
        resolve(spec)


def test_no_terms_is_an_error():
    with pytest.raises(ValueError, match="at least one term"):
        resolve({})


@pytest.mark.parametrize(("weight", "error"), [(math.nan, ValueError), (math.inf, ValueError), ("2", TypeError),
                                               (None, TypeError), (True, TypeError)])  # fmt: skip
def test_a_weight_must_be_a_finite_number(weight, error):
    with pytest.raises(error, match=r"weight of 'success' must be"):
        resolve({"success": weight})
    with pytest.raises(error, match=r"weight of 'success' must be"):
        weight * success if not isinstance(weight, str) else success * weight


# Errors


@pytest.mark.parametrize("value", [True, np.bool_(True), 1, np.int64(1), np.float32(1), fractions.Fraction(1),
                                   np.array(1.0), np.array(True), np.array(1, dtype=object)])  # fmt: skip
def test_numbers_of_every_kind_become_floats(value):
    (term,) = resolve(returns(value)).terms(saying("hi")).values()
    assert type(term) is float
    assert term == 1.0


@pytest.mark.parametrize("value", ["1", None, [1.0], np.array([1.0]), np.array("1"), np.array(1j), {}, 1j, math.nan,
                                   math.inf, np.float64("-inf"), 10**400])  # fmt: skip
def test_a_value_that_is_no_finite_number_is_an_error_naming_the_reward(value):
    for weight in (1.0, 0.0):
        with pytest.raises(RewardError, match="'careless' must return a finite number"):
            resolve({"turn": 1, returns(value): weight}).terms(saying("hi"))


def test_a_tensor_without_dimensions_is_the_number_in_it_wherever_it_lies():
    torch = pytest.importorskip("torch")
    half = torch.tensor(0.5, requires_grad=True)
    tensors = [half, 2 * half - 0.5, torch.tensor(0.5, dtype=torch.bfloat16), torch.tensor(True) & True]
    for tensor in tensors:
        (term,) = resolve(returns(tensor)).terms(saying("hi")).values()
        assert type(term) is float
        assert term == tensor.item()
    for wrong in (torch.tensor([0.5]), torch.tensor(math.nan), torch.tensor(1j)):
        with pytest.raises(RewardError, match="'careless' must return a finite number"):
            resolve(returns(wrong)).terms(saying("hi"))

    class Batched(Reward):
        def batch(self, transcripts):
            return [half, half.detach()] if len(transcripts) == 2 else torch.stack([half] * 3)

    assert resolve(Batched()).batch([saying("a"), saying("b")]) == [0.5, 0.5]
    assert resolve(Batched()).batch([saying("a")] * 3) == [0.5, 0.5, 0.5]


def test_a_weighted_value_that_overflows_is_an_error():
    with pytest.raises(RewardError, match=r"got 1e\+300 times the weight 1e\+300"):
        resolve({returns(1e300): 1e300}).terms(saying("hi"))


def test_finite_terms_that_add_up_to_none_are_an_error_that_names_them():
    spec = {returns(1e308): 1, Counting(): 0, "turn": 1e308}
    assert resolve(spec).names == ["careless", "counting", "turn"]
    for terms in (lambda reward: reward.terms(saying("hi")), lambda reward: reward.batch_terms([saying("hi")])):
        with pytest.raises(RewardError, match=r"finite number, got 'careless': 1e\+308, .*'turn': 1e\+308"):
            terms(resolve(spec))


def test_a_reward_with_a_bug_raises_and_names_itself_and_the_cause():
    def buggy(transcript):
        return 1 / 0

    with pytest.raises(RewardError, match="reward 'buggy' raised ZeroDivisionError") as caught:
        resolve({"turn": -1, buggy: 1})(saying("hi"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_stopping_the_program_is_no_bug_of_the_reward():
    def stopped(transcript):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resolve(stopped)(saying("hi"))


def test_a_reward_class_without_call_says_so():
    with pytest.raises(RewardError, match="must define __call__"):
        resolve(Reward())(saying("hi"))


# Batch


def test_batch_asks_once_and_equals_single_calls():
    counting = Counting()
    reward = turn + 0.25 * counting + polite
    transcripts = [saying("please"), saying("no"), saying("")]
    in_batch = reward.batch_terms(transcripts)
    assert counting.calls == [3]
    assert in_batch == [reward.terms(transcript) for transcript in transcripts]
    assert all(type(value) is float for terms in in_batch for value in terms.values())
    assert reward.batch_terms([]) == []


def test_without_a_batch_part_each_transcript_is_scored_alone():
    reward = resolve("pydial")
    transcripts = [saying("a", ended=True, success=True), saying("b")]
    assert reward.batch_terms(transcripts) == [{"success": 20.0, "turn": -1.0}, {"success": 0.0, "turn": -1.0}]


def test_a_function_may_carry_a_batch():
    def wordy(transcript):
        raise AssertionError("asked alone")

    wordy.batch = lambda transcripts: [2.0] * len(transcripts)
    assert resolve(wordy).batch([saying("a"), saying("b")]) == [2.0, 2.0]


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 1.0, np.float64(1.0), None, "ab", {1: 2, 3: 4}])
def test_a_batch_of_the_wrong_length_is_an_error(values):
    class Careless(Reward):
        def batch(self, transcripts):
            return values

    with pytest.raises(RewardError, match="'Careless' must return 2 numbers from batch"):
        resolve(Careless()).batch_terms([saying("a"), saying("b")])


@pytest.mark.parametrize("values", [[1.0, math.nan], ["a", "b"], np.ones((2, 2)), [None, 1.0]])
def test_a_batch_with_a_value_that_is_no_finite_number_is_an_error(values):
    class Careless(Reward):
        def batch(self, transcripts):
            return values

    with pytest.raises(RewardError, match="'Careless' must return a finite number"):
        resolve(Careless()).batch_terms([saying("a"), saying("b")])


def test_a_batch_with_a_bug_raises_with_the_cause():
    class Buggy(Reward):
        def batch(self, transcripts):
            raise KeyError("weights")

    with pytest.raises(RewardError, match="'Buggy' raised KeyError in batch") as caught:
        resolve(Buggy() + turn).batch_terms([saying("a")])
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_single_bug_inside_a_batch_is_named_too():
    with pytest.raises(RewardError, match="'careless' must return"):
        (Counting() + as_reward(returns("x"))).batch_terms([saying("a")])


def test_composed_is_what_environments_expect():
    assert isinstance(resolve("sparse"), ComposedReward)
    assert repr(parts + 0.5 * turn) == "1 * parts + 0.5 * turn"
