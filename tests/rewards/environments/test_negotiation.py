import pytest

from dialogym.rewards import RewardError, resolve, surplus_share

from ..conversations import saying

GOAL = {"role": "buyer", "buyer_limit": 100, "seller_limit": 60, "price": 70}


@pytest.mark.parametrize(
    ("price", "role", "share"),
    [
        (70, "buyer", 0.75), (70, "seller", 0.25), (60, "buyer", 1.0), (60, "seller", 0.0), (100, "buyer", 0.0),
        (100, "seller", 1.0), (120, "buyer", 0.0), (50, "buyer", 1.0), (50, "seller", 0.0),
    ],
)  # fmt: skip
def test_a_share_is_the_gain_over_the_surplus(price, role, share):
    assert surplus_share(price, 100, 60, role) == share


@pytest.mark.parametrize("seller_limit", [100, 120])
def test_where_there_is_no_surplus_there_is_no_share(seller_limit):
    assert surplus_share(110, 100, seller_limit, "buyer") == surplus_share(110, 100, seller_limit, "seller") == 0.0


def test_there_are_two_roles():
    with pytest.raises(ValueError, match="role must be buyer or seller, got 'broker'"):
        surplus_share(70, 100, 60, "broker")


def test_the_best_deal_scores_the_maximum_and_no_deal_the_floor():
    reward = resolve("surplus")
    scores = {price: reward(saying("deal", goal={**GOAL, "price": price}, ended=True)) for price in (60, 70, 120)}
    assert scores == {60: 1.0, 70: 0.75, 120: 0.0}
    assert reward(saying("", goal={**GOAL, "price": None}, ended=True)) == 0.0
    assert reward(saying("deal", goal=GOAL, ended=False)) == 0.0


def test_a_goal_that_says_no_limits_is_an_error():
    with pytest.raises(RewardError, match=r"transcript\.goal must have role, buyer_limit, seller_limit, price"):
        resolve("surplus").terms(saying("deal", ended=True))
