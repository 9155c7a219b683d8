"""Our environments as a taskset of verifiers: a conversation by itself, and verifiers' episodes through an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialogym.rewards.served.chat import SILENCE, chat_messages

from ..rewards.stub_server import Answer, serving
from . import stand_ins
from .played import TALKS, Played, replay, rule_plays
from .stand_ins import bridge_to

installed = pytest.mark.skipif(importlib.util.find_spec("verifiers") is None, reason="needs the extra verifiers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    pytest.importorskip("pydantic")
    with bridge_to("verifiers", stand_ins.verifiers) as module:
        yield module


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def taskset_of(bridge: Any, env_id: str, count: int, **options: Any) -> Any:
    return bridge.DialogymTaskset(
        bridge.DialogymConfig(id="dialogym-verifiers", env=env_id, count=count, options=options)
    )


def talk_about(data: Any) -> Played:
    return rule_plays(data.env, data.noise_seed, data.goal_id, split=data.split, **data.options)


# A conversation by itself


class Trace:
    """As much of a trace as a conversation writes."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = {}
        self.rewards: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.ok = True

    def record_reward(self, name: str, value: float, weight: float = 1.0) -> None:
        self.rewards[name] = value * weight

    def record_metrics(self, values: dict[str, float]) -> None:
        self.metrics.update(values)


class Player:
    """Says what it is told to, by the interface of an agent of verifiers; fails or stops where the replies end.

    Attributes:
        told: what it heard, None for the turn that the prompt of the task opens.
    """

    def __init__(self, replies: list[str], fails: bool = False):
        self.replies, self.fails = replies, fails
        self.told: list[str | None] = []
        self.trace = Trace()

    @contextlib.asynccontextmanager
    async def interaction(self, task: Any) -> AsyncIterator[Any]:
        yield self

    async def turn(self, message: str | None = None) -> Any:
        self.told.append(message)
        if len(self.told) > len(self.replies):
            self.trace.ok = not self.fails
            return SimpleNamespace(terminated=True, last_reply="")
        return SimpleNamespace(terminated=False, last_reply=self.replies[len(self.told) - 1])


def have(bridge: Any, task: Any, player: Player) -> Trace:
    asyncio.run(bridge.DialogymEnv.run(SimpleNamespace(), task, SimpleNamespace(player=player)))
    return player.trace


@pytest.mark.parametrize("env_id", TALKS)
def test_a_conversation_has_the_rewards_of_the_environment_and_each_message_is_told_once(bridge, env_id):
    task = next(iter(taskset_of(bridge, env_id, 1)))
    played = talk_about(task.data)
    player = Player(played.replies)
    trace = have(bridge, task, player)
    assert trace.info["turn_rewards"] == played.rewards
    assert trace.info["turn_reward_terms"] == played.terms
    assert trace.info["goal_id"] == played.goal_id == task.data.goal_id
    assert sum(trace.rewards.values()) == pytest.approx(sum(played.rewards))
    assert set(trace.rewards) == set(played.terms[0])
    assert trace.metrics == {"success": played.success, "turns": len(played.replies)}
    # what is said to the agent: the prompt, then what is new
    assert task.data.system_prompt == played.messages[0]["content"]
    assert len(player.told) == len(played.replies)
    told = [task.data.prompt, *player.told[1:]]
    assert player.told[0] is None
    heard: list[list[dict[str, str]]] = [[]]
    for message in played.messages[1:]:
        if message["role"] == "assistant":
            heard.append([])
        else:
            heard[-1].append(message)
    expected = [chat_messages(messages)[0]["content"] for messages in heard]
    assert told == expected[: len(told)]  # what follows the last reply is told to nobody


def test_a_run_that_failed_has_no_reward_and_one_that_a_limit_stopped_has_that_of_its_turns(bridge):
    task = next(iter(taskset_of(bridge, "TextDialog-v0", 1)))
    played = talk_about(task.data)
    failed = have(bridge, task, Player(played.replies[:2], fails=True))
    assert (failed.rewards, failed.metrics) == ({}, {})
    assert failed.info["turn_rewards"] == played.rewards[:2]
    stopped = have(bridge, task, Player(played.replies[:2]))
    assert sum(stopped.rewards.values()) == pytest.approx(sum(played.rewards[:2]))
    assert stopped.metrics == {"success": 0, "turns": 2}


def test_goals_are_listed_with_what_opens_them_and_options_come_along(bridge):
    tasks = list(taskset_of(bridge, "dialogym:TextDialog-v0", 3, max_turns=2))
    assert len({task.data.id for task in tasks}) == 3
    for task in tasks:
        played = talk_about(task.data)
        assert len(played.replies) == 2
        assert task.data.prompt == played.messages[1]["content"]
        assert json.loads(task.data.model_dump_json())["options"] == {"max_turns": 2}
    again = list(taskset_of(bridge, "dialogym:TextDialog-v0", 2, max_turns=2))
    assert [task.data.id for task in again] == [task.data.id for task in tasks[:2]]


def test_silence_is_told_as_such(bridge):
    assert bridge._said([{"role": "system", "content": "Guess."}]) == SILENCE
    assert bridge._system([{"role": "user", "content": "hi"}]) is None
    opening = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    assert bridge._said(opening) == opening


# verifiers' own episodes


def completion(content: str) -> Answer:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": [choice], "usage": usage}
    return Answer(body=json.dumps(body))


class Model:
    """Answers a request with what the rule said in that conversation; from turn ``dies_at`` on, with an error."""

    def __init__(self, tasks: list[Any], dies_at: int = 99):
        self.talks = {task.data.prompt: talk_about(task.data) for task in tasks}
        self.dies_at = dies_at
        assert len(self.talks) == len(tasks)

    def __call__(self, request: dict[str, Any]) -> Answer:
        said = [message["content"] for message in request["messages"]]
        turn = [message["role"] for message in request["messages"]].count("assistant")
        if turn + 1 >= self.dies_at:
            return Answer(400, "the model is gone")
        return completion(self.talks[said[1]].replies[turn])


def asking(url: str) -> Any:
    import verifiers.v1 as vf

    return vf.EvalClientConfig(base_url=url, api_key_var="NO_SUCH_KEY")


def episodes_of(env: Any, client: Any) -> list[Any]:
    """An episode of each task, all at once."""
    import verifiers.v1 as vf

    context = vf.ModelContext(model="tiny", client=client, sampling=vf.SamplingConfig(temperature=0.5))

    async def all_at_once() -> list[Any]:
        async with env.serving():
            return await asyncio.gather(*[env.run_episode(task, context) for task in env.taskset])

    return asyncio.run(all_at_once())


def env_of(bridge: Any, env_id: str, count: int, **options: Any) -> Any:
    import verifiers.v1 as vf

    config = bridge.DialogymConfig(id="dialogym-verifiers", env=env_id, count=count, options=options)
    env = vf.load_environment(bridge.DialogymEnvConfig(taskset=config))
    assert type(env) is bridge.DialogymEnv  # found by the id alone
    assert type(next(iter(env._harnesses.values()))) is bridge.ChatHarness
    return env


@installed
@pytest.mark.parametrize("env_id", ["TextDialog-v0", "TextArithmetic-v0"])
def test_episodes_at_once_go_through_an_endpoint_as_the_environment_is_played(bridge, env_id):
    env = env_of(bridge, env_id, 4)
    model = Model(list(env.taskset))
    with serving(model) as stub:
        episodes = episodes_of(env, asking(stub.url))
    for episode in episodes:
        (trace,) = episode.traces
        played = model.talks[trace.task.data.prompt]
        assert (episode.ok, episode.errors, trace.stop_condition) == (True, [], "user_closed")
        assert trace.reward == pytest.approx(sum(played.rewards))
        assert trace.info["turn_rewards"] == played.rewards
        assert trace.info["goal_id"] == played.goal_id
        assert {name: reward.score for name, reward in trace.rewards.items()} == pytest.approx(
            {name: sum(turn[name] for turn in played.terms) for name in played.terms[0]}
        )
        assert trace.metrics == {"success": played.success, "turns": len(played.replies)}
        assert trace.num_branches == 1  # one conversation, whose turns were added to
        assert [message.content for message in trace.assistant_messages] == played.replies
        assert [node.sampled for node in trace.nodes].count(True) == len(played.replies)
    assert len(stub.requests) == sum(len(talk.replies) for talk in model.talks.values())
    for request in stub.requests:
        roles = [message["role"] for message in request["messages"]]
        assert roles == ["system", *["user", "assistant"] * ((len(roles) - 2) // 2), "user"]
        assert request["temperature"] == 0.5


@installed
def test_a_trainer_gets_the_tokens_of_each_conversation_as_they_were_sampled(bridge, tmp_path):
    pytest.importorskip("transformers")
    import verifiers.v1 as vf

    from dialogym.envs.tokenizer import load_tokenizer

    tokenizer = load_tokenizer()
    tokenizer.save(tmp_path)
    env = env_of(bridge, "TextDialog-v0", 3)
    talks = {task.data.goal_id: talk_about(task.data) for task in env.taskset}
    openings = {
        goal_id: tokenizer.decode(tokenizer.encode(talk.messages[1]["content"])) for goal_id, talk in talks.items()
    }
    said = {
        goal_id: [[*tokenizer.encode(reply), tokenizer.end_id] for reply in talk.replies]
        for goal_id, talk in talks.items()
    }

    def generate(request: dict[str, Any]) -> Answer:
        """vLLM's endpoint of token ids; every other one is not there."""
        if "token_ids" not in request:
            return Answer(404, "{}")
        read = request["token_ids"]
        goal_id = next(goal_id for goal_id, opening in openings.items() if opening in tokenizer.decode(read))
        ids = said[goal_id][read.count(tokenizer.end_id) // 2 - 1]  # both sides' messages end with it
        logprobs = {"content": [{"token": f"token_id:{number}", "logprob": -0.25} for number in ids]}
        choice = {"index": 0, "token_ids": ids, "finish_reason": "stop", "logprobs": logprobs}
        return Answer(body=json.dumps({"request_id": "1", "choices": [choice]}))

    with serving(generate) as stub:
        client = vf.TrainClientConfig(base_url=stub.url, api_key_var="NO_SUCH_KEY", renderer_model_name=str(tmp_path))
        episodes = episodes_of(env, client)
    asked = [request["token_ids"] for request in stub.requests if "token_ids" in request]
    for episode in episodes:
        (trace,) = episode.traces
        talk = talks[trace.task.data.goal_id]
        heard = [tokenizer.decode(ids).strip() for ids in said[talk.goal_id]]
        direct = replay("TextDialog-v0", heard, talk.seed, talk.goal_id)
        assert episode.ok
        assert trace.reward == pytest.approx(sum(direct.rewards))
        assert trace.info["turn_rewards"] == direct.rewards
        (branch,) = trace.branches
        ids, own = branch.token_ids, branch.sampled_mask
        sampled = [token for token, mine in zip(ids, own, strict=True) if mine]
        assert sampled == list(itertools.chain(*said[talk.goal_id][: len(direct.replies)]))
        assert branch.logprobs == [-0.25 if mine else 0.0 for mine in own]
        mine = [read for read in asked if openings[talk.goal_id] in tokenizer.decode(read)]
        assert len(mine) == len(direct.replies)
        assert all(read == ids[: len(read)] for read in mine)  # each turn adds to what was read, and changes nothing


@installed
def test_an_endpoint_that_fails_is_an_error_of_the_run_and_no_reward(bridge):
    env = env_of(bridge, "TextDialog-v0", 2)
    model = Model(list(env.taskset), dies_at=2)
    with serving(model) as stub:
        episodes = episodes_of(env, asking(stub.url))
    for episode in episodes:
        (trace,) = episode.traces
        played = model.talks[trace.task.data.prompt]
        assert not episode.ok
        assert trace.stop_condition == "provider_error"
        assert "the model is gone" in trace.last_error.message
        assert (trace.rewards, trace.metrics) == ({}, {})
        assert trace.info["turn_rewards"] == played.rewards[:1]


@installed
def test_an_endpoint_that_nobody_listens_at_is_an_error_of_the_run(bridge):
    with serving(lambda request: Answer()) as stub:
        pass
    (episode,) = episodes_of(env_of(bridge, "TextArithmetic-v0", 1), asking(stub.url))
    assert not episode.ok
    assert "connection attempts failed" in episode.traces[0].last_error.message.lower()


@installed
def test_its_command_line_finds_the_taskset_by_its_name(bridge, tmp_path):
    model = Model(list(taskset_of(bridge, "TextDialog-v0", 2)))
    command = [
        *(str(Path(sys.executable).with_name("vf-eval")), "dialogym-verifiers", "--env.taskset.env", "TextDialog-v0"),
        *("--env.taskset.count", "2", "-m", "tiny", "--client.api-key-var", "NO_SUCH_KEY"),
        *("--output-dir", str(tmp_path), "--rich", "None"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with serving(model) as stub:
        command += ["--client.base-url", stub.url]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    (path,) = tmp_path.rglob("traces.jsonl")
    traces = [trace for line in path.read_text().splitlines() for trace in json.loads(line).get("traces", [])]
    assert len(traces) == 2
    for trace in traces:
        assert trace["info"]["turn_rewards"] == model.talks[trace["task"]["data"]["prompt"]].rewards
