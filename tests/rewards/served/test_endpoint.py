"""The patience of the endpoint's client, against a stub server."""

import email.utils
import os
import pickle
import subprocess
import sys
import time

import pytest

from dialogym.rewards import ChatEndpoint, EndpointError
from dialogym.rewards.served import endpoint
from dialogym.rewards.served.endpoint import retry_after, threaded

from ..stub_server import Answer, saying, serving

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The pauses that were made, without making them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    made = []
    monkeypatch.setattr(endpoint, "sleep", made.append)
    return made


def asked(stub, **options):
    return ChatEndpoint("tiny", stub.url, **{"api_key": "", **options}).complete(HELLO)


def test_a_completion_is_what_the_message_says():
    with serving([saying("hi there")]) as stub:
        assert asked(stub, options={"temperature": 0, "max_tokens": 5}) == "hi there"
    assert stub.requests == [{"model": "tiny", "messages": HELLO, "temperature": 0, "max_tokens": 5}]
    assert stub.paths == ["/v1/chat/completions"]
    assert "Authorization" not in stub.headers[0]


def test_any_text_can_be_sent_and_half_a_surrogate_pair_is_replaced():
    with serving([saying("hi")]) as stub:
        ChatEndpoint("tiny", stub.url, api_key="").complete([{"role": "user", "content": "é 🎉 \ud800!\x00"}])
    assert stub.requests[0]["messages"] == [{"role": "user", "content": "é 🎉 \ufffd!\x00"}]


def test_the_key_comes_from_the_variable_and_goes_into_one_header(monkeypatch):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    with serving([saying("hi")]) as stub:
        one = ChatEndpoint("tiny", stub.url, key_variable="MY_KEY")
        one.complete(HELLO)
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(one)
    assert KEY.encode() not in pickle.dumps(one)


def test_a_missing_key_is_told_at_once_and_names_the_variable(monkeypatch):
    with pytest.raises(ValueError, match=r"key of https://api.openai.com/v1 in the environment variable MY_KEY"):
        ChatEndpoint("tiny", key_variable="MY_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    with pytest.raises(ValueError, match=r'OPENAI_API_KEY, got none; a server that wants no key takes api_key=""'):
        ChatEndpoint("tiny")


def test_a_missing_package_names_its_extra_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r'needs openai: pip install "dialogym\[api\]"'):
        ChatEndpoint("tiny", api_key="")


def test_a_process_keeps_its_client_and_a_forked_one_makes_its_own(monkeypatch):
    with serving([saying("hi")]) as stub:
        made = endpoint._client.cache_info().misses
        assert asked(stub) == asked(stub) == "hi"
        assert endpoint._client.cache_info().misses == made + 1
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert asked(stub) == "hi"
        assert endpoint._client.cache_info().misses == made + 2


def test_a_key_that_no_header_can_hold_is_not_shown():
    with pytest.raises(ValueError, match="api_key must be printable ASCII") as caught:
        ChatEndpoint("tiny", api_key=f"{KEY}\nX: y")
    assert KEY not in str(caught.value)


def test_429_waits_as_long_as_the_server_asks_for(waits):
    with serving([Answer(429, "slow down", (("Retry-After", "0"),)), saying("hi")]) as stub:
        assert asked(stub) == "hi"
    assert waits == [0.0]
    with serving([Answer(429, "slow down", (("Retry-After", "7"),)), saying("hi")]) as stub:
        assert asked(stub) == "hi"
    assert waits == [0.0, 7.0]


def test_a_wait_beyond_the_limit_is_not_waited():
    with serving([Answer(429, "slow down", (("Retry-After", "86400"),))]) as stub:
        with pytest.raises(EndpointError, match=r"gave up after 1 try: HTTP 429 .*slow down; it asks to wait 86400"):
            asked(stub)
        assert len(stub.requests) == 1


def test_500_is_tried_again_after_pauses_that_double(waits):
    with serving([Answer(500), Answer(503), Answer(502), saying("hi")]) as stub:
        assert asked(stub, backoff=2.0) == "hi"
    assert len(waits) == 3
    assert all(2.0 * 2**n / 2 <= wait <= 2.0 * 2**n for n, wait in enumerate(waits))


def test_tries_are_bounded():
    with serving([Answer(500, "broken")]) as stub:
        with pytest.raises(EndpointError, match=r"gave up after 3 tries: HTTP 500 from http://127.*: broken"):
            asked(stub, max_retries=2)
        assert len(stub.requests) == 3


def test_a_silent_server_times_out_and_is_tried_again():
    pauses = [0.4, 0.0]
    with serving(lambda request: saying("hi")._replace(pause=pauses.pop(0))) as stub:
        assert asked(stub, timeout=0.1) == "hi"
        assert len(stub.requests) == 2


def test_nobody_listening_is_an_error_that_says_where():
    with serving([saying("hi")]) as stub:
        pass
    with pytest.raises(EndpointError, match=r"gave up after 2 tries: no answer from http://127.*refused"):
        asked(stub, max_retries=1)


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"choices": []}', '{"choices": [{"message": null}]}'])
def test_what_is_no_completion_is_tried_again_and_then_shown(body):
    with serving([Answer(body=body), saying("hi")]) as stub:
        assert asked(stub) == "hi"
    with serving([Answer(body=body)]) as stub, pytest.raises(EndpointError) as caught:
        asked(stub, max_retries=1)
    assert "gave up after 2 tries: expected a chat completion" in str(caught.value)
    assert repr(body) in str(caught.value)


def test_a_message_without_text_is_an_error_but_a_refusal_is_an_answer():
    with serving([saying(None)]) as stub, pytest.raises(EndpointError, match="expected a text in the message"):
        asked(stub, max_retries=0)
    refused = '{"choices": [{"message": {"content": null, "refusal": "I will not."}}]}'
    with serving([Answer(body=refused)]) as stub:
        assert asked(stub) == "I will not."


def test_401_fails_at_once_and_does_not_show_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving([Answer(401, f"wrong key {KEY}")]) as stub:
        with pytest.raises(EndpointError) as caught:
            asked(stub, api_key=None)
        assert len(stub.requests) == 1
    assert "HTTP 401" in str(caught.value)
    assert "(the key is that of the environment variable OPENAI_API_KEY): wrong key ***" in str(caught.value)
    assert KEY not in repr(caught.value)


def test_an_answer_that_repeats_the_key_does_not_show_it_however_it_is_cut(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for padding in range(150, 200, 7):
        body = '{"error": "' + "x" * padding + f' bad key {KEY}"}}'
        with serving([Answer(200, body)]) as stub, pytest.raises(EndpointError) as caught:
            asked(stub, api_key=None, max_retries=0)
        assert "expected a chat completion" in str(caught.value)
        assert not any(KEY[:length] in str(caught.value) for length in range(6, len(KEY) + 1))


def test_an_address_that_is_no_text_is_told():
    with pytest.raises(TypeError, match="base_url must be a text, got 5"):
        ChatEndpoint("model", 5, api_key="")


def test_a_redirect_is_not_followed_with_the_key():
    with serving([saying("hi")]) as other, serving([Answer(302, headers=(("Location", other.url),))]) as stub:
        with pytest.raises(EndpointError, match="HTTP 302"):
            asked(stub, api_key=KEY)
        assert other.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "model must be the name"),
        ({"base_url": "localhost:8000"}, "base_url must begin with http:// or https://, got 'localhost:8000'"),
        ({"base_url": "http://host:port/v1"}, "base_url must be an address, got 'http://host:port/v1': Port"),
        ({"base_url": "http:///v1"}, "base_url must name a host, got 'http:///v1'"),
        ({"base_url": "http://me:secret@host/v1"}, "must not hold a name or a password"),
        ({"timeout": 0}, "timeout > 0"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"backoff": -1.0}, "backoff=-1.0"),
    ],
)
def test_a_wrong_argument_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        ChatEndpoint(**{"model": "tiny", "api_key": "", **options})


def test_the_address_may_come_from_the_variable_or_with_its_path(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
    assert ChatEndpoint("tiny", api_key="").base_url == "http://localhost:1/v1"
    assert ChatEndpoint("tiny", "https://host/v1/chat/completions", api_key="").base_url == "https://host/v1"


def test_retry_after_is_seconds_or_a_date():
    assert retry_after("3") == 3.0
    assert retry_after(email.utils.formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=2)
    assert retry_after(email.utils.formatdate(time.time() - 30, usegmt=True)) == 0.0
    assert retry_after("soon") is retry_after("-3") is retry_after(None) is None


def test_threads_keep_the_order_and_the_first_error_stops_the_rest():
    assert threaded(lambda number: number * 2, range(5), 3) == [0, 2, 4, 6, 8]
    done = []

    def fails_at_one(number):
        if number == 1:
            raise KeyError(number)
        done.append(number)

    with pytest.raises(KeyError):
        threaded(fails_at_one, range(1000), 2)
    assert len(done) < 1000


def test_nobody_waits_for_a_silent_server_when_another_request_has_failed():
    code = "import time; from dialogym.rewards.served.endpoint import threaded; threaded(time.sleep, [60, -1], 2)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40)
    assert "ValueError: sleep length must be non-negative" in run.stderr
