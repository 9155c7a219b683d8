"""The chat page in a real browser, headless Chromium, at a desk and on a phone: people talk, and judge."""

import os
import threading
import time

import gymnasium as gym
import pytest

from dialogym.agents import make_agent

from ..browser import start, wait
from .serving import ENV, TOKEN, Echo, quick, serving

SIZES = {"desk": (1100, 800), "phone": (390, 844)}
NASTY = "<img src=x onerror=\"document.title='hacked'\"><b>bold</b> & <script>document.title='hacked'</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(params=SIZES)
def sized(browser, request):
    """The browser, as large as a desk's or a phone's."""
    width, height = SIZES[request.param]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick()) as one:
        yield one


def opened(browser, served, token=TOKEN):
    """The page, ready to talk."""
    browser.get("about:blank")
    browser.get(f"{served.url}/#{token}")
    wait(browser, lambda: browser.find_element("id", "send").is_enabled())
    return browser


def say(browser, words, answered=True):
    from selenium.webdriver import Keys

    browser.find_element("id", "words").send_keys(words, Keys.ENTER)
    if answered:
        wait(browser, lambda: browser.find_element("id", "end").is_enabled() or shown(browser, "ending"))


def shown(browser, id):
    return browser.find_element("id", id).is_displayed()


def messages(browser):
    return [box.text for box in browser.find_elements("css selector", "#talk .message")]


def keep_picture(browser, name):
    """Where PICTURES names a folder, for people to look at."""
    if os.environ.get("PICTURES"):
        browser.save_screenshot(f"{os.environ['PICTURES']}/{name}.png")


def fits(browser):
    """Nothing stands beyond the edge of the window."""
    return browser.execute_script(
        "return document.documentElement.scrollWidth <= innerWidth && document.body.offsetHeight <= innerHeight + 1 &&"
        " [...document.querySelectorAll('button, textarea, .message')].filter(one => one.offsetParent)"
        ".every(one => one.getBoundingClientRect().right <= innerWidth && one.getBoundingClientRect().left >= 0)"
    )


def test_a_person_is_guided_to_a_restaurant_and_says_whether_that_was_it(sized, tmp_path, request):
    made, size = gym.make(ENV), request.node.callspec.params["sized"]
    with serving(tmp_path / "kept.jsonl", make_agent("rule", made), made, limits=quick()) as served:
        page = opened(sized, served)
        keep_picture(page, f"{size}-begin")
        assert fits(page)
        assert page.title == "Talk to rule"
        for words in ("Cheap Indian food in the centre, please.", "What is the phone number?"):
            say(page, words)
        said = messages(page)
        assert said[0] == "Cheap Indian food in the centre, please."
        assert "[" not in said[1]
        assert len(said) == 4
        tool = page.find_element("css selector", ".tool")
        assert tool.text == "used a tool: search"
        tool.click()
        assert "match" in tool.text
        keep_picture(page, f"{size}-talk")
        assert fits(page)
        page.find_element("id", "end").click()
        keep_picture(page, f"{size}-end")
        assert fits(page)
        assert not shown(page, "form")
        page.find_element("id", "back").click()
        say(page, "Goodbye!")  # which ends it
        wait(page, lambda: shown(page, "ending"))
        assert not shown(page, "back")
        page.find_element("id", "comment").send_keys("kind <b>and</b> quick")
        page.find_element("id", "yes").click()
        wait(page, lambda: shown(page, "over"))
        (line,) = served.lines()  # it is on the disk before the page says so
        assert (line["success"], line["comment"]) == (True, "kind <b>and</b> quick")
        assert [one["content"] for one in line["messages"] if one["role"] == "user"][-1] == "Goodbye!"
        page.find_element("id", "again").click()
        assert messages(page) == []
        assert shown(page, "form")


def test_what_is_said_is_shown_as_text_and_never_runs(sized, served):
    page = opened(sized, served)
    say(page, NASTY)
    assert messages(page) == [NASTY, f"1: you said {NASTY!r}"]
    for tag in ("img", "b"):
        assert page.find_elements("css selector", f"main {tag}") == []
    assert page.title == "Talk to echo"


def test_a_long_talk_scrolls_and_the_box_grows_with_its_words(sized, served):
    from selenium.webdriver import Keys

    page = opened(sized, served)
    for number in range(8):
        say(page, f"number {number} " + "word " * 30)
    assert fits(page)
    last = page.find_elements("css selector", ".message")[-1]
    assert last.rect["y"] + last.rect["height"] <= page.execute_script("return innerHeight")
    box = page.find_element("id", "words")
    before = box.rect["height"]
    box.send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two", Keys.SHIFT, Keys.ENTER, Keys.NULL, "three")
    assert box.rect["height"] > before
    assert fits(page)
    assert len(messages(page)) == 16  # a line break sends nothing


def test_the_page_says_whether_anything_is_kept(browser, tmp_path):
    for kept, hint, thanks in (
        (tmp_path / "kept.jsonl", "What is said here is kept", "Thank you!"),
        (None, "What is said here is not kept.", "Thank you. Nothing was saved: this server keeps no conversations."),
    ):
        with serving(kept, limits=quick()) as served:
            page = opened(browser, served)
            assert hint in page.find_element("id", "hint").text
            say(page, "hello")
            page.find_element("id", "end").click()
            page.find_element("id", "no").click()
            wait(page, lambda page=page: shown(page, "over"))
            assert page.find_element("id", "thanks").text == thanks


def test_what_is_judged_before_the_agent_spoke_is_saved_too(browser, tmp_path):
    made = gym.make(ENV)
    with serving(tmp_path / "kept.jsonl", make_agent("rule", made), made, limits=quick()) as served:
        page = opened(browser, served)
        say(page, "goodbye")
        wait(page, lambda: shown(page, "ending"))
        page.find_element("id", "comment").send_keys("useless")
        page.find_element("id", "no").click()
        wait(page, lambda: shown(page, "over"))
        assert page.find_element("id", "thanks").text == "Thank you!"
        assert [(line["success"], line["comment"]) for line in served.lines()] == [(False, "useless")]


def test_the_token_leaves_the_address_bar_and_a_wrong_one_is_told(browser, served):
    page = opened(browser, served)
    assert page.current_url == f"{served.url}/"
    page.refresh()  # the session keeps it
    wait(page, lambda: page.find_element("id", "send").is_enabled())
    page.get("about:blank")
    page.get(f"{served.url}/#wrong")
    wait(page, lambda: "needs its token" in page.find_element("id", "error").text)
    assert not page.find_element("id", "send").is_enabled()


def test_what_failed_can_be_sent_again(browser, served):
    page = opened(browser, served)
    say(page, "good morning")
    say(page, "fail")
    assert "no idea" in page.find_element("id", "error").text
    assert page.find_element("id", "words").get_attribute("value") == "fail"
    assert len(messages(page)) == 2
    served.agent.act = lambda observation, info: "here I am"
    page.find_element("id", "send").click()
    wait(page, lambda: messages(page)[-1] == "here I am")
    assert not shown(page, "error")
    page.find_element("id", "end").click()
    page.find_element("id", "no").click()
    wait(page, lambda: shown(page, "over"))
    (line,) = served.lines()
    assert [one["content"] for one in line["messages"][1:]] == [
        "good morning", "1: you said 'good morning'", "fail", "here I am",
    ]  # fmt: skip
    assert line["success"] is False


def test_nothing_can_be_sent_or_judged_while_the_agent_answers(browser, served):
    page = opened(browser, served)
    say(page, "good morning")
    assert isinstance(served.agent, Echo)
    served.agent.gate.clear()
    say(page, "are you there?", answered=False)
    wait(page, lambda: messages(page)[-1] == "…")
    say(page, "hello?", answered=False)
    assert not page.find_element("id", "end").is_enabled()
    assert len(messages(page)) == 4
    threading.Timer(0.1, served.agent.gate.set).start()
    wait(page, lambda: messages(page)[-1].endswith("are you there?'"))
    assert page.find_element("id", "words").get_attribute("value").strip() == "hello?"


def test_the_page_says_so_when_the_server_is_gone(browser, tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick()) as served:
        page = opened(browser, served)
        say(page, "good morning")
    time.sleep(0.1)
    say(page, "still there?")
    assert "cannot be reached" in page.find_element("id", "error").text
    assert page.find_element("id", "words").get_attribute("value") == "still there?"
