"""``dialogym serve``: what it prints, who gets in, and what it refuses."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import urllib.request

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from dialogym import cli, cli_serve
from dialogym.agents import make_agent

CALL = "from dialogym.cli import main; main()"


def test_it_prints_its_token_once_and_serves_until_it_is_interrupted(tmp_path):
    kept = tmp_path / "kept.jsonl"
    command = [sys.executable, "-u", "-c", CALL, "serve", "rule", "--port", "0", "--out", str(kept)]
    environment = {name: value for name, value in os.environ.items() if name != "DIALOGYM_TOKEN"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as child:
        try:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(4)]
            page = re.fullmatch(r"Talk to rule at (http://127\.0\.0\.1:\d+)/#(\S{32})\n", lines[0])
            assert page is not None, lines
            url, token = page.groups()
            assert lines[1:3] == [f"API: base_url={url}/v1 model=rule\n", f"Token: {token}\n"]
            body = json.dumps({"model": "rule", "messages": [{"role": "user", "content": "hello"}]}).encode()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body, headers)) as found:
                told = json.load(found)
            assert told["choices"][0]["message"]["content"].endswith("?")  # the rule asks what is wanted
            child.send_signal(signal.SIGINT)
            rest = child.stdout.read()
            child.wait(30)
        finally:
            child.kill()
    assert child.returncode == 130
    assert token not in rest
    assert [json.loads(line)["id"] for line in kept.read_text().splitlines()] == [told["conversation"]]


def called(*arguments, **environment):
    return CliRunner().invoke(cli.app, ["serve", *map(str, arguments)], env=environment)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["human"], ValueError, "sits at a terminal"),
        (["rule", "--token", "a b"], ValueError, "without spaces"),
        (["rule", "--token", "x", "--no-token"], ValueError, "exclude each other"),
        (["rule", "--out", "kept.txt"], ValueError, r"ends in \.jsonl"),
        (["runs/none/agent"], ValueError, "the folder of a trained one, got 'runs/none/agent'"),
        (["rule", "--name", " "], ValueError, "--name must be the name that clients ask for, got ' '"),
        (
            ["rule", "--public-name", "https://chat.example"],
            ValueError,
            "without https:// or a path, got 'https://chat",
        ),
        (["rules"], ValueError, "did you mean 'rule'"),
        (["rule", "--env", "TextDialogue-v0"], ValueError, "did you mean 'TextDialog-v0'"),
        (["rule", "--env", "TextNegotiation-v0"], ValueError, "no seat for a person"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, monkeypatch, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    result = called(*arguments, DIALOGYM_TOKEN="")
    assert isinstance(result.exception, error), result.output
    assert re.search(words, str(result.exception))


@pytest.fixture
def served(monkeypatch):
    """What would be served, instead of serving it."""
    from dialogym.deployment.server import Server

    found = []
    monkeypatch.setattr(Server, "run", lambda self, sockets: found.append(self.service))
    return found


def test_a_folder_is_served_in_the_environment_it_was_made_for(tmp_path, served):
    made = gym.make("TextDialog-v0", noise=0.15)
    make_agent("q_learning", made).save(tmp_path / "agent")
    result = called(tmp_path / "agent", "--port", 0, "--out", tmp_path / "kept.jsonl", "--name", "guide")
    assert result.exception is None, result.output
    (service,) = served
    assert (service.name, service.env, service.local) == ("guide", "TextDialog-v0", True)
    assert service.desk.host.task.made_with["noise"] == 0.15
    assert len(service.token) == 32


def test_who_logs_in_the_same_process_goes_on_logging(served, tmp_path):
    class Log(logging.StreamHandler):
        closed = False

        def close(self):
            self.closed = True
            super().close()

    handler = Log(io.StringIO())
    assert called("rule", "--port", 0, "--out", tmp_path / "kept.jsonl").exception is None
    assert served
    assert not handler.closed


def test_a_token_of_ones_own_is_not_printed(tmp_path, served):
    arguments = ("rule", "--port", 0, "--out", tmp_path / "kept.jsonl")
    for given in (called(*arguments, "--token", "secret-1"), called(*arguments, DIALOGYM_TOKEN="secret-1")):
        assert "secret" not in given.output
        assert served.pop().token == "secret-1"
    assert "Token" not in called(*arguments, "--no-token", DIALOGYM_TOKEN="").output
    assert served.pop().token is None


def test_who_serves_all_the_world_without_a_token_is_warned(tmp_path, served):
    arguments = ("rule", "--port", 0, "--out", tmp_path / "kept.jsonl", "--host", "0.0.0.0")
    assert "Anybody who reaches this address" in called(*arguments, "--no-token", DIALOGYM_TOKEN="").output
    assert "Anybody" not in called(*arguments, DIALOGYM_TOKEN="").output
    assert [service.local for service in served] == [False, False]


def test_the_names_of_a_proxy_reach_the_server(tmp_path, served):
    names = ("--public-name", "chat.example", "--public-name", "chat.example:8443")
    result = called("rule", "--port", 0, "--out", tmp_path / "kept.jsonl", *names)
    assert result.exception is None, result.output
    assert served[0].public_names == {"chat.example", "chat.example:8443"}
    assert served[0].local


def test_a_port_that_is_taken_is_told(tmp_path):
    from dialogym.deployment.server import listen

    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} cannot be served .*--port 0 takes a free one"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_which_address_is_this_machines_alone(host, is_local):
    assert cli_serve._is_loopback(host) is is_local
