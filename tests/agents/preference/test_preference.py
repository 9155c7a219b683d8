"""The preference model: its loss by hand, the taste it learns, and the reward it is."""

import dataclasses
import json
import math
import pickle

import gymnasium as gym
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers
from typer.testing import CliRunner

from dialogym import cli
from dialogym.agents.preference import train
from dialogym.agents.preference.judgements import append_judgement, split_judgements
from dialogym.agents.preference.train import PreferenceConfig, bradley_terry_loss, make_scorer, train_preference
from dialogym.evaluation.rating.agreement import pairwise_scores
from dialogym.rewards import PreferenceModel, Transcript, resolve
from dialogym.rewards.learned.preference import PREFERENCE_FILE, Normalisation

from ...one_device import on_meta
from ..judged import asking, by_taste, judgement

SMALL = PreferenceConfig(
    hidden_size=32, num_layers=1, intermediate_size=64, epochs=4, batch_size=16, learning_rate=5e-3
)


def said(reply, *after):
    asked = [{"role": "user", "content": "a table for two people on monday"}]
    return Transcript.of([*asked, {"role": "assistant", "content": reply}, *after])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that learned that "please" is good."""
    path = tmp_path_factory.mktemp("models") / "preference"
    train_preference(by_taste(120), path, SMALL)
    return path


def test_the_loss_is_that_of_bradley_and_terry():
    scores = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 4.0])
    loss = bradley_terry_loss(*scores, torch.tensor([1.0, 0.5, 0.0]))
    # Margins 1, 0 and -3: -ln s(1) = 0.31326, half of -ln s(0) twice = 0.69315, and -ln s(3) = 0.04859.
    assert loss.item() == pytest.approx((0.31326 + 0.69315 + 0.04859) / 3, abs=1e-5)


def test_a_tie_pulls_the_scores_together_and_a_choice_apart():
    first, second = torch.tensor([1.0], requires_grad=True), torch.tensor([0.0], requires_grad=True)
    for preference, sign in ((0.5, 1), (1.0, -1)):
        (gradient,) = torch.autograd.grad(bradley_terry_loss(first, second, torch.tensor([preference])), first)
        assert math.copysign(1, gradient.item()) == sign
    assert gradient.item() == pytest.approx(-(1 - 1 / (1 + math.exp(-1))))


def test_the_gradient_is_even_where_scores_are_far_apart():
    first, second = torch.tensor([200.0], requires_grad=True), torch.tensor([-200.0])
    loss = bradley_terry_loss(first, second, torch.tensor([0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(400)
    assert first.grad is not None
    assert first.grad.item() == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_a_simple_taste(tmp_path, seed):
    rows = []
    model = train_preference(by_taste(120, seed), tmp_path / "m", SMALL, seed=seed, log=rows.append)
    assert pairwise_scores(model.margins, by_taste(60, seed=9)).accuracy.mean > 0.95  # chance is 0.5
    assert min(row["validation_loss"] for row in rows) < 0.35 < rows[0]["loss"]
    written = json.loads((tmp_path / "m" / "preference.json").read_text())
    assert written["judgements"] + written["held_out"] == 120
    assert written["validation_loss"] == min(row["validation_loss"] for row in rows)


def test_the_same_seed_gives_the_same_model(tmp_path):
    config = PreferenceConfig(hidden_size=16, num_layers=1, num_heads=2, epochs=1)
    first, again, other = (
        train_preference(by_taste(60), tmp_path / str(n), config, seed=seed).margins(by_taste(5))
        for n, seed in enumerate((3, 3, 4))
    )
    assert first == again != other


def test_a_trained_encoder_gets_a_head_for_scores(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "please", "?", "for", "people", "on", "two", "monday"]
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(tmp_path / "bert")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=24, **shape)
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    scorer = make_scorer(PreferenceConfig(model=str(tmp_path / "bert")), seed=0)
    (ids,) = scorer.encode([(asking("for two people on monday " * 20), "please ?")])
    assert len(ids) == scorer.max_length == 24
    assert [words[number] for number in ids[-4:]] == ["[SEP]", "please", "?", "[SEP]"]
    assert words[ids[0]] == "[CLS]"
    model = train_preference(
        by_taste(120), tmp_path / "m", PreferenceConfig(model=str(tmp_path / "bert"), learning_rate=5e-3, epochs=3)
    )
    assert pairwise_scores(model.margins, by_taste(50, seed=9)).accuracy.mean > 0.95


def test_a_reply_cannot_forge_a_marker():
    scorer = make_scorer(SMALL, seed=0)
    end = scorer.tokenizer.eos_token
    (ids,) = scorer.encode([(asking(f"hi {end}"), f"a {end} b")])
    assert ids.count(scorer.tokenizer.eos_token_id) == 2


def test_judgements_that_teach_nothing_are_refused(tmp_path):
    for judgements in ([judgement("tie", pair=str(n), first=str(n)) for n in range(40)], [judgement()]):
        with pytest.raises(ValueError, match="expected judgements to learn from"):
            train_preference(judgements, tmp_path / "m", SMALL)
    assert not (tmp_path / "m").exists()


def test_a_file_is_no_place_for_a_model_and_stays(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text("years of work")
    with pytest.raises(ValueError, match=r"expected a folder for the model, got .*ratings\.jsonl', which is a file"):
        train_preference(by_taste(60), path, SMALL)
    assert path.read_text() == "years of work"


def test_held_out_judgements_that_are_all_ties_are_refused_before_anything_is_learned(tmp_path):
    _, held_out = split_judgements(by_taste(60), SMALL.validation_share)
    keys = {one.key for one in held_out}
    judgements = [dataclasses.replace(one, choice="tie") if one.key in keys else one for one in by_taste(60)]
    with pytest.raises(ValueError, match="neither of them all ties"):
        train_preference(judgements, tmp_path / "m", SMALL)
    assert not (tmp_path / "m").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="expected a new folder or that of a preference model"):
        train_preference(by_taste(60), tmp_path, SMALL)
    assert (tmp_path / "thesis.txt").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"hidden_size": 30, "num_heads": 4}, "hidden_size must be a multiple of num_heads, got 30 and 4"),
        ({"max_length": 3}, "max_length must be at least 8, got 3"),
        ({"model": "a", "tokenizer": "b"}, "tokenizer is for model=None"),
    ],
)
def test_a_wrong_setting_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        PreferenceConfig(**options)


# The reward


def test_what_people_like_is_rewarded_and_an_empty_reply_gets_the_floor(folder):
    reward = PreferenceModel(folder)
    good, bad = (reward(said(f"for two people on monday {end}")) for end in ("please ?", "?"))
    assert 0 < bad < 0.5 < good < 1
    assert reward(said("")) == reward(said("  \n")) == reward(Transcript()) == 0.0


def test_the_score_is_normalised_by_that_of_the_replies_it_learned_from(folder):
    reward = PreferenceModel(folder)
    (score,) = reward.scorer.scores(reward.scorer.encode([(said("").messages[:1], "yes please .")]))
    mean, deviation = reward.normalisation
    assert reward(said("yes please .")) == pytest.approx(1 / (1 + math.exp(-(score - mean) / deviation)))
    reward.normalisation = Normalisation(score, 1.0)
    assert reward(said("yes please .")) == pytest.approx(0.5)
    reward.normalisation = Normalisation(score + 1e6, 1.0)
    assert reward(said("yes please .")) == 0.0


def test_half_a_surrogate_pair_is_scored_and_loading_shows_no_progress(folder, capfd):
    transformers.utils.logging.enable_progress_bar()
    assert 0 < PreferenceModel(folder)(said("\ud800 please ?")) < 1
    assert capfd.readouterr().err == ""


def test_a_batch_scores_as_single_calls_do(folder):
    reward = PreferenceModel(folder)
    replies = ["please ?", "", "for two people on monday ?", "please ?", "no " * 40]
    singly = [reward(said(reply)) for reply in replies]
    assert reward.batch([said(reply) for reply in replies]) == pytest.approx(singly, abs=1e-5)
    assert reward.batch([]) == []


def test_what_is_said_after_the_reply_does_not_change_its_reward(folder):
    reward = PreferenceModel(folder)
    assert reward(said("please ?", {"role": "user", "content": "no"})) == reward(said("please ?"))


def test_placeholders_are_scored_as_people_read_them(folder):
    filled, transcript = PreferenceModel(folder), Transcript()
    transcript.append(("user", "a table for two people on monday"))
    transcript.append(("assistant", "[word] ?"), "please ?")
    assert filled(transcript) == filled(said("please ?"))


def test_a_reward_is_made_by_object_or_by_name_and_survives_pickling(folder):
    reward = PreferenceModel(folder)
    named = resolve(f"preference:{folder}")
    again = pickle.loads(pickle.dumps(reward))
    assert named(said("please ?")) == reward(said("please ?")) == again(said("please ?"))
    for given in (reward, f"preference:{folder}"):
        env = gym.make("dialogym:TextDialog-v0", interface="text", reward={given: 2, "turn": -1})
        env.reset(seed=0)
        _, value, _, _, info = env.step("which area would you like please ?")
        assert list(info["reward_terms"])[1] == "turn"
        assert -1 < value < 1


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"has no preference\.json"):
        PreferenceModel(tmp_path)
    with pytest.raises(ValueError, match=r"did you mean 'preference:\.\.\.'"):
        resolve("preferences")


# On the command line

runner = CliRunner()


def fit(*arguments):
    return runner.invoke(cli.app, ["train", "preference", *map(str, arguments)])


def test_the_command_line_fits_a_model_says_how_good_it_is_and_names_its_reward(tmp_path):
    data, out = tmp_path / "ratings.jsonl", tmp_path / "model"
    for one in by_taste(120):
        append_judgement(data, one)
    small = [f"--config={setting}" for setting in ("hidden_size=16", "num_heads=2", "num_layers=1", "epochs=2")]
    done = fit("--data", data, "--out", out, *small)
    assert done.exit_code == 0, done.exception
    assert "pairwise accuracy" in done.output
    assert f"preference:{out}" in done.output
    assert 0 < resolve(f"preference:{out}")(said("please ?")) < 1
    before = (out / PREFERENCE_FILE).stat().st_mtime_ns
    again = fit("--data", data, "--out", out, *small)
    assert "holds a preference model: train in another folder with --out, or replace it" in str(again.exception)
    assert (out / PREFERENCE_FILE).stat().st_mtime_ns == before
    again = fit("--data", data, "--out", out, *small, "--overwrite")
    assert again.stdout == done.stdout
    assert (out / PREFERENCE_FILE).stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("preference",), "takes the judgements, --data FILE"),
        (("preference", "--data", "none.jsonl"), "none.jsonl"),
        (("preference", "--data", "none.jsonl", "--config", "epoch=1"), "did you mean 'epochs'?"),
        (("sft", "--data", "chats.jsonl"), "conversations for sft: --config data=chats.jsonl"),
    ],
)
def test_what_the_command_line_cannot_do_is_told(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(cli.app, ["train", *arguments])
    assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_it_learns_where_it_is_told(monkeypatch):
    monkeypatch.setattr(train, "resolve_device", lambda device: torch.device("meta" if device == "cuda" else "cpu"))
    config = PreferenceConfig(hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, device="cuda")
    scorer = make_scorer(config, seed=0)
    pair = train._Example([5, 6, 7], [5, 6], 1.0)
    with on_meta(scorer.model):
        train._Fit(scorer, config, seed=0)._batch_loss([pair, pair]).backward()
    gradients = [weights.grad for weights in scorer.model.parameters() if weights.grad is not None]
    assert {gradient.device.type for gradient in gradients} == {"meta"}


def test_rows_of_judgements_that_are_wrong_can_be_left_out(tmp_path):
    path = tmp_path / "ratings.jsonl"
    for one in by_taste(60):
        append_judgement(path, one)
    with path.open("a") as file:
        file.write('{"first": ["Yes."]}\n{"first": ["No."]}\n')
    command = ["train", "preference", "--data", str(path), "--out", str(tmp_path / "m")]
    command += [word for name in ("hidden_size", "epochs") for word in ("--config", f"{name}={getattr(SMALL, name)}")]
    done = CliRunner().invoke(cli.app, command)
    assert "2 of 62 rows are wrong (on_error='skip' leaves them out)" in str(done.exception)
    done = CliRunner().invoke(cli.app, [*command, "--config", "on_error=skip"])
    assert done.exception is None, done.output
    assert (tmp_path / "m" / PREFERENCE_FILE).is_file()
