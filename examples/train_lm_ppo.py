"""What does reinforcement learning add? SFT on few demonstrations, then PPO from its weights, on the same goals.

    python examples/train_lm_ppo.py

takes four minutes on a laptop CPU and prints, on 200 held-out goals:

    SFT: success 0.715
      1077 turns: success in training 0.711
      2311 turns: success in training 0.688
      3509 turns: success in training 0.734
      4710 turns: success in training 0.664
      5883 turns: success in training 0.820
      7096 turns: success in training 0.820
      8236 turns: success in training 0.867
      9423 turns: success in training 0.805
     10605 turns: success in training 0.805
     11759 turns: success in training 0.875
     12823 turns: success in training 0.891
     13963 turns: success in training 0.867
     15073 turns: success in training 0.891
     16220 turns: success in training 0.852
     17257 turns: success in training 0.898
     18349 turns: success in training 0.930
     19448 turns: success in training 0.914
     20509 turns: success in training 0.875
    SFT, then PPO: success 0.970

The same recipe in `make demo` went from 0.696 to 0.980 on 500 test goals, see the README.
"""

import argparse
import tempfile

import gymnasium as gym

from dialogym.agents.registry import make_agent
from dialogym.evaluation.score import frozen_goals, score


def main() -> None:
    parser = argparse.ArgumentParser(description="SFT, then PPO.")
    parser.add_argument("--demonstrations", type=int, default=140)
    parser.add_argument("--env-turns", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="a moment of each")
    arguments = parser.parse_args()
    quick = arguments.quick
    sft_config = {"demonstrations": 20, "epochs": 1} if quick else {"demonstrations": arguments.demonstrations}
    ppo_config = {"env_turns": 50, "batch_conversations": 8} if quick else {"env_turns": arguments.env_turns}

    env = gym.make("dialogym:TextDialog-v0", interface="text")
    test_goals = frozen_goals(env, "test", 20 if quick else 200).goals
    choice_goals = frozen_goals(env, "validation", 10 if quick else 100).goals

    sft = make_agent("sft", env, **sft_config)
    sft.learn(env)
    print(f"SFT: success {score(sft, env, test_goals).success.mean():.3f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sft.save(folder)
        ppo = make_agent("ppo", env, init=folder, **ppo_config)
        ppo.learn(
            env,
            log=lambda row: print(f"{row['env_turns']:6} turns: success in training {row['success']:.3f}", flush=True),
            validate=lambda agent: float(score(agent, env, choice_goals, split="validation").success.mean()),
        )
    print(f"SFT, then PPO: success {score(ppo, env, test_goals).success.mean():.3f}")


if __name__ == "__main__":
    main()
