"""Can you do what the agents are asked to do? You are the restaurant guide.

    $ python examples/talk_to_agent.py
    ────────────────────────────── a new conversation ──────────────────────────────
    Type what to say, or the number or name of a reply; "?" lists the replies, "quit" ends. Quoted words are said.
    system: you are a restaurant guide in cambridge .
    user: i want it in the north of town .
    you: what kind of food ?
    user: a chinese restaurant .
    you: and the price range ?
    user: in the moderate price range .
    you: search
    assistant: search(food=[said_food], area=[said_area], pricerange=[said_pricerange])
    tool: 1 found : golden wok
    you: offer
    assistant: [name] is a [pricerange] [food] restaurant in the [area] .
    user: what is the phone number ? tell me the address please .
    you: the phone number is [phone] , the address is [address]
    user: can you book it , 3 people please , we come on wednesday .
    you: ask_booking
    assistant: how many people , which day and what time ?
    user: a table for 3 people , for wednesday , the time is 17:45 .
    you: 14
    assistant: book(people=[said_people], day=[said_day], time=[said_time])
    tool: booked , reference 354xz
    you: your table is booked , the reference is [reference]
    thank you , goodbye .
    success, return 12 after 8 turns
    the user wanted {'constraints': (('food', 'chinese'), ('area', 'north'), ('pricerange', 'moderate')),
        'requests': ('phone', 'address'), 'booking': (('people', '3'), ('day', 'wednesday'), ('time', '17:45'))}

With ``--quick`` the rule agent sits in your chair, so that nobody has to type.
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym

from dialogym.agents import make_agent


class Prompted:
    """The rule agent, choosing from the menu what you would have typed."""

    def __init__(self, env: gym.Env):
        self.rule, self.core = make_agent("rule", env), env.unwrapped

    def act(self, observation: Any, info: Any) -> str:
        partner = self.core.partner
        print(f"(chosen by the rule) {(said := partner.phrase(self.rule.act(partner.summary(), {})))}")
        return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=float, default=0.0, help="share of what the user means that you read garbled")
    parser.add_argument("--seed", type=int, default=0, help="which conversation")
    parser.add_argument("--quick", action="store_true", help="the rule agent plays in your place")
    options = parser.parse_args()

    env = gym.make("dialogym:TextDialog-v0", interface="text", noise=options.noise)
    agent = Prompted(env) if options.quick else make_agent("human", env)
    observation, info = env.reset(seed=options.seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, info = env.step(agent.act(observation, info))
        total, ended = total + float(reward), terminated or truncated
    print(env.unwrapped.transcript.spoken_messages[-1]["content"])
    print(f"{'success' if info['success'] else 'no success'}, return {total:g} after {info['turn']} turns")
    print(f"the user wanted { ({name: value for name, value in env.unwrapped.transcript.goal.items() if value}) }")


if __name__ == "__main__":
    main()
