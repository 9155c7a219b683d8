"""Clients that die, dawdle or talk nonsense, disks that are full, and a server that is told to stop amid a reply."""

import contextlib
import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import pytest

from dialogym.agents.language_model.demonstrations import load_messages
from dialogym.deployment.card import opinions_of
from dialogym.deployment.pairs import read_kept
from dialogym.deployment.records import Records
from dialogym.envs.core.conversation import Conversation

from .serving import TOKEN, Echo, quick, said, serving, wait_until


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(body_seconds=0.5)) as one:
        yield one


def request(path="/v1/chat/completions", body=b"", length=None, **headers):
    """A request as it stands on the wire."""
    lines = [
        f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def asked(words, **more):
    return json.dumps({"model": "echo", "messages": said(words), **more}).encode()


def connected(served):
    return contextlib.closing(socket.create_connection(("127.0.0.1", served.port), timeout=20))


def read_all(connection):
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def test_a_client_that_dies_amid_a_stream_harms_nobody(served):
    served.agent.gate.clear()
    with connected(served) as connection:
        connection.sendall(request(body=asked("who will hear this?", stream=True)))
        assert b"200 OK" in connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close resets
    served.agent.gate.set()
    assert served.complete(said("and this?"))[0] == 200
    wait_until(lambda: all(not entry.is_answering for entry in served.service.desk._entries.values()))
    assert served.service.desk._waiting == 0
    assert len(served.service.desk) == 2  # nobody is lost: it is kept like any other


def test_who_lost_an_answer_gets_it_on_asking_again(served):
    first = served.complete(said("one"))[1]
    history = said("one", first["choices"][0]["message"]["content"], "two")
    named = {"metadata": {"conversation": first["conversation"]}}
    served.agent.gate.clear()
    with connected(served) as connection:
        body = json.dumps({"model": "echo", "messages": history, **named}).encode()
        connection.sendall(request(body=body))
        wait_until(lambda: served.service.desk._waiting == 1)
    threading.Timer(0.2, served.agent.gate.set).start()
    status, again = served.complete(history, **named)
    assert (status, again["choices"][0]["message"]["content"]) == (200, "3: you said 'two'")
    assert again["conversation"] == first["conversation"]
    assert len(served.agent.batches) == 2  # it was played once


def test_a_client_that_is_slow_to_send_is_given_up_and_nobody_waits_for_it(served):
    with connected(served) as slow:
        slow.sendall(request(body=b'{"model":', length=500))
        assert served.complete(said("quick"))[0] == 200
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within 0.5 seconds" in answer


def test_a_client_that_is_slow_to_read_keeps_nobody_waiting(served):
    with connected(served) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        slow.sendall(request(body=asked("word " * 80, stream=True)))
        assert [served.complete(said(f"quick {number}"))[0] for number in range(5)] == [200] * 5
        found = b""
        while b"[DONE]" not in found:
            found += slow.recv(512)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\n\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"4"),
        (request(length=10**12), b"413"),
        (request(length=-1), b"400"),
        (request(length="ten"), b"400"),
        (request(path="/v1/chat/completions%00"), b"404"),
    ],
)
def test_what_is_no_request_is_refused_and_the_server_goes_on(served, sent, status):
    with connected(served) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert served.complete(said("hello"))[0] == 200


def test_who_comes_when_too_many_wait_is_told_so(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(waiting=1)) as served:
        served.agent.gate.clear()
        with connected(served) as connection:
            connection.sendall(request(body=asked("first")))
            wait_until(lambda: served.service.desk._waiting == 1)
            status, told = served.complete(said("second"))
            served.agent.gate.set()
            assert b"200 OK" in connection.recv(65536)
        assert (status, told["error"]["code"]) == (429, "rate_limit_exceeded")


def test_a_reply_that_takes_too_long_can_be_asked_for_again(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(reply_seconds=0.3)) as served:
        first = served.complete(said("one"))[1]
        history = said("one", first["choices"][0]["message"]["content"], "two")
        named = {"metadata": {"conversation": first["conversation"]}}
        served.agent.gate.clear()
        status, told = served.complete(history, **named)
        assert (status, "within 0.3 seconds" in told["error"]["message"]) == (504, True)
        assert served.complete(said("one", "x", "y"), **named)[0] == 409  # it is still answering
        served.agent.gate.set()
        assert served.complete(history, **named)[0] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_an_environment_or_an_agent_that_is_broken_breaks_one_conversation(served, monkeypatch, stream):
    from dialogym.deployment.talk import Talk

    with monkeypatch.context() as patched:
        patched.setattr(Talk, "take", lambda self, action, expected: 1 / 0)
        status, told = served.complete(said("hello"), stream=stream)
        assert b"the conversation broke" in (told if stream else json.dumps(told).encode())
        assert status == (200 if stream else 500)
    with monkeypatch.context() as patched:
        patched.setattr(served.agent, "act_batch", lambda observations, infos: [])
        status, told = served.complete(said("hello"))
        assert (status, "expected 1 actions, got 0" in told["error"]["message"]) == (500, True)
    assert served.complete(said("hello"))[0] == 200
    assert served.ask("GET", "/health")[0] == 200


def test_a_conversation_in_which_the_environment_breaks_is_kept_as_far_as_it_came(served, monkeypatch):
    first = served.complete(said("one"))[1]
    answer = first["choices"][0]["message"]["content"]
    with monkeypatch.context() as patched:
        patched.setattr(Conversation, "_answer", lambda self, partner, lines: 1 / 0)
        assert served.complete(said("one", answer, "two"))[0] == 500
    wait_until(lambda: len(served.lines()) == 1)
    (line,) = served.lines()
    assert line["id"] == first["conversation"]
    assert [message["content"] for message in line["messages"] if message["role"] != "system"] == ["one", answer]


@pytest.mark.parametrize(("interface", "action"), [("text", None), ("text", 7), ("choices", -1), ("choices", 1.5)])
def test_what_the_environment_does_not_take_is_no_reply(tmp_path, monkeypatch, interface, action):
    env = gym.make("TextDialog-v0", interface=interface)
    agent = Echo(env)
    agent.interface = interface
    monkeypatch.setattr(agent, "act", lambda observation, info: action)
    with serving(tmp_path / "kept.jsonl", agent, env, limits=quick()) as served:
        status, told = served.complete(said("hello"))
    assert (status, told["error"]["code"]) == (500, "agent_failed")
    assert re.search(f"action must be .*, got {action}", told["error"]["message"])


def test_half_a_character_is_heard_and_kept_as_the_environment_has_it(served, monkeypatch):
    monkeypatch.setattr(served.agent, "act", lambda observation, info: "\ud83d yes")
    status, told = served.complete(said("hello"))
    assert (status, told["choices"][0]["message"]["content"]) == (200, "\ufffd yes")
    assert b"\\ufffd" in served.complete(said("hello"), stream=True)[1]
    assert served.ask("POST", f"/conversations/{told['conversation']}/judgement", {"success": True})[0] == 200
    assert served.lines()[0]["messages"][-1]["content"] == "\ufffd yes"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_agent_that_would_end_the_server_only_fails(served, monkeypatch, error):
    def leaves(observation, info):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(served.agent, "act", leaves)
        status, told = served.complete(said("hello"))
    assert (status, type(error).__name__ in told["error"]["message"]) == (500, True)
    assert served.complete(said("hello"))[0] == 200


def test_a_fault_of_the_server_is_told_as_openai_words_errors(served, monkeypatch):
    monkeypatch.setattr(served.service.desk, "ask", lambda asked, id: 1 / 0)
    status, told = served.complete(said("hello"))
    assert (status, told["error"]["type"]) == (500, "server_error")


def test_silent_conversations_are_written_down_and_forgotten(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(idle_seconds=0.2)) as served:
        first = served.complete(said("one"))[1]
        wait_until(lambda: len(served.lines()) == 1)
        assert served.lines()[0]["id"] == first["conversation"]
        assert len(served.service.desk) == 0
        assert served.service.desk._known == {}
        path = f"/conversations/{first['conversation']}/judgement"
        assert served.ask("POST", path, {"success": True})[0] == 404


def test_a_conversation_that_was_put_away_goes_on_under_its_id(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(conversations=1)) as served:
        first = served.complete(said("one"))[1]
        served.complete(said("somebody else"))  # for whom the first makes room
        named = {"metadata": {"conversation": first["conversation"]}}
        history = said("one", first["choices"][0]["message"]["content"], "two")
        ids = {served.complete(history, **named)[1]["conversation"] for _ in range(2)}
        assert ids == {first["conversation"]}
        path = f"/conversations/{first['conversation']}/judgement"
        assert served.ask("POST", path, {"success": True}) == (200, {"saved": True})
        assert len(served.lines()) == 3
    kept = read_kept(tmp_path / "kept.jsonl")
    assert [[turn.words for turn in one.turns] for one in kept] == [["somebody else"], ["one", "two"]]
    assert opinions_of(tmp_path / "kept.jsonl")[:2] == (1, 1)
    assert [len(talk) for talk in load_messages(tmp_path / "kept.jsonl").conversations] == [3, 5]


def test_who_says_something_else_after_a_failure_stays_in_the_conversation(served):
    first = served.complete(said("one"))[1]
    answer, named = first["choices"][0]["message"]["content"], {"metadata": {"conversation": first["conversation"]}}
    assert served.complete(said("one", answer, "fail"), **named)[0] == 500
    status, told = served.complete(said("one", answer, "two"), **named)
    assert (status, told["conversation"]) == (200, first["conversation"])
    assert served.ask("POST", f"/conversations/{told['conversation']}/judgement", {"success": True})[0] == 200
    (conversation,) = read_kept(served.kept)
    assert [turn.words for turn in conversation.turns] == ["one", "two"]


@pytest.mark.parametrize("id", ["", "x" * 21, "x" * 23, "x" * 21 + "\n", "ä" * 22, "x" * 100_000])
def test_an_id_that_was_never_issued_is_not_taken_over(served, id):
    status, told = served.complete(said("one", "so", "two"), metadata={"conversation": id})
    assert (status, len(told["conversation"])) == (200, 22)


def test_an_id_that_is_used_for_another_conversation_is_not_taken_over(served):
    first = served.complete(said("one"))[1]
    named = {"metadata": {"conversation": first["conversation"]}}
    assert served.ask("POST", f"/conversations/{first['conversation']}/judgement", {"success": True})[0] == 200
    assert served.complete(said("another"), **named)[1]["conversation"] != first["conversation"]


def test_the_one_that_was_silent_longest_makes_room(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(conversations=2)) as served:
        ids = [served.complete(said(words))[1]["conversation"] for words in ("one", "two", "three")]
        wait_until(lambda: len(served.lines()) == 1)
        assert served.lines()[0]["id"] == ids[0]
        assert len(served.service.desk) == 2


def test_a_judgement_that_could_not_be_saved_can_be_sent_again(served, monkeypatch):
    first = served.complete(said("hello"))[1]
    path = f"/conversations/{first['conversation']}/judgement"
    with monkeypatch.context() as patched:
        write = os.write

        def full(file, content):
            if b"messages" not in content:
                return write(file, content)  # of the event loop
            write(file, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, "write", full)
        status, told = served.ask("POST", path, {"success": True})
        assert (status, "No space left" in told["error"]["message"]) == (500, True)
    assert served.kept.read_bytes() == b""
    assert served.ask("POST", path, {"success": True})[0] == 200
    assert len(served.lines()) == 1


def test_a_half_written_line_is_cut_off_and_a_whole_one_is_not(tmp_path):
    path, whole = tmp_path / "kept.jsonl", '{"messages": []}'
    for before, after, mended in (
        (f'{whole}\n{{"messa', f"{whole}\n", True),
        ('{"messa', "", True),
        (f"{whole}\n{whole}", f"{whole}\n{whole}\n", False),
        (f"{whole}\n", f"{whole}\n", False),
    ):
        path.write_text(before)
        assert Records(path, {}).mended is mended
        assert path.read_text() == after


CHILD = """
import sys, time
import gymnasium as gym
from dialogym.deployment.app import Service
from dialogym.deployment.limits import Limits
from dialogym.deployment.records import Records
from dialogym.deployment.server import Server, listen
from dialogym.deployment.talk import Host
from tests.deployment.serving import ENV, TOKEN, Echo

class Slow(Echo):
    def act(self, observation, info):
        if "wait" in info["messages"][-1]["content"]:
            print("answering", flush=True)
            time.sleep(float(sys.argv[2]))
        return super().act(observation, info)

made = gym.make(ENV)
limits = Limits(stop_seconds=float(sys.argv[3]))
service = Service(Host(Slow(made), made), name="echo", records=Records(sys.argv[1], {}), token=TOKEN, limits=limits)
with listen("127.0.0.1", 0) as taken:
    print(taken.getsockname()[1], flush=True)
    Server(service).run(sockets=[taken])
"""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("takes", "may_take"), [(1.0, 20.0), (20.0, 0.5)])
def test_a_server_that_is_told_to_stop_finishes_its_replies_or_says_so(tmp_path, takes, may_take, stream):
    root, kept = Path(__file__).parents[2], tmp_path / "kept.jsonl"
    command = [sys.executable, "-c", CHILD, str(kept), str(takes), str(may_take)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as first:
                first.sendall(request(body=asked("before")))
                assert b"200 OK" in first.recv(65536)
            with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
                connection.sendall(request(body=asked("please wait", stream=stream)))
                assert child.stdout.readline() == "answering\n"
                time.sleep(0.1)
                child.send_signal(signal.SIGTERM)
                answer = read_all(connection)
            child.wait(30)
        finally:
            child.kill()
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    judged = [[one["content"] for one in line["messages"][1:]] for line in lines]
    assert ["before", "1: you said 'before'"] in judged
    if takes < may_take:
        assert b"you" in answer
        assert ["please wait", "1: you said 'please wait'"] in judged
        assert (b"[DONE]" in answer) == stream
    else:
        assert b"the server is stopping" in answer
        assert answer.startswith(b"HTTP/1.1 200" if stream else b"HTTP/1.1 503")
        assert len(lines) == 1
