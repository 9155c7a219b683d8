"""How do I train in TRL, and so on many GPUs? SFT with dialogym, then GRPO (or RLOO) by TRL on the same environment.

    python examples/train_trl.py --out run    # beside [train] it needs the extra trl
    accelerate launch --config_file examples/accelerate/cpu.yaml examples/train_trl.py --cpu    # two processes
    accelerate launch --config_file examples/accelerate/fsdp.yaml examples/train_trl.py --model FOLDER

A small model imitates 2,000 conversations of a buyer or seller with a haggler; then 128 conversations are played, in
groups of 8 about one goal, and learned from in 8 steps, ten times over. Prints TRL's log, and how the model does with
its likeliest words on 200 goals of the validation split, as eval_goals/success: 0.35 after SFT, 0.52 after five of the
ten rollouts, 0.55 at the end, while the mean reward of what was sampled went from 0.05 to 0.23 (one run, three minutes
of processor time on an AMD EPYC). Set OMP_NUM_THREADS where processes share cores. docs/scaling.md tells the rest.
"""

import argparse
import os
import tempfile
import warnings
from pathlib import Path

import gymnasium as gym

try:
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.trainer_utils import get_last_checkpoint
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig
except ImportError as error:
    raise ImportError('this example needs trl: pip install "dialogym[trl]"') from error

from dialogym.agents.registry import make_agent
from dialogym.evaluation.score import frozen_goals
from dialogym.integrations.trl import EvaluationCallback, RLOOTrainer, Rollout, environment_reward, goal_dataset

MAX_REPLY_TOKENS = 28
MINIBATCHES, PASSES = 4, 2
STEPS = MINIBATCHES * PASSES
"""Of the optimizer, with the conversations of one rollout."""
TRAINERS = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}


def main() -> None:
    parser = argparse.ArgumentParser(description="SFT, then GRPO or RLOO in TRL.")
    parser.add_argument("--model", help="a folder or name to start from; without it, a small model and SFT")
    parser.add_argument("--algorithm", choices=["grpo", "rloo"], default="grpo")
    parser.add_argument("--rollouts", type=int, default=10, help="how often conversations are played to learn from")
    parser.add_argument("--conversations", type=int, default=128, help="in a rollout, of all processes together")
    parser.add_argument("--out", help="folder of checkpoints and of the trained model; a training in it goes on")
    parser.add_argument("--cpu", action="store_true", help="even where there is a GPU")
    parser.add_argument("--vllm", action="store_true", help="sample with vLLM, in the processes that train")
    parser.add_argument("--quick", action="store_true", help="a moment of each")
    arguments = parser.parse_args()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # of rollout_func, in TRL 1.16
    warnings.filterwarnings("ignore", category=FutureWarning)

    processes = PartialState(cpu=arguments.cpu)
    with tempfile.TemporaryDirectory() as scratch:
        (out,) = broadcast_object_list([arguments.out or scratch])
        train(arguments, processes, Path(out))
        processes.wait_for_everyone()


def train(arguments: argparse.Namespace, processes: PartialState, out: Path) -> None:
    quick = arguments.quick
    env = gym.make("dialogym:TextNegotiation-v0", interface="text")
    start = arguments.model or str(out / "sft")
    if arguments.model is None and processes.is_main_process and not Path(start).exists():
        amount = {"demonstrations": 20, "epochs": 1} if quick else {"demonstrations": 2000, "epochs": 5}
        sft = make_agent("sft", env, **amount)
        sft.learn(env)
        sft.save(start)
    processes.wait_for_everyone()
    model, tokenizer = loaded(start)

    num_rollouts, conversations = (1, 8) if quick else (arguments.rollouts, arguments.conversations)
    on_cpu = processes.device.type == "cpu"
    make_trainer, make_config = TRAINERS[arguments.algorithm]
    trainer = make_trainer(
        model=model,
        reward_funcs=environment_reward,
        args=make_config(
            output_dir=str(out),
            use_cpu=on_cpu,
            bf16=not on_cpu,
            use_vllm=arguments.vllm,
            max_steps=num_rollouts * STEPS,
            per_device_train_batch_size=conversations // MINIBATCHES // processes.num_processes,
            steps_per_generation=MINIBATCHES,
            num_iterations=PASSES,
            num_generations=4 if quick else 8,
            max_completion_length=600,
            temperature=0.7,
            learning_rate=1e-5 if arguments.model else 3e-4,
            lr_scheduler_type="constant",
            beta=0.0,
            logging_steps=STEPS,
            save_steps=STEPS,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=goal_dataset(env, 20 if quick else 5000),
        processing_class=tokenizer,
        rollout_func=Rollout(env, MAX_REPLY_TOKENS),
    )
    goals = frozen_goals(env, "validation", 10 if quick else 200)
    evaluation = EvaluationCallback(trainer, env, goals, max_reply_tokens=MAX_REPLY_TOKENS, every_steps=5 * STEPS)
    trainer.add_callback(evaluation)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)))
    trainer.save_model(str(out / "last"))


def loaded(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and the tokenizer of a folder, or of a name on the hub."""
    try:
        return AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise SystemExit(f"--model must be a folder or a name on the hub, got {name!r}: {why}") from error


if __name__ == "__main__":
    main()
