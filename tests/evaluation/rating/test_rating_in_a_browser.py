"""The rating page in a real browser, headless Chromium: keys, clicks, progress, and text that stays text."""

import threading

import pytest

from dialogym.agents.preference.judgements import Pair, read_judgements
from dialogym.evaluation.rating.session import RatingSession
from dialogym.evaluation.rating.web import RatingServer

from ...agents.judged import asking
from ...browser import start, wait

NASTY = "<img src=x onerror=\"document.title='hacked'\"><b>bold</b> & <script>document.title='hacked'</script>"
PAIRS = [
    Pair(asking(f"is {day} free ? {NASTY}"), f"yes , {day} . {NASTY}", "" if day == "monday" else f"no {NASTY}")
    for day in ("monday", "tuesday", "friday")
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def server(tmp_path):
    with RatingServer(RatingSession(PAIRS, tmp_path / "ratings.jsonl", "anna <i>")) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def page(browser, server):
    """The browser on a fresh session, and the file that judgements go to."""
    browser.get(server.url)
    wait(browser, lambda: text(browser, "count") == "0 of 3")
    return browser, server.session.out


def text(browser, id):
    return browser.find_element("id", id).text


def press(browser, key, done):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(key).perform()
    wait(browser, lambda: text(browser, "count") == f"{done} of 3")


def reply(browser, side):
    return browser.find_element("css selector", f"#{side} .words").text


def shown(judgement, side):
    """The reply that stood on a side."""
    left_is_first = judgement.shown_first == "first"
    return judgement.first if (side == "left") == left_is_first else judgement.second


def test_a_person_rates_with_keys_and_clicks_until_all_is_done(page):
    browser, out = page
    seen = []
    for done, act in enumerate(("1", "2", "click"), start=1):
        seen.append((reply(browser, "left"), reply(browser, "right")))
        if act == "click":
            browser.find_element("id", "tie").click()
            wait(browser, lambda: text(browser, "count") == "3 of 3")
        else:
            press(browser, act, done)
        assert len(read_judgements(out)) == done  # written before the next question
    judgements = read_judgements(out)
    chosen = [
        one.choice if one.choice == "tie" else {"first": one.first, "second": one.second}[one.choice]
        for one in judgements
    ]
    assert chosen == [shown(judgements[0], "left"), shown(judgements[1], "right"), "tie"]
    for sides, one in zip(seen, judgements, strict=True):
        assert sides == tuple(shown(one, side) or "(says nothing)" for side in ("left", "right"))
        assert 0 <= one.seconds < 60
    assert browser.find_element("id", "finished").is_displayed()
    assert not browser.find_element("id", "asking").is_displayed()
    assert browser.find_element("id", "bar").get_attribute("value") == "3"


def test_what_is_rated_is_shown_as_text_and_never_runs(page):
    browser, _ = page
    assert NASTY in text(browser, "messages")
    assert text(browser, "rater") == "anna <i>"
    assert NASTY in reply(browser, "left") + reply(browser, "right")
    for tag in ("img", "b", "i"):
        assert browser.find_elements("css selector", f"main {tag}") == []
    assert browser.title == "Which reply is better?"


def test_the_page_goes_on_where_the_rater_stopped_when_it_is_loaded_again(page):
    browser, out = page
    press(browser, "t", 1)
    before = reply(browser, "left"), reply(browser, "right")
    browser.refresh()
    wait(browser, lambda: text(browser, "count") == "1 of 3")
    assert (reply(browser, "left"), reply(browser, "right")) == before
    assert [one.rater for one in read_judgements(out)] == ["anna <i>"]


def test_other_keys_judge_nothing(page):
    browser, out = page
    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser).send_keys("3", "x", Keys.ENTER).key_down(Keys.CONTROL).send_keys("1").perform()
    ActionChains(browser).key_up(Keys.CONTROL).perform()
    assert text(browser, "count") == "0 of 3"
    assert not out.exists()


def test_the_page_says_so_when_an_answer_was_not_saved(page, server):
    browser, out = page
    server.session = RatingSession([Pair(asking("another"), "a", "b")], out, "anna")
    browser.find_element("id", "left").click()
    wait(browser, lambda: "Nothing was saved" in text(browser, "error"))
    assert text(browser, "count") == "0 of 3"
    assert browser.find_element("id", "left").is_enabled()
    assert not out.exists()
