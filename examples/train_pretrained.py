"""What does reinforcement learning add to a pretrained model? SFT, then GRPO, with LoRA, on TextKeywords-v0.

    python examples/train_pretrained.py    # beside [train] it needs the extras lora, reviews and, without --model, gguf

With SmolLM2-135M-Instruct and one thread of a busy Intel Xeon (SFT took 4 minutes by the clock, the 30 updates of GRPO
14) it printed, of 100 test goals and, as "validation", the mean reward of 33 others, here without the updates between:

    zero-shot: reward 0.28, success 0.05, 12.0 words a reply, distinct-2 0.43
      sft: epoch 1  loss 3.27  validation 0.584  (116 s)
      sft: epoch 2  loss 2.82  validation 0.604  (267 s)
    SFT: reward 0.57, success 0.12, 14.6 words a reply, distinct-2 0.66
      grpo: env_turns 240  return 0.278  validation 0.611  (163 s)
      grpo: env_turns 480  return 0.462  validation 0.671  (309 s)
      grpo: env_turns 720  return 0.543  validation 0.704  (454 s)
      grpo: env_turns 960  return 0.516  validation 0.671  (598 s)
      grpo: env_turns 1,200  return 0.738  validation 0.767  (735 s)
      grpo: env_turns 1,440  return 0.546  validation 0.713  (851 s)
    SFT → GRPO: reward 0.71, success 0.27, 17.0 words a reply, distinct-2 0.73

The model of update 25, the best on the validation goals, was kept. One run. At lower rates, 2e-4 for SFT and 1e-4 for
GRPO, it came to 0.46 and 0.57 (success 0.10 and 0.16). The curves of both are in docs/pretrained/keywords.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym

from dialogym.agents.base import Agent
from dialogym.agents.files import atomic_write, existing_folder
from dialogym.agents.registry import load_agent, make_agent
from dialogym.evaluation.score import frozen_goals, score
from dialogym.rewards.text.style import distinct_n

ENV = "dialogym:TextKeywords-v0"
LORA = {"lora_rank": 16, "lora_alpha": 32.0}
SETTINGS_FILE = "settings.json"


def model_folder(given: str | None, out: Path, quick: bool) -> str:
    """The model to begin with: the one that was given, a tiny random one to be quick, or SmolLM2 from its package."""
    if given is not None:
        return given
    if quick:
        env = gym.make(ENV, interface="text")
        make_agent("sft", env, hidden_size=32, num_layers=1, intermediate_size=64).lm.save(out / "tiny")
        return str(out / "tiny")
    from dialogym.agents.language_model.pretrained import check_packages, write_pretrained

    try:
        check_packages("smollm2")
    except ImportError as e:
        raise SystemExit(f"{e}\nOr give another model: --model FOLDER, a chat model that transformers loads") from None
    write_pretrained("smollm2", out / "smollm2")
    return str(out / "smollm2")


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Refuses a folder that holds a training with other settings, such as that of another model."""
    file = out / SETTINGS_FILE
    if file.is_file() and (before := json.loads(file.read_text())) != settings:
        raise SystemExit(f"{out} holds a training with other settings, {before}: choose another --out")


def trained(agent: Agent, env: Any, out: Path, num_goals: int) -> Agent:
    """The agent after its training; one that was interrupted goes on, one that is finished is read."""
    if existing_folder(out / "agent") is not None:
        return load_agent(out / "agent", env)
    goals = frozen_goals(env, "validation", num_goals).goals

    def validate(candidate: Agent) -> float:
        return float(score(candidate, env, goals, split="validation", batch_size=32).returns.mean())

    def log(row: dict[str, Any]) -> None:
        with (out / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        words = {"sft": ("epoch", "loss", "validation"), "grpo": ("env_turns", "return", "kl", "validation")}[
            agent.name
        ]
        found = {name: row[name] for name in words if row.get(name) is not None}
        shown = "  ".join(
            f"{name} {one:,}" if isinstance(one, int) else f"{name} {one:.3g}" for name, one in found.items()
        )
        print(f"  {agent.name}: {shown}  ({row['seconds']:.0f} s)", flush=True)

    out.mkdir(parents=True, exist_ok=True)
    agent.learn(env, log=log, validate=validate, checkpoint=out / "checkpoint", resume=True)
    agent.save(out / "agent")
    return agent


def tested(agent: Agent, env: Any, num_goals: int, name: str) -> dict[str, Any]:
    """How the agent fares on test goals, printed: reward, and how it speaks."""
    scores = score(agent, env, frozen_goals(env, "test", num_goals).goals, batch_size=32)
    words = sum(len(reply.split()) for reply in scores.replies) / len(scores.replies)
    found = {
        "stage": name,
        "goals": num_goals,
        "reward": round(float(scores.returns.mean()), 4),
        "success": round(float(scores.success.mean()), 4),
        "words": round(words, 2),
        "distinct_2": round(distinct_n(scores.replies), 4),
        "replies": [
            [conversation[-2]["content"], conversation[-1]["content"]] for conversation in scores.conversations[:3]
        ],
    }
    print(
        f"{name}: reward {found['reward']:.2f}, success {found['success']:.2f}, {found['words']:.1f} words a reply, "
        f"distinct-2 {found['distinct_2']:.2f}\n  {found['replies'][0][0]}\n  {found['replies'][0][1]!r}",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="SFT, then GRPO, of a pretrained model with LoRA.")
    parser.add_argument("--model", help="folder or hub name; default: SmolLM2-135M-Instruct from its package")
    parser.add_argument("--demonstrations", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=2, help="of SFT")
    parser.add_argument("--updates", type=int, default=30, help="of GRPO")
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="of GRPO")
    parser.add_argument("--goals", type=int, default=6, help="of an update")
    parser.add_argument("--replies", type=int, default=8, help="to each goal")
    parser.add_argument("--test", type=int, default=100, help="test goals; validation takes a third as many")
    parser.add_argument("--out", type=Path, help="default: runs/pretrained; what is there is gone on with")
    parser.add_argument("--quick", action="store_true", help="a moment of each, of a tiny random model")
    options = parser.parse_args()
    if options.quick:
        options.demonstrations, options.epochs, options.updates = 8, 1, 1
        options.goals, options.replies, options.test = 2, 2, 6
    with contextlib.ExitStack() as stack:
        if options.out is None and options.quick:
            options.out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run(options, options.out or Path("runs/pretrained"))


def run(options: argparse.Namespace, out: Path) -> None:
    """All of it; what an interrupted call left in the folder is gone on with."""
    asked = {name: value for name, value in vars(options).items() if name != "out"}
    check_settings(out, asked)
    out.mkdir(parents=True, exist_ok=True)
    model = model_folder(options.model, out, options.quick)

    env = gym.make(ENV, interface="text")
    batch, limit = options.goals * options.replies, 16 if options.quick else 48
    settings: dict[str, Any] = {**LORA, "max_reply_tokens": limit}
    untrained = make_agent("sft", env, model=model, max_reply_tokens=limit)
    atomic_write(out / SETTINGS_FILE, json.dumps(asked) + "\n")  # not before there is such a model
    found = [tested(untrained, env, options.test, "zero-shot")]
    sft = make_agent(
        "sft", env, model=model, demonstrations=options.demonstrations, epochs=options.epochs,
        **settings,
    )  # fmt: skip
    sft = trained(sft, env, out / "sft", options.test // 3)
    found.append(tested(sft, env, options.test, "SFT"))
    grpo = make_agent(
        "grpo", env, init=str(out / "sft" / "agent"), env_turns=options.updates * batch,
        batch_conversations=batch, group_size=options.replies, num_reports=max(1, options.updates // 5),
        learning_rate=options.learning_rate, **settings,
    )  # fmt: skip
    found.append(tested(trained(grpo, env, out / "grpo", options.test // 3), env, options.test, "SFT → GRPO"))
    atomic_write(out / "results.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
