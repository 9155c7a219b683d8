"""A reply in natural case and the same reply in lower case with its marks apart are judged alike, by every judge."""

import gymnasium as gym
import pytest

from dialogym.envs.reviews.corpus import load_reviews, natural, sentences_of, spaced
from dialogym.rewards import Transcript, resolve

IDS = (
    "TextArithmetic-v0", "TextClassification-v0", "TextContinuation-v0", "TextKeywords-v0", "TextSummary-v0",
)  # fmt: skip
REWARDS = {
    "TextContinuation-v0": ("steering", "plausibility"),
    "TextKeywords-v0": ("keywords",),
    "TextSummary-v0": ("rouge_mean", "rouge1", "rouge2", "rougeL"),
}


def replies_to(env):
    """The gold reply, sentences of real reviews, a label, a number."""
    sentences = [sentence for review in load_reviews("imdb")[:12] for sentence in sentences_of(natural(review.text))]
    paired = [" ".join(sentences[number : number + 2]) for number in range(0, 40, 2)]
    return [*env.unwrapped.transcript.references, *sentences[:40], *paired, "Positive.", "The answer is 12."]


@pytest.mark.parametrize("env_id", IDS)
def test_capitals_and_spaces_change_no_reward_and_no_verdict(env_id):
    env = gym.make(env_id, interface="text")
    seen = set()
    for seed in range(3):
        env.reset(seed=seed)
        goal, replies = env.unwrapped.transcript.goal, replies_to(env)
        for reply in replies:
            verdicts = []
            for said in (reply, spaced(reply)):
                env.reset(seed=seed)
                _, reward, *_, info = env.step(said)
                transcript = Transcript.of(info["messages"], goal=goal, references=env.unwrapped.transcript.references)
                others = [resolve(name)(transcript) for name in REWARDS.get(env_id, ())]
                verdicts.append([reward, info["success"], *others])
            assert verdicts[0] == pytest.approx(verdicts[1], abs=1e-12), reply
            seen.add(verdicts[0][0])
    assert len(seen) > 1  # not all alike because all are worth nothing
