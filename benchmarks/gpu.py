"""Does a GPU compute what the CPU does, and how fast is it? At most six minutes on one, with nothing but the wheels.

    pip install "dialogym[trl,lora]"
    python benchmarks/gpu.py --model FOLDER --out gpu.json    # FOLDER: dialogym model smollm2 --out FOLDER
    python benchmarks/gpu.py                                  # random weights of that shape, which take as long
    python benchmarks/gpu.py --device cpu --quick             # a look, with a tiny model

Needs ``grpo_step.py`` beside it. Prints a table, and writes the same as JSON with the name of the device:

- parity, in float32: the log-probabilities of a fixed batch and one update of GRPO, on the device and on the CPU. It
  ends with status 1 where they are further apart than ``LIMITS``. Adam's first step is as long as the learning rate
  says, whatever the gradient, so one that is nearly 0 and rounds to the other side moves a weight the other way: hence
  the limit is on weights and on gradients, and "update" (the difference relative to the step) is shown without one.
- training: SFT on demonstrations of ``TextDialog-v0``, then GRPO, with LoRA and in full, in the types "auto" takes.
- a step of GRPO beside TRL's, see ``grpo_step.py``.

The JSON is written after each part, so that one that is killed leaves what it found. Whatever is under way when
``--minutes`` are over is stopped; what was left out stands in table and JSON, and why.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import itertools
import json
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from dialogym.agents.files import atomic_write
from dialogym.agents.language_model.advantages import discounted_returns, group_normalised
from dialogym.agents.language_model.batch import Batch, gradient_step
from dialogym.agents.language_model.grpo import GRPOAgent, GRPOConfig, grpo_loss
from dialogym.agents.language_model.memory import TokenBudget
from dialogym.agents.language_model.model import LanguageModel, ModelConfig
from dialogym.agents.language_model.rollout import Episode
from dialogym.agents.language_model.sft import SFTAgent, SFTConfig

ENV, TURNS, REPLY = "dialogym:TextDialog-v0", 5, 32
LIMITS = {"logprobs": 1e-3, "gradients": 1e-3, "weights": 1e-4}
"""The largest difference of a log-probability, in nats; of gradients and of weights, relative to their length."""
SMOLLM2_135M = {
    "hidden_size": 576,
    "num_layers": 30,
    "num_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
}
SMOLLM2_VOCABULARY = 49_152
TINY = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "num_key_value_heads": 1, "intermediate_size": 128}
LORA_RANK = 16
SIDES = ("ours", 1), ("trl", 1), ("ours", TURNS), ("trl-plain", TURNS)
"""Of a step of GRPO, and turns of its conversations."""
PARITY, TRAINING, STEPS = "parity", "training", "steps"
NOT_REACHED = "not reached"
MAX_WHY_CHARS = 400


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done: conversations in a batch, demonstrations, updates, and steps of each side."""

    conversations: int = 64
    demonstrations: int = 96
    updates: int = 3
    steps: int = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or name; without it, random weights of SmolLM2-135M's shape")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--quick", action="store_true", help="a tiny model, and little of everything")
    parser.add_argument("--out", default="gpu.json")
    chosen = parser.parse_args()
    if chosen.device != "cpu" and not torch.cuda.is_available():
        parser.error(f"there is no GPU for --device {chosen.device}; --device cpu --quick is a look without one")
    sizes = Sizes(16, 8, 2, 1) if chosen.quick else Sizes()
    record = Record(Path(chosen.out), chosen.minutes, machine(chosen.device), chosen.model or "random weights")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = chosen.model or random_model(Path(scratch) / "random", chosen.quick)
            measure_all(record, folder, chosen.device, sizes, Path(scratch))
    finally:
        print(table(record.found))
    found = record.found.get(PARITY, {})
    wrong = [f"{chosen.device} and the CPU are too far apart in {one}" for one in LIMITS if too_far_apart(one, found)]
    if wrong := wrong + [f"{name} failed" for name in record.failed]:
        sys.exit("; ".join(wrong))


def too_far_apart(name: str, differences: dict[str, float]) -> bool:
    """Whether it was measured and is above its limit."""
    return name in differences and not differences[name] <= LIMITS[name]


def measure_all(record: Record, folder: str, device: str, sizes: Sizes, scratch: Path) -> None:
    """Part after part."""
    parts: dict[str, tuple[str, Callable[[], Any]]] = {PARITY: (PARITY, lambda: parity(folder, device))}
    for rank in (LORA_RANK, None):
        parts[kind_of(rank)] = TRAINING, functools.partial(training, folder, device, rank, sizes, scratch)
    for side, turns in SIDES:
        measure = functools.partial(step, side, turns, folder, device, sizes, record)
        parts[f"GRPO step, {turns} turn(s), {side}"] = STEPS, measure
    record.begin(parts)
    for name, (section, measure) in parts.items():
        record.measure(name, section, measure)


class OutOfTime(BaseException):
    """The minutes are over; no error that anybody on the way would handle."""


class Record:
    """What was found so far, on disk after each part, and what was left out and why.

    Args:
        out: the JSON.
        minutes: for all parts together, from now on.
        about: the machine.
        model: what is measured with.
    """

    def __init__(self, out: Path, minutes: float, about: dict[str, str], model: str):
        self.out, self.minutes, self.ends = out, minutes, time.monotonic() + 60 * minutes
        self.found: dict[str, Any] = {"machine": about, "model": model, TRAINING: [], STEPS: [], "left_out": {}}
        self.failed: list[str] = []

    def begin(self, names: Iterable[str]) -> None:
        """Says what is to come, so that the file of one that is killed names what it lacks."""
        self.found["left_out"] = dict.fromkeys(names, NOT_REACHED)
        self._write()

    @property
    def seconds_left(self) -> float:
        """May be negative."""
        return self.ends - time.monotonic()

    def measure(self, name: str, section: str, part: Callable[[], Any]) -> None:
        """Adds what a part finds, or why it was left out: there was no time to begin or to end it, or it failed."""
        why = self.found["left_out"]
        if self.seconds_left <= 0:
            why[name] = f"no time left of {self.minutes:g} minutes"
        else:
            try:
                with self._limit():
                    found = part()
                self._keep(section, found)
                del why[name]
            except OutOfTime:
                why[name] = f"stopped when {self.minutes:g} minutes were over"
            except Exception as e:  # the other parts are worth having
                self.failed.append(name)
                why[name] = f"failed: {type(e).__name__}: {e}"[-MAX_WHY_CHARS:]
        self._write()

    def _keep(self, section: str, found: Any) -> None:
        if isinstance(self.found.get(section), list):
            self.found[section].append(found)
        else:
            self.found[section] = found

    def _write(self) -> None:
        atomic_write(self.out, json.dumps(self.found, indent=2))

    @contextlib.contextmanager
    def _limit(self) -> Iterator[None]:
        """Raises OutOfTime in the block when the time is over, wherever it is; on Windows only before the next part."""
        if not hasattr(signal, "setitimer"):
            yield
            return
        before = signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, self.seconds_left, 1.0)  # again, where Python dropped it in a finalizer
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _stop(*_: object) -> None:
    raise OutOfTime


def machine(device: str) -> dict[str, str]:
    """What it runs on."""
    names = [line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")]
    name = torch.cuda.get_device_name(device) if device != "cpu" else (names or [platform.processor()])[0]
    return {"device": name, **{package: version(package) for package in ("dialogym", "torch", "transformers", "trl")}}


def cpu_lines() -> list[str]:
    """What Linux tells of its processors."""
    about = Path("/proc/cpuinfo")
    return about.read_text().splitlines() if about.is_file() else []


def random_model(folder: Path, tiny: bool) -> str:
    """Random weights, with the tokenizer that ships; it has fewer tokens than SmolLM2 has, and the model as many."""
    small = LanguageModel.make(ModelConfig(device="cpu", **(TINY if tiny else {**TINY, "num_layers": 1})), seed=0)
    if not tiny:
        config = copy.deepcopy(small.model.config)
        for ours, theirs in (("num_layers", "num_hidden_layers"), ("num_heads", "num_attention_heads")):
            setattr(config, theirs, SMOLLM2_135M[ours])
        for name in ("hidden_size", "num_key_value_heads", "intermediate_size"):
            setattr(config, name, SMOLLM2_135M[name])
        config.vocab_size, config.head_dim = SMOLLM2_VOCABULARY, config.hidden_size // config.num_attention_heads
        torch.manual_seed(0)
        small = LanguageModel(LlamaForCausalLM(config), small.tokenizer)
    small.save(folder)
    return str(folder)


# Parity


def parity(folder: str, device: str) -> dict[str, float]:
    """How far the device is from the CPU, in float32."""
    here, there = (LanguageModel.load(folder, device=one, dtype="float32") for one in ("cpu", device))
    episodes = fixed_episodes(here)
    batches = [batch_of(episodes, lm) for lm in (here, there)]
    with torch.no_grad():
        first, second = (
            lm.token_logprobs(batch.ids, batch.action_mask).logprobs.cpu()
            for lm, batch in zip((here, there), batches, strict=True)
        )
    start = weights(here)
    for lm, batch in zip((here, there), batches, strict=True):
        one_update(lm, batch)
    found = {
        "logprobs": float((first - second).abs().max()),
        "gradients": apart(gradients(there), gradients(here)),
        "weights": apart(weights(there), weights(here)),
        "update": apart(weights(there) - start, weights(here) - start),
    }
    if device != "cpu":
        narrow = LanguageModel.load(folder, device=device, dtype="bfloat16")
        with torch.no_grad():
            third = narrow.token_logprobs(batches[1].ids, batches[1].action_mask).logprobs.cpu()
        found["logprobs in bfloat16"] = float((first - third).abs().max())
    return found


def fixed_episodes(lm: LanguageModel) -> list[Episode]:
    """Eight conversations of random tokens about two goals, each of two turns."""
    draws = torch.Generator().manual_seed(0)
    possible = sorted(set(range(len(lm.tokenizer))) - set(lm.forbidden.tolist()))
    episodes = []
    for number in range(8):
        episode = Episode(group=number // 4)
        for _ in range(2):
            ids = [possible[place] for place in torch.randint(len(possible), (40 - number,), generator=draws).tolist()]
            episode.read(ids[:16])
            episode.say(ids[16:], [0.0] * len(ids[16:]), torch.zeros(lm.hidden_size))
            episode.rewards.append(float(torch.rand((), generator=draws)))
        episodes.append(episode)
    return episodes


def batch_of(episodes: list[Episode], lm: LanguageModel) -> Batch:
    """The episodes, their advantages, and old log-probabilities a little beside the model's own."""
    batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)
    returns = discounted_returns(batch.rewards, 1.0)[:, :1].expand_as(batch.rewards)
    advantages = group_normalised(returns, batch.group)
    old = torch.zeros_like(batch.old_logprobs)
    with torch.no_grad():
        old[batch.action_mask] = lm.token_logprobs(batch.ids, batch.action_mask).logprobs - 0.05
    return dataclasses.replace(batch, advantages=advantages, old_logprobs=old)


def one_update(lm: LanguageModel, batch: Batch) -> None:
    """One of GRPO; the gradients stay."""
    optimizer = torch.optim.AdamW(lm.trainable_parameters(), 1e-5, weight_decay=0.0)

    def loss_of(part: Batch) -> tuple[Tensor, dict[str, Any]]:
        logprobs = lm.token_logprobs(part.ids, part.action_mask).logprobs
        return grpo_loss(logprobs, part.tokens(part.old_logprobs), part.token_advantages, part.rows), {}

    gradient_step(lm, optimizer, loss_of, 1.0, TokenBudget(), batch, range(len(batch)))


def weights(lm: LanguageModel) -> Tensor:
    """All of them in a row."""
    return torch.cat([one.detach().double().cpu().flatten() for one in lm.trainable_parameters()])


def gradients(lm: LanguageModel) -> Tensor:
    """All of them in a row."""
    found = [one.grad for one in lm.trainable_parameters()]
    return torch.cat([one.double().cpu().flatten() for one in found if one is not None])


def apart(one: Tensor, other: Tensor) -> float:
    """The length of the difference, relative to the other's."""
    return float((one - other).norm() / other.norm())


# Training


def training(folder: str, device: str, lora_rank: int | None, sizes: Sizes, scratch: Path) -> dict[str, Any]:
    """SFT, then GRPO: seconds of each, and what came of it."""
    env = gym.make(ENV, interface="text", max_turns=TURNS)
    kind = kind_of(lora_rank)
    shared = {"lora_rank": lora_rank, "device": device, "max_reply_tokens": REPLY}
    rows: list[dict[str, Any]] = []

    began = time.perf_counter()
    sft = SFTAgent(env, config=SFTConfig(model=folder, demonstrations=sizes.demonstrations, epochs=1, **shared))
    sft.learn(env, log=rows.append)
    sft.save(scratch / kind)
    found = {"kind": kind, "sft_seconds": time.perf_counter() - began, "sft_loss": rows[-1]["validation_loss"]}

    rows.clear()
    config = GRPOConfig(
        init=str(scratch / kind), batch_conversations=sizes.conversations, num_reports=1,
        env_turns=sizes.updates * sizes.conversations * TURNS, **shared,
    )  # fmt: skip
    GRPOAgent(env, config=config).learn(env, log=rows.append)
    timed = [(row["seconds"] - before["seconds"], row["rollout_seconds"]) for before, row in itertools.pairwise(rows)]
    return {
        **found,
        "update_seconds": statistics.median(seconds for seconds, _ in timed),
        "rollout_seconds": statistics.median(rollout for _, rollout in timed),
        "return_first": rows[0]["return"],
        "return_last": rows[-1]["return"],
    }


def kind_of(lora_rank: int | None) -> str:
    """What a training is called."""
    return "full" if lora_rank is None else f"LoRA {lora_rank}"


# Beside TRL


def step(side: str, turns: int, folder: str, device: str, sizes: Sizes, record: Record) -> dict[str, Any]:
    """Completion tokens per second of a side, in a process of its own, which is killed when the time is over."""
    command = [
        sys.executable, str(Path(__file__).with_name("grpo_step.py")), "--side", side, "--turns", str(turns),
        "--model", folder, "--device", device, "--conversations", str(sizes.conversations),
        "--reply", str(REPLY), "--steps", str(sizes.steps),
    ]  # fmt: skip
    try:
        left = max(1.0, record.seconds_left)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired as e:
        raise OutOfTime from e
    except subprocess.CalledProcessError as e:
        raise RuntimeError(e.stderr.strip()) from e
    told = json.loads(done.stdout.splitlines()[-1])
    return {"side": side, "turns": turns, "tokens_per_second": told["tokens"] / told["seconds"]}


def table(found: dict[str, Any]) -> str:
    """As Markdown."""
    about = found["machine"]
    packages = ", ".join(f"{name} {value}" for name, value in about.items() if name != "device")
    lines = [f"{about['device']}; {found['model']}; {packages}", "", "| measured | |", "| --- | --- |"]
    lines += [f"| difference from the CPU: {name} | {value:.1e} |" for name, value in found.get(PARITY, {}).items()]
    for row in found[TRAINING]:
        lines += [
            f"| {row['kind']}: SFT, seconds | {row['sft_seconds']:.1f} |",
            f"| {row['kind']}: an update of GRPO, seconds | {row['update_seconds']:.2f} |",
            f"| {row['kind']}: sampling in it, seconds | {row['rollout_seconds']:.2f} |",
            f"| {row['kind']}: return of the first batch | {row['return_first']:.2f} |",
            f"| {row['kind']}: return of the last batch | {row['return_last']:.2f} |",
        ]
    for row in found[STEPS]:
        speed = f"{row['tokens_per_second']:,.0f}"
        lines.append(f"| GRPO step, {row['turns']} turn(s), {row['side']}: completion tokens per second | {speed} |")
    lines += [f"| {name} | {' '.join(why.replace('|', '/').split())} |" for name, why in found["left_out"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
