"""Does anybody's agent, with its own defaults, learn what ``gym.make`` returns?

    python benchmarks/off_the_shelf.py            # 30 trainings, one to three minutes each; goes on where it stopped
    python benchmarks/off_the_shelf.py --fresh    # from the start, after the environments changed
    python benchmarks/off_the_shelf.py --quick    # to see that it runs

stable-baselines3's PPO, A2C and DQN and sb3-contrib's MaskablePPO get nothing but
``ALG("MlpPolicy", gym.make(ID), seed=SEED).learn(100_000)``; ``cleanrl_ppo``, below, is PPO as single-file
implementations write it (Huang et al., 2022, https://jmlr.org/papers/v23/21-1342.html), which never heard of
conversations. All play ``TextDialog-v0``, PPO every other id with a menu. Each is scored with its most likely reply
on frozen test goals, between the floors and the task's rule. Never tune on these goals: ``--split validation`` has
others, ``--reward`` tries another reward.

Each training leaves its record in ``runs/off_the_shelf``. The table is printed; where everything was run it goes to
``docs/off_the_shelf``, and into the README between the comments that name this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from torch import Tensor, nn
from torch.distributions import Categorical

from dialogym.agents import make_agent
from dialogym.agents.files import atomic_write
from dialogym.evaluation.compare.provenance import provenance
from dialogym.evaluation.score import frozen_goals, score

FIRST = "TextDialog-v0"
OTHERS = ("TextChat-v0", "TextClassification-v0", "TextNegotiation-v0", "TextSummary-v0", "TextTwentyQuestions-v0")
BASELINES = ("do_nothing", "random", "rule")
LIBRARY = {"PPO": PPO, "MaskablePPO": MaskablePPO, "DQN": DQN, "A2C": A2C}
LEARNERS = (*LIBRARY, "cleanrl_ppo")
ENV_TURNS, NUM_GOALS, NUM_SEEDS = 100_000, 500, 3
ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- written by benchmarks/off_the_shelf.py -->\n", "<!-- until here -->\n"


class Learned(Protocol):
    """What a training leaves: a policy that chooses a reply for each of N observations."""

    interface: str

    def act_batch(self, observations: Sequence[Any], infos: Sequence[dict[str, Any]]) -> list[int]: ...


class FromLibrary:
    """A model of stable-baselines3 as an agent that takes its most likely reply."""

    interface = "choices"

    def __init__(self, model: Any):
        self.model = model

    def act_batch(self, observations: Sequence[Any], infos: Sequence[dict[str, Any]]) -> list[int]:
        masks = {}
        if isinstance(self.model, MaskablePPO):
            masks = {"action_masks": np.stack([info["action_mask"] for info in infos]).astype(bool)}
        actions, _ = self.model.predict(np.asarray(observations), deterministic=True, **masks)
        return np.asarray(actions).tolist()


def train_library(name: str, env_id: str, seed: int, env_turns: int, **options: Any) -> Learned:
    """Two lines of code that every user of the library would write."""
    model = LIBRARY[name]("MlpPolicy", gym.make(f"dialogym:{env_id}", **options), seed=seed, device="cpu")
    model.learn(env_turns)
    return FromLibrary(model)


# PPO in one file


class ActorCritic(nn.Module):
    """Two networks of two tanh layers over the observation as floats."""

    interface = "choices"

    def __init__(self, num_inputs: int, num_actions: int):
        super().__init__()
        self.critic = nn.Sequential(*_hidden(num_inputs), _layer(64, 1, 1.0))
        self.actor = nn.Sequential(*_hidden(num_inputs), _layer(64, num_actions, 0.01))

    def policy(self, observations: Tensor) -> Categorical:
        """Of N observations (N, D)."""
        return Categorical(logits=self.actor(observations))

    def value(self, observations: Tensor) -> Tensor:
        """(N,) of observations (N, D)."""
        return self.critic(observations).squeeze(-1)

    @torch.no_grad()
    def act_batch(self, observations: Sequence[Any], infos: Sequence[dict[str, Any]]) -> list[int]:
        return self.actor(floats(np.asarray(observations))).argmax(-1).tolist()


def _layer(num_inputs: int, num_outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(num_inputs, num_outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _hidden(num_inputs: int) -> list[nn.Module]:
    gain = 2**0.5
    return [_layer(num_inputs, 64, gain), nn.Tanh(), _layer(64, 64, gain), nn.Tanh()]


def floats(observations: np.ndarray) -> Tensor:
    return torch.as_tensor(observations, dtype=torch.float32)


class Rollout(NamedTuple):
    """T steps of N environments; all but ``observations`` (T, N, D) are (T, N)."""

    observations: Tensor
    actions: Tensor
    logprobs: Tensor
    values: Tensor
    rewards: Tensor
    starts: Tensor
    """1 where the observation begins a conversation."""


def cleanrl_ppo(
    env_id: str, seed: int, env_turns: int, num_envs: int = 4, num_steps: int = 128, **options: Any
) -> Learned:
    """PPO with the settings of CleanRL's ``ppo.py``: 128 steps of 4 environments, a rate of 2.5e-4 that falls to
    0, four minibatches, four epochs, entropy bonus 0.01. Its own number of turns is 500,000.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    make = [lambda: gym.make(f"dialogym:{env_id}", **options)] * num_envs
    envs = gym.vector.SyncVectorEnv(make, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    policy = ActorCritic(*envs.single_observation_space.shape, int(envs.single_action_space.n))  # type: ignore[misc,attr-defined]
    optimizer = torch.optim.Adam(policy.parameters(), lr=2.5e-4, eps=1e-5)
    num_updates = max(1, env_turns // (num_envs * num_steps))
    observations, starts = floats(envs.reset(seed=seed)[0]), torch.zeros(num_envs)
    for update in range(num_updates):
        optimizer.param_groups[0]["lr"] = 2.5e-4 * (1 - update / num_updates)
        rollout, observations, starts = collect(envs, policy, observations, starts, num_steps)
        with torch.no_grad():
            advantages = gae(rollout, policy.value(observations), starts)
        learn(policy, optimizer, rollout, advantages, rng)
    envs.close()
    return policy


@torch.no_grad()
def collect(
    envs: gym.vector.VectorEnv[Any, Any, Any], policy: ActorCritic, observations: Tensor, starts: Tensor, num_steps: int
) -> tuple[Rollout, Tensor, Tensor]:
    """``num_steps`` of every environment, and where they stand then."""
    steps = []
    for _ in range(num_steps):
        distribution = policy.policy(observations)
        actions = distribution.sample()
        found, rewards, terminated, truncated, _ = envs.step(actions.numpy())
        values, logprobs = policy.value(observations), distribution.log_prob(actions)
        steps.append((observations, actions, logprobs, values, floats(rewards), starts))
        observations, starts = floats(found), floats(terminated | truncated)
    return Rollout(*map(torch.stack, zip(*steps, strict=True))), observations, starts


def gae(rollout: Rollout, last_values: Tensor, last_starts: Tensor, gamma: float = 0.99, lam: float = 0.95) -> Tensor:
    """(T, N) advantages (Schulman et al., 2016); like its model it takes a cut conversation for one that ended."""
    advantages = torch.zeros_like(rollout.rewards)
    after = torch.zeros_like(last_values)
    values, starts = last_values, last_starts
    for step in reversed(range(len(advantages))):
        goes_on = 1 - starts
        delta = rollout.rewards[step] + gamma * values * goes_on - rollout.values[step]
        after = advantages[step] = delta + gamma * lam * goes_on * after
        values, starts = rollout.values[step], rollout.starts[step]
    return advantages


def learn(
    policy: ActorCritic, optimizer: torch.optim.Optimizer, batch: Rollout, advantages: Tensor, rng: np.random.Generator
) -> None:
    """Four epochs of four minibatches; the value loss is clipped as the surrogate is."""
    observations, actions, old_logprobs, old_values = (
        part.flatten(0, 1) for part in (batch.observations, batch.actions, batch.logprobs, batch.values)
    )
    credit, targets = advantages.flatten(), (advantages + batch.values).flatten()
    for _ in range(4):
        for chosen in np.array_split(rng.permutation(len(credit)), 4):
            distribution, values = policy.policy(observations[chosen]), policy.value(observations[chosen])
            ratio = (distribution.log_prob(actions[chosen]) - old_logprobs[chosen]).exp()
            normed = (credit[chosen] - credit[chosen].mean()) / (credit[chosen].std() + 1e-8)
            policy_loss = torch.max(-normed * ratio, -normed * ratio.clamp(0.8, 1.2)).mean()
            near = old_values[chosen] + (values - old_values[chosen]).clamp(-0.2, 0.2)
            value_loss = 0.5 * torch.max((values - targets[chosen]) ** 2, (near - targets[chosen]) ** 2).mean()
            loss = policy_loss - 0.01 * distribution.entropy().mean() + 0.5 * value_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimizer.step()


# The cells of the table


class Cell(NamedTuple):
    """One number of the table: who plays what, and from which seed it learned."""

    env_id: str
    agent: str
    seed: int

    @property
    def file(self) -> str:
        return f"{self.env_id}_{self.agent}_{self.seed}.json"


def cells(seeds: Sequence[int]) -> Iterator[Cell]:
    """Those that cost nothing first, then what the most depends on."""
    for env_id in (FIRST, *OTHERS):
        yield from (Cell(env_id, name, 0) for name in BASELINES)
    for name in LEARNERS:
        yield from (Cell(FIRST, name, seed) for seed in seeds)
    for env_id in OTHERS:
        yield from (Cell(env_id, "PPO", seed) for seed in seeds)


def play(cell: Cell, env_turns: int, num_goals: int, split: str, options: dict[str, Any]) -> dict[str, Any]:
    """Trains the agent of a cell, where it learns, and scores it on the frozen goals."""
    began = time.process_time()
    env = gym.make(f"dialogym:{cell.env_id}", **options)
    if cell.agent in BASELINES:
        agent: Any = make_agent(cell.agent, env, seed=0)
    elif cell.agent in LIBRARY:
        agent = train_library(cell.agent, cell.env_id, cell.seed, env_turns, **options)
    else:
        agent = cleanrl_ppo(cell.env_id, cell.seed, env_turns, **options)
    seconds = time.process_time() - began
    goals = frozen_goals(env, split, num_goals)
    scores = score(agent, env, goals.goals, split=split)
    return {
        **cell._asdict(),
        "env_turns": 0 if cell.agent in BASELINES else env_turns,
        "success": float(scores.success.mean()),
        "return": float(scores.returns.mean()),
        "turns": float(scores.turns.mean()),
        "invalid_rate": scores.invalid_rate,
        "goals": len(goals.goals),
        "goals_hash": goals.hash,
        "split": split,
        "seconds": round(seconds, 1),
        "provenance": provenance(),
    }


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """The table: success of each seed, and the mean return between that of the better floor and the rule's."""
    lines = ["| environment | agent | success of each seed | mean | return | turns | floors | rule |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["env_id"], record["agent"]), []).append(record)
    for (env_id, agent), found in groups.items():
        if agent in BASELINES:
            continue
        played = {name: groups[env_id, name][0]["success"] for name in BASELINES if (env_id, name) in groups}
        floor = max((value for name, value in played.items() if name != "rule"), default=float("nan"))
        seeds = ", ".join(f"{record['success']:.2f}" for record in found)
        means = [statistics.mean([record[key] for record in found]) for key in ("success", "return", "turns")]
        lines.append(
            f"| {env_id} | {agent} | {seeds} | {means[0]:.2f} | {means[1]:.2f} | {means[2]:.1f} | {floor:.2f} "
            f"| {played.get('rule', float('nan')):.2f} |"
        )
    return "\n".join(lines) + "\n"


def publish(records: Sequence[dict[str, Any]], docs: Path, readme: Path) -> None:
    """Writes records and table to ``docs``, and puts the table into ``readme``."""
    table = markdown(records)
    docs.mkdir(parents=True, exist_ok=True)
    atomic_write(docs / "off_the_shelf.json", json.dumps(records, indent=1) + "\n")
    atomic_write(docs / "off_the_shelf.md", table)
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} must have {BEGIN.strip()!r} and {END.strip()!r}, between which the table stands")
    atomic_write(readme, f"{before}{begin}\n{table}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env-turns", type=int, default=ENV_TURNS, help="agent turns to learn from")
    parser.add_argument("--goals", type=int, default=NUM_GOALS, help="frozen goals at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(NUM_SEEDS)))
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--only", nargs="+", metavar="ID", help="environments, of those with a menu")
    parser.add_argument("--agents", nargs="+", metavar="NAME", help=f"of {', '.join(LEARNERS)}")
    parser.add_argument("--reward", help="in place of each default: a name, or JSON of names and weights")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "off_the_shelf", help="folder of the records")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "off_the_shelf", help="folder of the table")
    parser.add_argument("--fresh", action="store_true", help="forget the records that are there")
    parser.add_argument("--quick", action="store_true", help="512 turns, 20 goals, one seed, no file in docs")
    options = parser.parse_args()
    if options.quick:
        options.env_turns, options.goals, options.seeds, options.out = 512, 20, [0], options.out / "quick"
    if options.fresh:
        shutil.rmtree(options.out, ignore_errors=True)
    torch.set_num_threads(1)  # the networks are so small that more threads only wait for each other
    given: dict[str, Any] = {}
    if options.reward is not None:
        given["reward"] = json.loads(options.reward) if options.reward.startswith("{") else options.reward
    wanted = [
        cell
        for cell in cells(options.seeds)
        if (not options.only or cell.env_id in options.only)
        and (not options.agents or cell.agent in (*BASELINES, *options.agents))
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    records = []
    for cell in wanted:
        path = options.out / cell.file
        if not path.is_file():
            record = play(cell, options.env_turns, options.goals, options.split, given)
            atomic_write(path, json.dumps(record, indent=1) + "\n")
            said = f"success {record['success']:.3f} ({record['seconds']:.0f} s)"
            print(f"{cell.env_id} {cell.agent} {cell.seed}: {said}", flush=True)
        records.append(json.loads(path.read_text()))
    print(f"\n{markdown(records)}")
    if wanted == list(cells(range(NUM_SEEDS))) and not (options.quick or given) and options.split == "test":
        publish(records, options.docs, ROOT / "README.md")


if __name__ == "__main__":
    main()
