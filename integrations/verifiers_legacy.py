"""Our environments in the ``MultiTurnEnv`` of verifiers before 0.4, for trainers that have not moved on.

``vf-eval dialogym-verifiers -a '{"env": "TextDialog-v0"}'``, or ``verifiers.load_environment("dialogym-verifiers")``.
verifiers 0.4 has :mod:`dialogym.integrations.verifiers` instead.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import Any

try:
    vf: Any = importlib.import_module("verifiers")
    MultiTurnEnv, Rubric = vf.MultiTurnEnv, vf.Rubric
except (ImportError, AttributeError) as error:
    raise ImportError(
        'MultiTurnEnv is of verifiers before 0.4: pip install "verifiers<0.4", or use dialogym.integrations.verifiers'
    ) from error

from ..rewards.served.chat import chat_messages
from .episode import Episode
from .goals import list_goals


async def environment_return(state: Any) -> float:
    """The reward of a rollout: what the environment paid for all its turns."""
    return float(sum(state["turn_rewards"]))


async def success(state: Any) -> float:
    """The ground truth."""
    return float(state["success"])


class ConversationEnv(MultiTurnEnv):
    """Conversations with an environment, one goal a row.

    A step of the trajectory has the reward of its turn, and its terms in ``extras["reward_terms"]``. The state has
    "turn_rewards", "reward_terms" (the sum of each), "success" and "goal_id"; name them as state columns to save
    them.
    """

    async def setup_state(self, state: Any) -> Any:
        """Begins the conversation of the state's row, which its prompt already tells."""
        info = state["info"]
        options = {**json.loads(info["options"]), "split": info["split"]}
        episode = await asyncio.to_thread(Episode, info["env"], **options)
        await asyncio.to_thread(episode.begin, info["goal_id"], info["seed"])
        state.update(episode=episode, turn_rewards=[], reward_terms={}, success=False, goal_id=info["goal_id"])
        return state

    async def env_response(self, messages: Any, state: Any, **_: Any) -> list[dict[str, str]]:
        """Says the last reply, and returns what was said since; where that ends the conversation, the rollout ends."""
        episode, step = state["episode"], state["trajectory"][-1]
        turn = await asyncio.to_thread(episode.step, _text_of(step["completion"]))
        step["reward"] = turn.reward
        step["extras"]["reward_terms"] = {name: float(value) for name, value in turn.info["reward_terms"].items()}
        state["turn_rewards"].append(turn.reward)
        state.update(reward_terms=dict(episode.earned.terms), success=episode.success)
        said = chat_messages(turn.messages)
        if turn.ended:
            state["final_env_response"] = said if turn.messages else []
        return said

    @vf.cleanup
    async def close_episode(self, state: Any) -> None:
        """Lets go of the environment."""
        episode = state.pop("episode", None)
        if episode is not None:
            episode.close()


def load_environment(
    env: str = "dialogym:TextDialog-v0", count: int = 1000, eval_count: int = 100, seed: int = 0, **options: Any
) -> ConversationEnv:
    """What verifiers loads under the id ``dialogym-verifiers``.

    Args:
        env: the id of an environment; "package:Id-v0" imports the package first.
        count, eval_count: how many goals of the splits "train" and "validation".
        seed: of the lists of goals.
        **options: keyword arguments of ``gym.make`` that JSON can hold: reward, max_turns, and those of the task.
    """
    return ConversationEnv(
        dataset=_goals(env, "train", count, seed, options),
        eval_dataset=_goals(env, "validation", eval_count, seed, options),
        rubric=Rubric(funcs=[environment_return, success], weights=[1.0, 0.0]),
    )


def _goals(env: str, split: str, count: int, seed: int, options: dict[str, Any]) -> Any:
    from datasets import Dataset  # of verifiers before 0.4

    played, rows = {"env": env, "split": split, "options": json.dumps(options)}, []
    episode = Episode(env, **{**options, "split": split})
    for goal in list_goals(episode.env, count, split, seed):
        opening = chat_messages(episode.begin(goal.goal_id, goal.seed))
        rows.append(
            {"prompt": opening, "answer": goal.goal_id, "info": {**played, "goal_id": goal.goal_id, "seed": goal.seed}}
        )
    episode.close()
    return Dataset.from_list(rows)


def _text_of(completion: Any) -> str:
    """The words of a reply, as verifiers keeps it: messages, or a text."""
    if isinstance(completion, str):
        return completion.strip()
    last = completion[-1]
    content = last["content"] if isinstance(last, dict) else last.content
    return (content or "").strip()
