"""Can you do what the agents are asked to do? You are the restaurant guide.

    $ python examples/talk_to_agent.py
    ────────────────────────────── a new conversation ──────────────────────────────
    Type what to say, or the number or name of a reply; "?" lists the replies, "quit" ends. Quoted words are said.
    system: You work for a restaurant guide. Find the user a restaurant that fits, answer questions about it, and ...
    user: Good evening. Somewhere in the north.
    you: what kind of food?
    user: I'm looking for somewhere that serves Chinese food.
    you: and the price range?
    user: I'd like something moderately priced.
    you: search
    assistant: search(food=[said_food], area=[said_area], pricerange=[said_pricerange])
    tool: 1 restaurant matches: Golden Wok
    you: offer
    assistant: [name] is a [pricerange] [food] restaurant in the [area].
    user: What's the phone number? And the address?
    you: The phone number is [phone], the address is [address].
    user: Please book me a table for 3 people on Wednesday.
    you: ask_booking
    assistant: How many people, on which day and at what time?
    user: It would be for 3 people on Wednesday at 17:45.
    you: 14
    assistant: book(people=[said_people], day=[said_day], time=[said_time])
    tool: Booked. The reference is 354XZ.
    you: Your table is booked, the reference is [reference].
    Thank you, goodbye.
    success, return 0.92 after 8 turns
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
        try:
            said = agent.act(observation, info)
        except (KeyboardInterrupt, EOFError):
            print("You ended the conversation.")
            return
        observation, reward, terminated, truncated, info = env.step(said)
        total, ended = total + float(reward), terminated or truncated
    print(env.unwrapped.transcript.spoken_messages[-1]["content"])
    print(f"{'success' if info['success'] else 'no success'}, return {total:g} after {info['turn']} turns")
    print(f"the user wanted { ({name: value for name, value in env.unwrapped.transcript.goal.items() if value}) }")


if __name__ == "__main__":
    main()
