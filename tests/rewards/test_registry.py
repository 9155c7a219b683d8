import importlib.metadata

import pytest

from dialogym.rewards import Reward, register_reward, registry, resolve, reward_names
from dialogym.rewards.registry import describe_rewards

from .conversations import saying


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REWARDS", dict(registry._REWARDS))


def test_our_names_are_there():
    ours = {"bounded", "pydial", "tcbot", "convlab", "sparse", "success", "failure", "turn", "parts"}
    assert ours | {"length", "repetition", "distinct_n"} <= set(reward_names())


def test_every_name_is_described_in_a_line():
    described = dict(describe_rewards())
    assert list(described) == reward_names()
    assert described["bounded"] == (
        "the sum of +0.6 success, -0.6 failure, +0.4/N parts, -0.2/L turn; "
        "L is the turn limit; N is the number of parts"
    )
    assert described["pydial"] == "the sum of +20 success, -1 turn"
    assert "bounds [0, 1]" in described["rouge"]
    assert described["fluency"].endswith("Made as Fluency(model=...).")
    assert described["tcbot"] == "the sum of +2L success, -L failure, -1 turn; L is the turn limit"
    assert all(described.values())
    assert not [line for line in described.values() if ":class:" in line or ":func:" in line or "`" in line]


def test_a_name_can_be_registered_with_a_call_or_a_decorator():
    @register_reward("kind")
    def polite(transcript):
        return "please" in transcript.reply

    register_reward("kinder", {"kind": 2, "turn": -1})
    assert polite(saying("please"))  # still the plain function
    assert resolve("kind").terms(saying("please")) == {"kind": 1.0}
    assert resolve("kinder").terms(saying("please")) == {"kind": 2.0, "turn": -1.0}
    assert {"kind", "kinder"} <= set(reward_names())


def test_a_registered_class_is_made_when_it_is_asked_for():
    @register_reward("quiet")
    class Quiet(Reward):
        def __call__(self, transcript):
            return -float(len(transcript.reply))

    assert resolve({"quiet": 2}).terms(saying("abc")) == {"quiet": -6.0}
    assert Quiet.name == "Quiet"


def test_an_unknown_name_lists_the_right_ones_and_the_nearest():
    with pytest.raises(ValueError, match=r"unknown reward 'pydail'; did you mean 'pydial'\? There are: .*pydial"):
        resolve("pydail")
    with pytest.raises(ValueError, match=r"unknown reward ''\. There are: "):
        resolve("")


def test_a_taken_name_is_an_error_but_the_same_function_may_come_again():
    def define(value):
        def again(transcript):
            return value

        return again

    register_reward("again", define(1.0))
    register_reward("again", define(2.0))
    assert resolve("again")(saying("hi")) == 2.0
    with pytest.raises(ValueError, match="'success' is taken"):
        register_reward("success", define(3.0))
    register_reward("mine", lambda transcript: 1.0)
    with pytest.raises(ValueError, match="'mine' is taken"):
        register_reward("mine", lambda transcript: 2.0)


@pytest.mark.parametrize(("name", "reward"), [(3, len), ("", len), (len, None), ("x", 3)])
def test_registering_what_is_no_reward_is_a_type_error(name, reward):
    with pytest.raises(TypeError):
        register_reward(name, reward)


def offer(monkeypatch, value):
    point = importlib.metadata.EntryPoint("offered", value, registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == point.group else [])


def test_an_installed_package_offers_rewards_that_load_when_asked_for(monkeypatch):
    offer(monkeypatch, "tests.rewards.test_compose:polite")
    assert "offered" in reward_names()
    assert dict(describe_rewards())["offered"].startswith("tests.rewards.test_compose:polite, offered by")
    assert resolve("offered").terms(saying("please")) == {"offered": 1.0}
    with pytest.raises(ValueError, match="offered"):
        resolve("ofered")


def test_an_offered_reward_that_fails_to_import_says_whose_fault_it_is(monkeypatch):
    offer(monkeypatch, "no_such_package.rewards:polite")
    assert resolve("success")(saying("hi")) == 0.0  # ours work all the same
    with pytest.raises(ImportError, match=r"'offered'.*no_such_package") as caught:
        resolve("offered")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
