"""The environment: one task played against one partner, in words or from a menu of choices.

``tokens.py`` shows the same episode as token ids, and ``vector.py`` plays many at once.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ...rewards import resolve
from ...rewards.transcript import Message, Transcript
from . import text_arrays as _text_arrays  # lets gymnasium share and flatten utterances  # noqa: F401
from .conversation import Conversation, spoken_text
from .limits import OwnLimitSpec
from .picture import check_pillow
from .spaces import Utterance
from .task import Partner, PartnerFactory, Task, check_split

MAX_CONVERSATION_CHARS = 100_000
"""Of an observation in words; so many more for each half of it that the task's longest item has."""


class TextEnv(gym.Env[Any, Any]):
    """One task played against one partner, in words or from the task's menu.

    Observation: in words, the conversation so far, one ``role: text`` line per message (str); from the menu, what the
        agent has heard so far (int64 array, ``MultiDiscrete``).
    Action: the agent's next utterance (any str; cut at ``task.max_reply_chars``), or the number of a reply.
    Reward: ``reward`` on every agent turn; its terms are in ``info["reward_terms"]`` and add up to it.
    Episode end: terminates when the conversation is over; truncates after ``max_turns`` agent turns, and the reward
        knows the last one; never both. ``gym.make(id, max_episode_steps=N)`` puts gymnasium's ``TimeLimit`` around it,
        as around any environment: it cuts a conversation that lasts so long after N steps, from outside, with the
        reward of one that goes on, and sets "truncated" beside "terminated" where the N-th step ends it.
    Info: "success" (bool, ground truth), "turn" (int), "goal_id" (str; replay the goal with
        ``reset(options={"goal_id": id})``), in words "messages" and "clipped", from the menu "action_mask". The goal's
        id stands under "task" as well, its name before version 0.1, which goes with the next version. With
        ``partner=``, at the end of a conversation: "audit", what was wrong with the partner's turns (a list of dicts),
        and "blame", whose fault a failure is ("agent", "partner" or "environment"; None for a success).

    Args:
        task: what the conversation is about.
        interface: "text" or "choices".
        reward: anything :func:`dialogym.rewards.resolve` takes.
        split: "train", "validation" or "test", of goals and wordings.
        max_turns: agent turns before truncation.
        render_mode: None, "ansi" (render returns the conversation), "human" (render prints it after each step) or
            "rgb_array" (render returns a picture of it, (960, 720, 3) uint8; needs the extra ``render``).
        prompt: instructions for the agent in place of the task's, at the head of the system message.
        partner_factory: makes each conversation's partner in place of ``task.partner``; see :data:`PartnerFactory`.

    Raises:
        ValueError: for an unknown interface, split or render mode, or a limit below one.
        TypeError: for a prompt that is no str.
        gymnasium.error.InvalidAction: from ``step``, for an action of the wrong type or out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 1}  # noqa: RUF012 (gymnasium's name)

    def __init__(
        self,
        task: Task,
        interface: str = "text",
        reward: Any = "bounded",
        split: str = "train",
        max_turns: int = 20,
        render_mode: str | None = None,
        prompt: str | None = None,
        partner_factory: PartnerFactory | None = None,
    ):
        check_options(task, interface, split, max_turns, render_mode, self.metadata["render_modes"], prompt)
        self.task, self.interface, self.split = task, interface, split
        self.max_turns, self.render_mode = max_turns, render_mode
        self.reward = resolve(reward)
        self.conversation = Conversation(task, self.reward, split, max_turns, prompt, partner_factory)
        self.observation_space, self.action_space = spaces_of(task, interface)
        self._in_words = interface == "text"
        self._rendered = ""
        self._rewards: list[float] = []
        self._spec: EnvSpec | None = None

    @property
    def step_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self.max_turns

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """What ``gym.make`` made it from."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # type: ignore[override]
        self._spec = None if spec is None else OwnLimitSpec.of(spec, self.step_limit)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.conversation.begin(self.np_random, goal_option(options))
        self._rendered = ""
        self._rewards = []
        if self.render_mode == "human":
            self._print_new()
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        conversation = self.conversation
        partner = conversation.partner
        if partner is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        if conversation.transcript.ended:
            raise gym.error.ResetNeeded("the conversation has ended: call reset() to start another")
        if self._in_words:
            conversation.say(check_utterance(action))
        else:
            conversation.choose(check_choice(action, len(self.task.menu)))
        transcript = conversation.transcript
        terms = self.reward.terms(transcript)
        info = self._info()
        info["reward_terms"] = terms
        reward = float(sum(terms.values()))
        self._rewards.append(reward)
        if self.render_mode == "human":
            self._print_new()
        terminated = partner.over
        return self._observation(), reward, terminated, transcript.ended and not terminated, info

    # What the agent sees

    def _observation(self) -> Any:
        conversation = self.conversation
        if self._in_words:
            return conversation.transcript.written
        partner = conversation.partner
        assert partner is not None
        return summary_array(partner, partner.summary(), self.task.summary_sizes)

    def _info(self) -> dict[str, Any]:
        conversation = self.conversation
        transcript, partner = conversation.transcript, conversation.partner
        assert partner is not None
        info = conversation.facts()
        if self._in_words:
            info["messages"] = transcript.messages
            info["clipped"] = conversation.clipped
        else:
            info["action_mask"] = mask_array(allowed_of(partner, len(self.task.menu)))
        if conversation.partner_factory is not None and transcript.ended:
            verdict = conversation.verdict()
            if verdict is not None:
                info.update(verdict.in_info())
        return info

    def action_masks(self) -> np.ndarray:
        """(K,) bool: which replies of the menu make sense now; the name sb3-contrib's MaskablePPO looks for."""
        if self._in_words:
            raise AttributeError("action_masks needs a menu: use interface='choices'")
        assert self.conversation.partner is not None
        return mask_array(self.conversation.partner.allowed()).astype(bool)

    # For evaluation and for people

    @property
    def transcript(self) -> Transcript:
        """The conversation as rewards see it."""
        return self.conversation.transcript

    @property
    def partner(self) -> Partner | None:
        """The other side of the current conversation; ground truth, not for agents."""
        return self.conversation.partner

    @property
    def messages(self) -> list[Message]:
        """The conversation so far, fresh objects on every read."""
        return self.conversation.transcript.messages

    def render(self) -> str | np.ndarray | None:  # type: ignore[override]
        if self.render_mode == "ansi":
            return spoken_text(self.conversation.transcript)
        if self.render_mode == "human":
            self._print_new()
        if self.render_mode == "rgb_array":
            return self.conversation.picture(self._rewards, self._draft())
        return None

    def _draft(self) -> str | None:
        """What the agent has said of a reply that is not finished."""
        return None

    def _print_new(self) -> None:
        text = spoken_text(self.conversation.transcript)
        new = text[len(self._rendered) :] if text.startswith(self._rendered) else text
        if new:
            print(new, end="", flush=True)
        self._rendered = text


def check_options(
    task: Task,
    interface: str,
    split: str,
    max_turns: int,
    render_mode: str | None,
    modes: Sequence[str],
    prompt: str | None = None,
) -> None:
    """Raises ValueError or TypeError for the first option that no environment of ``task`` can have."""
    if interface not in ("text", "choices"):
        raise ValueError(f"interface must be one of choices, text, tokens, got {interface!r}")
    if interface == "choices" and not task.menu:
        raise ValueError(f"{task.name} has no menu of replies: interface must be 'text' or 'tokens', got 'choices'")
    check_split(split)
    if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
        raise ValueError(f"max_turns must be an int of at least 1, got {max_turns!r}")
    if render_mode not in (None, *modes):
        raise ValueError(f"render_mode must be None or one of {', '.join(modes)}, got {render_mode!r}")
    if render_mode == "rgb_array":
        check_pillow()
    if prompt is not None and not isinstance(prompt, str):
        raise TypeError(f"prompt must be a str, the instructions for the agent, or None, got {prompt!r:.80}")


def spaces_of(task: Task, interface: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Observation and action space of a task in the text or the choices interface."""
    if interface == "choices":
        return gym.spaces.MultiDiscrete(list(task.summary_sizes)), gym.spaces.Discrete(len(task.menu))
    return (
        Utterance(MAX_CONVERSATION_CHARS * (1 + 2 * task.longest_item // MAX_CONVERSATION_CHARS)),
        Utterance(10 * task.max_reply_chars, task.examples),
    )


def goal_option(options: Mapping[str, Any] | None) -> str | None:
    """The goal id that ``reset`` was asked for, if any; a misspelt option is an error."""
    if not options:
        return None
    unknown = sorted(set(options) - {"goal_id", "task"})  # "task" goes with the next version
    if unknown:
        raise ValueError(f"reset understands the option 'goal_id', got {', '.join(map(repr, unknown))}")
    return options["goal_id"] if "goal_id" in options else options["task"]


def allowed_of(partner: Partner, num_choices: int) -> bytes:
    """What :meth:`Partner.allowed` says.

    Raises:
        TypeError: for anything but bytes, one for each of ``num_choices`` replies.
    """
    allowed = partner.allowed()
    if not isinstance(allowed, bytes) or len(allowed) != num_choices:
        raise TypeError(
            f"{type(partner).__name__}.allowed must return bytes, a 1 or a 0 for each of the {num_choices} replies of "
            f"the menu, such as bytes([1, 0]), got {allowed!r:.80}"
        )
    return allowed


def summary_array(partner: Partner, summary: Any, sizes: Sequence[int]) -> np.ndarray:
    """(D,) int64, a fresh array of what :meth:`Partner.summary` says.

    Raises:
        ValueError: for anything but a whole number below each of the task's ``sizes``, and at least 0.
    """
    try:
        return _summary_array(tuple(map(operator.index, summary)), tuple(sizes)).copy()
    except (TypeError, ValueError) as e:
        raise ValueError(
            f"{type(partner).__name__}.summary must return a whole number for each of the task's summary_sizes, "
            f"at least 0 and below its size in {tuple(sizes)}, got {summary!r:.80}"
        ) from e


def mask_array(allowed: bytes) -> np.ndarray:
    """(K,) int8, a fresh array of what :meth:`Partner.allowed` says."""
    return _mask_array(allowed).copy()


# The same few hundred summaries and masks come again and again, and copying an array is cheaper than making one.


@functools.lru_cache(maxsize=4096)
def _summary_array(summary: tuple[int, ...], sizes: tuple[int, ...]) -> np.ndarray:
    if len(summary) != len(sizes) or not all(0 <= number < size for number, size in zip(summary, sizes, strict=True)):
        raise ValueError(summary)
    return np.array(summary, dtype=np.int64)


@functools.lru_cache(maxsize=4096)
def _mask_array(allowed: bytes) -> np.ndarray:
    return np.frombuffer(allowed, dtype=np.int8)


def check_utterance(action: Any) -> str:
    """``action`` when it is a str; any text is legal."""
    if not isinstance(action, str):
        raise gym.error.InvalidAction(f"action must be a str, the agent's utterance, got {action!r:.80}")
    return action


def check_choice(action: Any, num_choices: int) -> int:
    """``action`` as an int in [0, num_choices)."""
    if type(action) is not int:
        if isinstance(action, np.ndarray) and action.ndim == 0:
            action = action[()]
        if not isinstance(action, (int, np.integer)) or isinstance(action, bool):
            raise gym.error.InvalidAction(f"action must be an int in [0, {num_choices}), got {action!r:.80}")
        action = int(action)
    if not 0 <= action < num_choices:
        raise gym.error.InvalidAction(f"action must be an int in [0, {num_choices}), got {action}")
    return action
