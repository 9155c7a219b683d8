"""The native vector environment: many conversations that step with one call and are scored in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from ...rewards import RewardError, resolve
from ...rewards.transcript import Message, Transcript
from ..speakers import Steps, answered_together
from .conversation import Conversation, conversation_text, spoken_text
from .partners import SpeakingPartner
from .task import PartnerFactory, Task
from .text_env import allowed_of, check_choice, check_options, check_utterance, spaces_of, summary_array

OF_A_ROW = ("action_masks", "messages", "partner", "render", "transcript")
OF_ALL_ROWS = ("interface", "max_turns", "render_mode", "reward", "split", "task")
"""What :meth:`TextVectorEnv.call` tells of each row."""


class TextVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """N conversations of one task, stepped by one call.

    Row i with seed s plays exactly what the single environment with seed s plays.

    Observations: (N, D) int64 array in the choices interface, tuple of N str in the text interface.
    Actions: N ints, or N str.
    Autoreset: NEXT_STEP (a row that has ended starts anew in the next step, whose action for it is ignored) or DISABLED
        (the caller resets rows with ``reset(options={"reset_mask": mask})``; rows that have ended take ``None`` and
        stay as they are).
    Infos: what the single environments say, in gymnasium's vector convention: a dict of arrays with a ``_key`` mask for
        each. In the choices interface "action_mask" is (N, K). ``transcripts``, ``messages(i)``, ``successes`` and
        ``action_masks()`` give direct access.

    Args:
        task, interface, reward, split, max_turns, prompt, partner_factory: as for :class:`TextEnv`.
        num_envs: N, at least 1.
        autoreset_mode: NEXT_STEP or DISABLED.
        render_mode: None, "ansi" or "rgb_array": ``render`` returns what a single environment does, one for each row.
        max_episode_steps: cuts rows after so many turns, as gymnasium's ``TimeLimit`` around a single environment: from
            outside, so the reward does not take that turn for the last, as it does with ``max_turns``.

    Raises:
        ValueError: for a wrong option, or a limit below one.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        interface: str = "text",
        reward: Any = "bounded",
        split: str = "train",
        max_turns: int = 20,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        prompt: str | None = None,
        partner_factory: PartnerFactory | None = None,
        max_episode_steps: int | None = None,
    ):
        check_options(task, interface, split, max_turns, render_mode, ("ansi", "rgb_array"), prompt)
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be an int of at least 1, got {num_envs!r}")
        if autoreset_mode == AutoresetMode.SAME_STEP:
            raise ValueError("autoreset_mode must be NextStep or Disabled, got SameStep")
        self.task, self.interface, self.split, self.max_turns = task, interface, split, max_turns
        self.num_envs, self.render_mode = num_envs, render_mode
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
        self._limit = max_turns if max_episode_steps is None else max_episode_steps
        self.autoreset_mode = autoreset_mode  # where torchrl looks; gymnasium's own vectors have it in both places
        self.metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1, "autoreset_mode": autoreset_mode}
        self._rewards: list[list[float]] = [[] for _ in range(num_envs)]
        self.reward = resolve(reward)
        self.single_observation_space, self.single_action_space = spaces_of(task, interface)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.conversations = [
            Conversation(task, self.reward, split, max_turns, prompt, partner_factory) for _ in range(num_envs)
        ]
        self._generators: list[np.random.Generator] = []
        self._over = np.zeros(num_envs, dtype=bool)
        self._in_words = interface == "text"
        self._sizes = np.array(task.summary_sizes, dtype=np.int64)
        self._asks = isinstance(partner_factory, SpeakingPartner)  # one speaker, which all rows ask together

    # Reset

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts all rows, or those of ``options["reset_mask"]``.

        Args:
            seed: row i gets ``seed + i`` of an int, or ``seed[i]`` of a sequence; None goes on with its stream.
            options: "goal_id", a goal id or None for each row, and "reset_mask", (N,) bool.
        """
        mask, goals = self._reset_options(options)
        self._seed(seed, mask)
        rows = np.flatnonzero(mask).tolist()
        if self._asks:
            answered_together([self._beginning(row, goals[row]) for row in rows])
        else:
            for row in rows:
                self._begin(row, goals[row])
        self._over[mask] = False
        return self._observations(), self._infos()

    def _begin(self, row: int, goal_id: str | None) -> None:
        conversation = self.conversations[row]
        conversation.begin(self._generators[row], goal_id)
        self._rewards[row] = []

    def _beginning(self, row: int, goal_id: str | None) -> Steps[None]:
        """The steps of ``_begin``."""
        self._rewards[row] = []
        return self.conversations[row].beginning(self._generators[row], goal_id)

    def _reset_options(self, options: dict[str, Any] | None) -> tuple[np.ndarray, Sequence[str | None]]:
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        goals = options.pop("task", None)  # the option's old name, which goes with the next version
        goals = options.pop("goal_id", goals) or [None] * self.num_envs
        if options:
            unknown = ", ".join(map(repr, options))
            raise ValueError(f"reset understands the options 'goal_id' and 'reset_mask', got {unknown}")
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r:.80}")
        if isinstance(goals, str) or len(goals) != self.num_envs:
            raise ValueError(f"goal_id must hold an id or None for each of {self.num_envs} rows, got {goals!r:.80}")
        return mask, goals

    def _seed(self, seed: int | Sequence[int | None] | None, mask: np.ndarray) -> None:
        if seed is None and not self._generators:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        if seed is None:
            return
        seeds = self._row_seeds(seed)
        if not self._generators:
            self._generators = [np_random(one)[0] for one in seeds]
            return
        for row in np.flatnonzero(mask).tolist():
            if seeds[row] is not None:
                self._generators[row] = np_random(seeds[row])[0]

    def _row_seeds(self, seed: int | Sequence[int | None]) -> list[int | None]:
        seeds = [seed + row for row in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be an int or {self.num_envs} of them, got {len(seeds)}")
        return seeds  # type: ignore[return-value]

    def begin(self, row: int, seed: int | None = None, goal_id: str | None = None) -> None:
        """Starts one row, as ``reset`` does; None goes on with its stream, and draws the goal."""
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[row] = True
        self._seed([seed if number == row else None for number in range(self.num_envs)], mask)
        self._begin(row, goal_id)
        self._over[row] = False

    # Step

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._check_actions(actions)
        spoke = self._say(actions.tolist() if isinstance(actions, np.ndarray) else actions)
        rewards, terminated, truncated, terms = self._score(spoke)
        infos = self._infos()
        if spoke:
            infos["reward_terms"], infos["_reward_terms"] = self._columns(spoke, terms)
        return self._observations(), rewards, terminated, truncated, infos

    def play(self, actions: Mapping[int, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Plays a turn of some rows alone; the others wait. They are scored in one batch, and no observation is made.

        Args:
            actions: of rows that go on.

        Returns:
            Rewards, terminated and truncated of these rows, in the order of ``actions``.

        Raises:
            ResetNeeded: for a row that is over.
        """
        if not self._generators:
            raise gym.error.ResetNeeded("call reset() before play()")
        turns = []
        for row, action in actions.items():
            if self._over[row]:
                raise gym.error.ResetNeeded(f"row {row} has ended: begin it anew")
            if self._asks:
                turns.append(self._acting(row, action))
            else:
                self._act(row, action)
        answered_together(turns)
        rows = list(actions)
        rewards, terminated, truncated, _ = self._score(rows)
        return rewards[rows], terminated[rows], truncated[rows]

    def _check_actions(self, actions: Any) -> None:
        if not self._generators:
            raise gym.error.ResetNeeded("call reset() before step()")
        if isinstance(actions, str):
            raise gym.error.InvalidAction(
                f"actions must hold one for each of {self.num_envs} rows, got {actions!r:.80}"
            )
        if len(actions) != self.num_envs:
            raise gym.error.InvalidAction(f"actions must hold one for each of {self.num_envs} rows, got {len(actions)}")

    def _stay_over(self, row: int, action: Any, restarts: bool) -> None:
        """What a step does to a row that has ended."""
        if restarts:
            self._begin(row, None)
        elif action is not None:
            raise gym.error.ResetNeeded(f"row {row} has ended: reset it, or give it None")

    def _say(self, actions: Sequence[Any]) -> list[int]:
        """Plays the actions; the rows in which the agent spoke."""
        restarts = self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        over = self._over.tolist()
        spoke, turns = [], []
        for row, action in enumerate(actions):
            if over[row]:
                if self._asks and restarts:
                    turns.append(self._beginning(row, None))
                else:
                    self._stay_over(row, action, restarts)
                continue
            if self._asks:
                turns.append(self._acting(row, action))
            else:
                self._act(row, action)
            spoke.append(row)
        answered_together(turns)
        if restarts:
            self._over[:] = False
        return spoke

    def check_action(self, action: Any) -> Any:
        """The action of one row, as a str or an int.

        Raises:
            gymnasium.error.InvalidAction: for anything else.
        """
        return check_utterance(action) if self._in_words else check_choice(action, len(self.task.menu))

    def _act(self, row: int, action: Any) -> None:
        act = self.conversations[row].say if self._in_words else self.conversations[row].choose
        act(self.check_action(action))

    def _acting(self, row: int, action: Any) -> Steps[None]:
        """The steps of ``_act``; a wrong action is told before any is taken."""
        acting = self.conversations[row].saying if self._in_words else self.conversations[row].choosing
        return acting(self.check_action(action))

    def _score(self, spoke: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, float]]]:
        """Rewards, terminated and truncated of all rows, and the reward terms of those which spoke."""
        conversations = self.conversations
        transcripts = [conversations[row].transcript for row in spoke]
        terms = self._terms(spoke, transcripts)
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        rewards[spoke] = [sum(parts.values()) for parts in terms]
        if self.render_mode is not None:
            for row in spoke:
                self._rewards[row].append(float(rewards[row]))
        limit = self._limit
        ended = [
            row
            for row, transcript in zip(spoke, transcripts, strict=True)
            if transcript.ended or transcript.turn >= limit
        ]
        terminated = np.zeros(self.num_envs, dtype=bool)
        terminated[ended] = [conversations[row].terminated for row in ended]
        truncated = np.zeros(self.num_envs, dtype=bool)
        truncated[ended] = ~terminated[ended]
        self._over[ended] = True
        return rewards, terminated, truncated, terms

    def _terms(self, spoke: list[int], transcripts: Sequence[Transcript]) -> list[dict[str, float]]:
        """The reward's terms for each of some rows.

        Raises:
            RewardError: with the row, its goal and its turn; with all rows, where the reward takes them in one batch.
        """
        place, row = None, None
        try:
            if self.reward.has_batch:
                return self.reward.batch_terms(transcripts)
            terms = []
            for place, transcript in enumerate(transcripts):  # noqa: B007
                terms.append(self.reward.terms(transcript))
            return terms
        except RewardError as e:
            where = f"one of the rows {', '.join(map(str, spoke))}"
            if place is not None:
                row = spoke[place]
                where = f"row {row} (goal {self.conversations[row].goal_id!r}), turn {transcripts[place].turn}"
            raise RewardError(f"{where}: {e}", row) from (e.__cause__ or e)

    # What the agent sees

    def _observations(self) -> Any:
        if self._in_words:
            return tuple([conversation_text(conversation.transcript) for conversation in self.conversations])
        summaries = [conversation.partner.summary() for conversation in self.conversations]  # type: ignore[union-attr]
        try:
            found = np.array(summaries)
        except ValueError:  # of different lengths
            found = np.empty(0)
        whole = found.dtype.kind in "biu" and found.shape == self.observation_space.shape
        if not whole or (found < 0).any() or (found >= self._sizes).any():
            for conversation, summary in zip(self.conversations, summaries, strict=True):
                summary_array(conversation.partner, summary, self.task.summary_sizes)  # type: ignore[arg-type]
        return found.astype(np.int64, copy=False)

    def _infos(self) -> dict[str, Any]:
        everywhere = np.ones(self.num_envs, dtype=bool)
        goal_ids = np.array(self.goal_ids, dtype=object)
        infos: dict[str, Any] = {
            "success": self.successes,
            "turn": np.array([conversation.transcript.turn for conversation in self.conversations]),
            "goal_id": goal_ids,
            "task": goal_ids.copy(),  # the former name, which goes with the next version
        }
        if self._in_words:
            texts = np.empty(self.num_envs, dtype=object)
            for row in range(self.num_envs):
                texts[row] = self.messages(row)
            infos["messages"] = texts
            infos["clipped"] = np.array([conversation.clipped for conversation in self.conversations])
        else:
            infos["action_mask"] = self._masks().copy()
        infos |= {f"_{name}": everywhere.copy() for name in infos}
        for row, conversation in enumerate(self.conversations):
            if conversation.partner is not None:
                infos = self._add_info(infos, conversation.partner.facts(), row)
        if self.conversations[0].partner_factory is not None:
            infos.update(self._verdicts())
        return infos

    def _verdicts(self) -> dict[str, np.ndarray]:
        """Audit and blame of the rows that have ended; nothing while there are none."""
        found = {row: verdict for row, one in enumerate(self.conversations) if (verdict := one.verdict()) is not None}
        if not found:
            return {}
        columns = {name: np.empty(self.num_envs, dtype=object) for name in ("audit", "blame")}
        present = np.zeros(self.num_envs, dtype=bool)
        present[list(found)] = True
        for row, verdict in found.items():
            for name, value in verdict.in_info().items():
                columns[name][row] = value
        return {**columns, **{f"_{name}": present.copy() for name in columns}}

    def _columns(self, rows: list[int], terms: Sequence[dict[str, float]]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The reward terms of some rows as (N,) arrays by name, 0 elsewhere, and which rows those are."""
        columns = {name: np.zeros(self.num_envs) for name in self.reward.names}
        for name, column in columns.items():
            column[rows] = [parts[name] for parts in terms]
        present = np.zeros(self.num_envs, dtype=bool)
        present[rows] = True
        return columns, present

    def render(self) -> tuple[Any, ...] | None:
        """What a single environment's ``render`` returns, for each row."""
        if self.render_mode == "ansi":
            return tuple([spoken_text(conversation.transcript) for conversation in self.conversations])
        if self.render_mode == "rgb_array":
            return tuple([one.picture(rewards) for one, rewards in zip(self.conversations, self._rewards, strict=True)])
        return None

    # Direct access

    @property
    def transcripts(self) -> list[Transcript]:
        """The conversation of each row, as rewards see it."""
        return [conversation.transcript for conversation in self.conversations]

    @property
    def successes(self) -> np.ndarray:
        """(N,) bool, the ground truth of each row."""
        return np.array([conversation.transcript.success for conversation in self.conversations], dtype=bool)

    @property
    def goal_ids(self) -> list[str]:
        """The goal id of each row."""
        return [conversation.goal_id for conversation in self.conversations]

    @property
    def tasks(self) -> list[str]:
        """The former name of ``goal_ids``; it goes with the next version."""
        return self.goal_ids

    def messages(self, row: int) -> list[Message]:
        """The conversation of one row, fresh objects on every call."""
        return self.conversations[row].transcript.messages

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What an attribute of each row's single environment is, or a method of it gives; as gymnasium's vectors do.

        Raises:
            AttributeError: for anything but :data:`OF_A_ROW` and :data:`OF_ALL_ROWS`.
        """
        if name in OF_ALL_ROWS:
            return (getattr(self, name),) * self.num_envs
        if name in ("partner", "transcript"):
            return tuple([getattr(conversation, name) for conversation in self.conversations])
        if name == "messages":
            return tuple([self.messages(row) for row in range(self.num_envs)])
        if name == "action_masks":
            return tuple(self.action_masks(*args, **kwargs))
        if name == "render":
            return self.render(*args, **kwargs) or (None,) * self.num_envs
        raise AttributeError(f"a row has {', '.join((*OF_A_ROW, *OF_ALL_ROWS))}, got {name!r}")

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The same for an attribute."""
        return self.call(name)

    def action_masks(self) -> np.ndarray:
        """(N, K) bool: which replies of the menu make sense now."""
        return self._masks().astype(bool)

    def _masks(self) -> np.ndarray:
        count = len(self.task.menu)
        allowed = b"".join([allowed_of(conversation.partner, count) for conversation in self.conversations])  # type: ignore[arg-type]
        return np.frombuffer(allowed, dtype=np.int8).reshape(self.num_envs, -1)
