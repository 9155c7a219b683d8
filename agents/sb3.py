"""stable-baselines3's PPO, A2C and DQN and sb3-contrib's MaskablePPO, as agents like the others.

Raffin et al. (2021), https://jmlr.org/papers/v22/20-1364.html. The algorithms are the library's own, unchanged; this
file gives them many conversations at once, a log, the choice of the best on validation, and checkpoints. A training
that was interrupted plays the rollout again that it had not wholly learned from, in other conversations: it learns from
as many turns as one that was not, and ends with other weights.

The library's archive ``model.zip`` holds pickles, as its own ``load`` wants them. Nothing here reads those: an agent is
made from its configuration and takes over the weights, so a folder may come from anybody.
"""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ..envs import remake_vec
from ..envs.core.sb3 import SB3VecEnv
from .base import LAST, Budget, Info, Log, LogRow, in_interface, read_description
from .files import atomic_folder, atomic_write, existing_folder
from .training.learner import Learner, Training
from .training.resuming import check_resumable
from .training.selection import Selection

MODEL_FILE, REPLAY_FILE, TRAINING_FILE = "model.zip", "replay.npz", "training.json"
PROGRESS = (
    "num_timesteps", "_n_updates", "_episode_num", "_n_calls", "_current_progress_remaining", "exploration_rate",
)  # fmt: skip
"""What an algorithm counts while it learns, where it has it."""
AT_LEAST_ONE = (
    "env_turns", "num_envs", "num_reports", "n_steps", "batch_size", "n_epochs", "buffer_size", "train_freq",
    "target_update_interval",
)  # fmt: skip
"""Counts of all the algorithms' settings."""
REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
"""The arrays of a replay buffer, a row for each step."""


@dataclasses.dataclass(frozen=True)
class SB3Config:
    """What the four have in common.

    Attributes:
        env_turns: agent turns that one ``learn`` learns from, rounded up to whole rollouts.
        num_envs: conversations at once.
        num_reports: log rows, validations and checkpoints, about evenly spaced.
        deterministic: evaluation takes the most likely reply; False samples one.
        hidden: widths of the hidden layers.
        learning_rate, gamma: as in stable-baselines3, and so are the fields that a subclass adds.
    """

    env_turns: int = 150_000
    num_envs: int = 16
    num_reports: int = 20
    deterministic: bool = True
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    gamma: float = 0.95

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            if getattr(self, name, 1) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        widths = self.hidden
        if not isinstance(widths, (list, tuple)) or not all(type(width) is int and width >= 1 for width in widths):
            raise ValueError(f"hidden must be a list of widths, such as [64, 64], got {widths!r:.80}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("gamma", "gae_lambda", "exploration_fraction", "exploration_final_eps"):
            if not 0 <= getattr(self, name, 0) <= 1:  # which the library takes and learns nonsense with
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the algorithm."""
        ours = {"env_turns", "num_envs", "num_reports", "deterministic", "hidden"}
        theirs = {name: value for name, value in vars(self).items() if name not in ours}
        return {**theirs, "policy_kwargs": {"net_arch": list(self.hidden)}}


@dataclasses.dataclass(frozen=True)
class SB3PPOConfig(SB3Config):
    """PPO's: stable-baselines3's ``PPO`` explains the fields."""

    n_steps: int = 64
    batch_size: int = 512
    n_epochs: int = 10
    gae_lambda: float = 0.95
    ent_coef: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, count in (("batch_size", self.batch_size), ("n_steps times num_envs", self.n_steps * self.num_envs)):
            if count < 2:  # advantages are normalised over them
                raise ValueError(f"{what} must be at least 2, got {count}")


@dataclasses.dataclass(frozen=True)
class SB3A2CConfig(SB3Config):
    """A2C's: stable-baselines3's ``A2C`` explains the fields."""

    env_turns: int = 200_000
    learning_rate: float = 2e-3
    n_steps: int = 8
    gae_lambda: float = 0.95
    ent_coef: float = 0.02
    normalize_advantage: bool = True


@dataclasses.dataclass(frozen=True)
class SB3DQNConfig(SB3Config):
    """DQN's: stable-baselines3's ``DQN`` explains the fields."""

    buffer_size: int = 50_000
    batch_size: int = 128
    learning_starts: int = 5_000
    train_freq: int = 1
    gradient_steps: int = 2
    target_update_interval: int = 2_000
    exploration_fraction: float = 0.5
    exploration_final_eps: float = 0.05


class SB3Agent(Learner):
    """One of stable-baselines3's algorithms; learns from ``num_envs`` conversations at once.

    Making one and learning seed the global random generators, as stable-baselines3 does.

    Attributes:
        model: the library's own object.
    """

    interface = "choices"
    Config = SB3Config
    config: SB3Config
    algorithm: ClassVar[type[BaseAlgorithm]]

    def __init__(self, env: Any, seed: int = 0, config: SB3Config | None = None):
        super().__init__(env, seed, config)
        envs = many_of(env, self.config)
        self.model = self.algorithm(
            "MlpPolicy",
            envs,
            seed=seed,
            device="cpu",
            **self.config.arguments(),  # type: ignore[call-arg]
        )

    def act(self, observation: Any, info: Info) -> int:
        return self.act_batch([observation], [info])[0]

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[int]:
        actions, _ = self.model.predict(
            np.asarray(observations), deterministic=self.config.deterministic, **self._masks(infos)
        )
        return np.asarray(actions).tolist()

    def value_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[float]:
        """What the critic says, or of DQN the largest Q: the discounted return that it expects."""
        policy: Any = self.model.policy
        with torch.no_grad():
            seen, _ = policy.obs_to_tensor(np.asarray(observations))
            values = policy.q_net(seen).max(1).values if hasattr(policy, "q_net") else policy.predict_values(seen)
        return values.flatten().tolist()

    def _masks(self, infos: Sequence[Info]) -> dict[str, Any]:
        return {}

    def train(self, env: Any, training: Training) -> None:
        envs = many_of(env, self.config)
        with training.begin() as (folder, selection):
            state = self._resume(folder, selection, envs) if training.resume else None
            if state is None:
                self.model.set_env(envs)
                self.model.num_timesteps = 0
            self._seed()
            reports = Reports(self, selection, training.log, keep=training.checkpoint is not None)
            reports.take_up(state or {})
            try:
                reports.write_checkpoint()
                left = self.config.env_turns - self.model.num_timesteps
                if left > 0:
                    self.model.learn(left, callback=reports, reset_num_timesteps=state is None)
                if reports.reported < self.model.num_timesteps:
                    reports.report()
            except KeyboardInterrupt:
                reports.stop()
                raise

    def _seed(self) -> None:
        """Seeds what follows: not with the conversations of another run, nor with those it has had before."""
        sequence = np.random.SeedSequence([self.seed, self.budget.env_turns])
        self.model.set_random_seed(int(sequence.generate_state(1)[0]))  # row i of the environment gets i more

    # On disk

    def _save(self, folder: Path) -> None:
        content = io.BytesIO()
        self.model.save(content)
        atomic_write(folder / MODEL_FILE, content.getvalue())

    def _about(self) -> dict[str, Any]:
        return {"actions": list(getattr(self.task, "menu", ()))}

    def _load(self, folder: Path) -> None:
        expected, found = self._about()["actions"], read_description(folder).get("actions")
        if found is not None and found != expected:
            differing = next((one for one in zip(expected, found, strict=False) if one[0] != one[1]), ("none", "more"))
            raise ValueError(
                f"expected an agent in {folder} whose replies are those of the environment, {differing[0]!r} among "
                f"them, got one with {differing[1]!r} in its place"
            )
        self.model.set_parameters(str(folder / MODEL_FILE), device="cpu")  # weights alone, no pickle

    def _resume(self, folder: Path, selection: Selection, envs: VecEnv) -> dict[str, Any] | None:
        last = existing_folder(folder / LAST)
        if last is None:
            return None
        check_resumable(self, last)
        self.model.set_env(envs)
        try:
            self._load(last)
        except RuntimeError as e:
            raise ValueError(f"the checkpoint {last} does not go with these settings: {e!s:.200}") from e
        state = json.loads((last / TRAINING_FILE).read_text())
        vars(self.model).update({name: value for name, value in state["progress"].items() if name in PROGRESS})
        if isinstance(self.model, OffPolicyAlgorithm) and (last / REPLAY_FILE).is_file():
            read_replay(self.model.replay_buffer, last / REPLAY_FILE)
        selection.score, self.budget = state["best"], Budget(**state["budget"])
        return state


class SB3PPOAgent(SB3Agent):
    """Proximal policy optimisation, without masks: what somebody gets who hands the environment to the library."""

    name = "sb3_ppo"
    algorithm = PPO
    Config = SB3PPOConfig


class SB3A2CAgent(SB3Agent):
    """Advantage actor-critic."""

    name = "sb3_a2c"
    algorithm = A2C
    Config = SB3A2CConfig


class SB3DQNAgent(SB3Agent):
    """Deep Q-network."""

    name = "sb3_dqn"
    algorithm = DQN
    Config = SB3DQNConfig


class SB3MaskablePPOAgent(SB3Agent):
    """Proximal policy optimisation that chooses among the replies that make sense now."""

    name = "sb3_maskable_ppo"
    algorithm = MaskablePPO
    Config = SB3PPOConfig

    def _masks(self, infos: Sequence[Info]) -> dict[str, Any]:
        if not all("action_mask" in info for info in infos):
            return {}
        return {"action_masks": np.stack([info["action_mask"] for info in infos]).astype(bool)}


class Reports(BaseCallback):
    """Logs, validates and leaves checkpoints while a model learns, after updates.

    Args:
        agent: whose model learns.
        selection: keeps the best.
        log: is handed the rows.
        keep: whether to leave checkpoints.

    Attributes:
        learned: turns of the model that it has learned from; those of the rollout under way are not among them.
        reported: turns of the model at the last report.
    """

    def __init__(self, agent: SB3Agent, selection: Selection, log: Log, keep: bool):
        super().__init__()
        self.agent, self.selection, self.log, self.keep = agent, selection, log, keep
        self.spacing = agent.config.env_turns / agent.config.num_reports
        self.counted = self.learned = agent.model.num_timesteps
        self.reported = 0
        self.since = time.perf_counter()
        self.episodes: list[tuple[float, int, bool]] = []

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``write_checkpoint`` wrote, or from the start."""
        self.reported = state.get("reported", self.counted)
        self.episodes = [tuple(episode) for episode in state.get("episodes", ())]

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                success = info.get("is_success", info.get("success", False))
                self.episodes.append((info["episode"]["r"], info["episode"]["l"], bool(success)))
        return True

    def _on_rollout_start(self) -> None:  # the update from the rollout before is over
        self.learned = self.agent.model.num_timesteps
        if self.learned // self.spacing > self.reported // self.spacing:
            self.report()

    def _on_training_end(self) -> None:
        self.learned = self.agent.model.num_timesteps

    def report(self) -> None:
        """One row of the log; its rollout is what was played since the last one."""
        self._count()
        row: LogRow = {"env_turns": self.agent.budget.env_turns, "seconds": self.agent.budget.seconds}
        row["episodes"] = len(self.episodes)
        row["progress"] = min(1.0, self.agent.model.num_timesteps / self.agent.config.env_turns)
        for position, name in enumerate(("return", "turns", "success")):
            values = [episode[position] for episode in self.episodes]
            row[name] = sum(values) / len(values) if values else float("nan")
        try:
            row.update(self.selection.keep_best())
        finally:
            self.since = time.perf_counter()  # validation is not learning
        self.reported, self.episodes = self.agent.model.num_timesteps, []
        self.write_checkpoint()
        self.log(row)
        self.since = time.perf_counter()  # nor is writing

    def stop(self) -> None:
        """Leaves a checkpoint from which what was not learned from yet is played again."""
        self._count()
        self.agent.model.num_timesteps = self.counted = self.learned
        self.write_checkpoint()

    def write_checkpoint(self) -> None:
        """Writes the agent ``last`` and what resuming needs beside it."""
        self._count()
        if not self.keep:
            return
        model = self.agent.model
        with atomic_folder(self.selection.folder / LAST) as draft:
            self.agent.save(draft)
            if isinstance(model, OffPolicyAlgorithm):
                write_replay(model.replay_buffer, draft / REPLAY_FILE)
            state = {
                "best": self.selection.score,
                "progress": {name: vars(model)[name] for name in PROGRESS if name in vars(model)},
                "budget": dataclasses.asdict(self.agent.budget),
                "reported": self.reported,
                "episodes": self.episodes,
            }
            atomic_write(draft / TRAINING_FILE, json.dumps(state) + "\n")

    def _count(self) -> None:
        """Brings the budget up to date."""
        budget, now = self.agent.budget, time.perf_counter()
        budget.env_turns += self.agent.model.num_timesteps - self.counted
        budget.seconds += now - self.since
        self.counted, self.since = self.agent.model.num_timesteps, now


def write_replay(buffer: Any, path: Path) -> None:
    """Writes what a replay buffer holds as arrays; the library's own file would be a pickle."""
    rows = buffer.size()
    np.savez(path, position=buffer.pos, **{name: getattr(buffer, name)[:rows] for name in REPLAYED})


def read_replay(buffer: Any, path: Path) -> None:
    """Gives a replay buffer what :func:`write_replay` wrote.

    Raises:
        ValueError: for arrays of another shape than the buffer's, or a file that holds objects.
    """
    with np.load(path, allow_pickle=False) as found:
        arrays, position = {name: found[name] for name in REPLAYED}, int(found["position"])
    rows = len(arrays["rewards"])
    for name, array in arrays.items():
        own = getattr(buffer, name)
        if array.shape != (rows, *own.shape[1:]) or rows > len(own):
            raise ValueError(f"expected {name} of at most {own.shape} in {path}, got {array.shape}")
        own[:rows] = array
    buffer.pos, buffer.full = position % len(buffer.rewards), rows == len(buffer.rewards)


def many_of(env: Any, config: SB3Config) -> VecEnv:
    """``config.num_envs`` conversations that step with one call; an environment that is none of ours stays one."""
    single = in_interface(env, "choices")
    if not hasattr(single.unwrapped, "interface"):
        return DummyVecEnv([lambda: Monitor(single)])
    return SB3VecEnv(remake_vec(single, config.num_envs, interface="choices", autoreset_mode="Disabled"))
