"""A reference is asked once for a batch that is learned from in several passes, and nothing comes out otherwise."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import make_agent
from dialogym.agents.language_model import ppo, reference
from dialogym.agents.language_model.model import LanguageModel
from dialogym.agents.language_model.reference import RememberedReference

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer, tiny_transformer
from .test_sft import weights

IDS = torch.tensor([[2, 5, 6, 1, 0], [2, 6, 5, 5, 1]])
MASK = torch.tensor([[False, False, True, True, False], [False, True, True, False, True]])


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "cohere", "granite", "mamba"])
def test_it_says_the_very_same_again_without_asking_the_model(family, monkeypatch):
    tokenizer = tiny_tokenizer()
    lm = LanguageModel(tiny_transformer(family, len(tokenizer)), tokenizer)
    with torch.no_grad():
        expected = lm.logits(IDS, MASK)
    known = RememberedReference(lm)
    assert torch.equal(known.logits(IDS, MASK), expected)
    other = known.logits(IDS, ~MASK & (torch.arange(5) > 0))
    assert len(other) == 8 - len(expected)
    monkeypatch.setattr(lm.forward, "_run", None)  # whoever asks now fails
    assert torch.equal(known.logits(IDS, MASK), expected)
    known.forget()
    with pytest.raises(TypeError):
        known.logits(IDS, MASK)


def test_logits_that_have_to_be_kept_are_kept_within_the_limit(monkeypatch):
    tokenizer = tiny_tokenizer()
    lm = LanguageModel(tiny_transformer("gemma2", len(tokenizer)), tokenizer)  # which caps its logits
    monkeypatch.setattr(reference, "MAX_LOGITS", 5 * len(tokenizer))
    known = RememberedReference(lm)
    first, second = known.logits(IDS, MASK), known.logits(IDS.flip(0), MASK.flip(0))
    assert [len(kept) for kept in known._logits.values()] == [5]
    assert torch.equal(known.logits(IDS.flip(0), MASK.flip(0)), second)
    assert torch.equal(known.logits(IDS, MASK), first)


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_ppo_learns_the_very_same_with_fewer_passes_of_the_reference(lora_rank, tmp_path, monkeypatch):
    if lora_rank is not None:
        pytest.importorskip("peft")
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    asked = []

    class Asked:
        """A reference that is asked every time."""

        def __init__(self, lm):
            self.lm = lm

        def logits(self, ids, mask):
            asked.append(len(ids))
            return self.lm.logits(ids, mask)

        def forget(self):
            pass

    class Remembered(RememberedReference):
        def logits(self, ids, mask):
            kept = len(self._states)
            found = super().logits(ids, mask)
            asked.extend([len(ids)] * (len(self._states) - kept))
            return found

    found = []
    for kind in (Asked, Remembered):
        monkeypatch.setattr(ppo, "RememberedReference", kind)
        asked.clear()
        rows = []
        agent = make_agent(
            "ppo", echo_env(), init=str(tmp_path / "tiny"), lora_rank=lora_rank, env_turns=40, batch_conversations=8,
            minibatch_size=4, num_epochs=3, max_reply_tokens=3, learning_rate=1e-2, num_reports=1, kl_weight=0.5,
        )  # fmt: skip
        agent.learn(echo_env(), log=rows.append)
        found.append((weights(agent), [row["kl"] for row in rows], sum(asked)))
    (first, first_kl, every_time), (second, second_kl, once) = found
    assert max(first_kl) > 1e-3
    assert first_kl == second_kl
    assert torch.equal(first, second)
    assert every_time == 3 * once > 0
