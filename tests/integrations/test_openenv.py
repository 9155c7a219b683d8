"""Our environments behind an OpenEnv server: the session of one client, and a real server played by OpenEnv's own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest

from . import stand_ins
from .played import TALKS, Played, rule_plays
from .stand_ins import bridge_to

served = pytest.mark.skipif(importlib.util.find_spec("openenv") is None, reason="needs the extra openenv")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    pytest.importorskip("pydantic")
    with bridge_to("openenv", stand_ins.openenv) as module:
        yield module


# One session


@pytest.mark.parametrize("env_id", TALKS)
def test_a_session_is_a_conversation_of_the_environment_with_each_message_told_once(bridge, env_id):
    played = rule_plays(env_id)
    session = bridge.DialogymEnvironment(env_id)
    heard = session.reset(seed=played.seed, episode_id="mine")
    assert (heard.done, heard.reward, heard.turn, heard.goal_id) == (False, None, 0, played.goal_id)
    told, rewards = list(heard.messages), []
    for reply, terms in zip(played.replies, played.terms, strict=True):
        assert not heard.done
        heard = session.step(bridge.Reply(text=reply))
        told += [{"role": "assistant", "content": reply}, *heard.messages]
        rewards.append(heard.reward)
        assert heard.reward_terms == terms
    assert told == played.messages
    assert rewards == played.rewards
    assert (heard.done, heard.success, heard.goal_id) == (True, played.success, played.goal_id)
    assert (heard.terminated, heard.truncated) == (True, False)
    state = session.state
    assert (state.episode_id, state.step_count, state.goal_id) == ("mine", len(rewards), played.goal_id)
    assert state.total_reward == pytest.approx(sum(rewards))
    assert sum(state.reward_terms.values()) == pytest.approx(sum(rewards))
    session.close()


def test_a_goal_id_is_shared_under_other_seeds_and_a_limit_is_no_end_of_its_own(bridge):
    first, second = (bridge.DialogymEnvironment("TextDialog-v0", max_turns=2) for _ in range(2))
    goal_id = first.reset(seed=1).goal_id
    opening = first.reset(seed=2, goal_id=goal_id)
    assert second.reset(seed=2, goal_id=goal_id) == opening
    assert second.reset(seed=3, goal_id=goal_id).messages != opening.messages
    assert [first.step(bridge.Reply(text="Hello.")).truncated for _ in range(2)] == [False, True]
    assert first.state.success is False


def test_a_reply_that_a_client_read_as_json_is_said_as_it_was_written(bridge):
    assert bridge.Reply(text=42).text == "42"
    assert bridge.Reply(text=True).text == "true"
    assert bridge.Reply(text=["a", 1]).text == '["a", 1]'
    assert bridge.Reply(text="4.20").text == "4.20"


def test_what_is_wrong_is_told(bridge):
    session = bridge.DialogymEnvironment("TextDialog-v0")
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        session.step(bridge.Reply(text="Hello."))
    with pytest.raises(ValueError, match="reset understands seed, episode_id and goal_id, got 'goal'"):
        session.reset(seed=1, goal="7")
    with pytest.raises(ValueError, match="max_sessions must be at least 1, got 0"):
        bridge.server_of("TextDialog-v0", max_sessions=0)
    with pytest.raises(TypeError, match="noize"):
        bridge.server_of("TextDialog-v0", noize=0.3)
    with pytest.raises(gym.error.NameNotFound):
        bridge.server_of("TextNoSuch-v0")


# A server, and OpenEnv's client


@contextlib.contextmanager
def serving(app: Any) -> Iterator[tuple[str, Any]]:
    """The address of an application on a free port of 127.0.0.1 until the block ends, and its uvicorn server."""
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


async def play(url: str, played: Played, pause: float = 0.0) -> tuple[list[Any], list[float], dict[str, Any]]:
    """A conversation by OpenEnv's own client: its messages, its rewards, and its last observation."""
    from openenv import GenericEnvClient

    async with GenericEnvClient(base_url=url) as client:
        result = await client.reset(seed=played.seed)
        told, rewards = list(result.observation["messages"]), []
        for reply in played.replies:
            await asyncio.sleep(pause)
            result = await client.step({"text": reply})
            told += [{"role": "assistant", "content": reply}, *result.observation["messages"]]
            rewards.append(result.reward)
        assert result.done
        state = await client.state()
        assert state["step_count"] == len(rewards)
        assert state["total_reward"] == pytest.approx(sum(rewards))
        return told, rewards, result.observation


@served
def test_sessions_at_once_are_not_crossed(bridge):
    talks = [rule_plays("TextDialog-v0", seed) for seed in range(6)]
    assert len({talk.goal_id for talk in talks}) == 6

    async def all_at_once(url: str) -> list[Any]:
        return await asyncio.gather(*[play(url, talk, pause=0.01 * number) for number, talk in enumerate(talks)])

    with serving(bridge.server_of("dialogym:TextDialog-v0", max_sessions=6)) as (url, _):
        for talk, (told, rewards, last) in zip(talks, asyncio.run(all_at_once(url)), strict=True):
            assert told == talk.messages
            assert rewards == talk.rewards
            assert last["reward_terms"] == talk.terms[-1]
            assert (last["goal_id"], last["success"]) == (talk.goal_id, talk.success)


@served
def test_two_sessions_turn_by_turn_a_wrong_word_ends_none_and_a_client_that_dies_leaves_its_place(bridge):
    from openenv import GenericEnvClient
    from websockets.exceptions import ConnectionClosed

    first, second = rule_plays("TextTwentyQuestions-v0", 1), rule_plays("TextTwentyQuestions-v0", 2)

    async def in_turns(url: str) -> None:
        one, other = GenericEnvClient(base_url=url), GenericEnvClient(base_url=url)
        await one.reset(seed=1)
        with pytest.raises(RuntimeError, match=r"env.reset\(\)"):
            await other.step({"text": "Is it an animal?"})
        await other.reset(seed=2)
        with pytest.raises(RuntimeError, match="VALIDATION_ERROR"):
            await one.step({"words": "Is it an animal?"})
        with pytest.raises(RuntimeError, match="got 'sed'"):
            await one.reset(sed=1)
        for turn in range(3):
            for client, talk in ((one, first), (other, second)):
                assert (await client.step({"text": talk.replies[turn]})).reward == talk.rewards[turn]
        refused = GenericEnvClient(base_url=url)
        with pytest.raises((RuntimeError, ConnectionClosed), match=r"CAPACITY_REACHED|1000 \(OK\)"):
            await refused.reset(seed=3)  # the server says why and hangs up at once
        await refused.disconnect()
        one._ws.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)  # the connection is lost
        for _ in range(100):
            third = GenericEnvClient(base_url=url)
            with contextlib.suppress(RuntimeError, ConnectionClosed):
                await third.reset(seed=1)
                break
            await third.disconnect()
            await asyncio.sleep(0.05)
        assert (await third.step({"text": first.replies[0]})).reward == first.rewards[0]
        assert (await other.step({"text": second.replies[3]})).reward == second.rewards[3]
        for client in (third, other):
            await client.disconnect()

    with serving(bridge.server_of("TextTwentyQuestions-v0", max_sessions=2)) as (url, _):
        asyncio.run(in_turns(url))


@served
def test_a_server_that_goes_away_is_an_error_and_no_end_of_a_conversation(bridge):
    from openenv import GenericEnvClient
    from websockets.exceptions import ConnectionClosed

    async def goes(url: str, server: Any) -> None:
        client = GenericEnvClient(base_url=url)
        await client.reset(seed=1)
        server.should_exit = True
        with pytest.raises(ConnectionClosed):
            await go_on(client)
        await client.disconnect()

    async def go_on(client: Any) -> None:
        for _ in range(200):
            await client.step({"text": "Hello."})
            await client.reset(seed=1)
            await asyncio.sleep(0.05)

    with serving(bridge.server_of("TextDialog-v0")) as (url, server):
        asyncio.run(goes(url, server))


@served
def test_it_tells_over_http_what_it_is_and_how_a_conversation_begins(bridge):
    def asked(url: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    with serving(bridge.server_of("TextArithmetic-v0")) as (url, _):
        assert asked(f"{url}/health")["status"] == "healthy"
        assert asked(f"{url}/schema")["action"]["required"] == ["text"]
        assert asked(f"{url}/metadata")["name"] == "TextArithmetic-v0"
        begun = asked(f"{url}/reset", {"seed": 3})
        talk = rule_plays("TextArithmetic-v0", 3)
        assert begun["observation"]["messages"] == talk.messages[: talk.opening]
