"""Our environments in the ``MultiTurnEnv`` of verifiers before 0.4, through an endpoint."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
from typing import Any

import pytest

from ..rewards.stub_server import Answer, serving
from .played import Played, rule_plays
from .test_verifiers import completion

if importlib.util.find_spec("verifiers") is None or importlib.metadata.version("verifiers") >= "0.4":
    pytest.skip("needs verifiers before 0.4", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")


def loaded(**settings: Any) -> Any:
    import verifiers as vf

    return vf.load_environment("dialogym-verifiers", **{"count": 3, "eval_count": 1, **settings})


def talks_of(env: Any) -> dict[str, Played]:
    """What the rule says to each opening."""
    talks = {}
    for row in env.get_dataset():
        info, prompt = row["info"], row["prompt"]
        talks[prompt[-1]["content"]] = rule_plays(
            info["env"], info["seed"], info["goal_id"], split=info["split"], **json.loads(info["options"])
        )
    return talks


def rollouts_of(env: Any, url: str) -> list[Any]:
    from verifiers.types import ClientConfig

    client = ClientConfig(api_base_url=url, api_key_var="NO_SUCH_KEY", max_retries=0)

    async def all_at_once() -> list[Any]:
        columns = ["turn_rewards", "reward_terms", "success", "goal_id", "trajectory"]
        made = await env.generate(env.get_dataset(), client, "tiny", state_columns=columns)
        return made["outputs"]

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("env_id", ["TextDialog-v0", "TextArithmetic-v0"])
def test_rollouts_at_once_have_the_rewards_of_the_environment_turn_by_turn(env_id, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_SUCH_KEY", "none")
    env = loaded(env=env_id)
    talks = talks_of(env)
    assert len(talks) == 3

    def says(request: dict[str, Any]) -> Answer:
        roles = [message["role"] for message in request["messages"]]
        return completion(talks[request["messages"][1]["content"]].replies[roles.count("assistant")])

    with serving(says) as stub:
        outputs = rollouts_of(env, stub.url)
    for output in outputs:
        played = talks[output["prompt"][-1]["content"]]
        assert output["error"] is None
        assert output["reward"] == pytest.approx(sum(played.rewards))
        assert output["turn_rewards"] == played.rewards
        assert [step["reward"] for step in output["trajectory"]] == played.rewards
        assert [step["extras"]["reward_terms"] for step in output["trajectory"]] == played.terms
        assert sum(output["reward_terms"].values()) == pytest.approx(output["reward"])
        assert (output["success"], output["goal_id"]) == (played.success, played.goal_id)
        assert output["metrics"]["success"] == played.success
        assert output["metrics"]["num_turns"] == len(played.replies)
        said = [message["content"] for message in output["completion"] if message["role"] == "assistant"]
        assert said == played.replies
    assert len(stub.requests) == sum(len(talk.replies) for talk in talks.values())


def test_an_endpoint_that_fails_is_an_error_of_the_rollout(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_SUCH_KEY", "none")
    env = loaded(max_turns=5)
    with serving([Answer(400, "the model is gone")]) as stub:
        outputs = rollouts_of(env, stub.url)
    assert len(outputs) == 3
    for output in outputs:
        assert "Error code: 400" in json.dumps(output["error"], default=str)
        assert output["turn_rewards"] == []
