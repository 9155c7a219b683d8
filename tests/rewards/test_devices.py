"""Which device a model computes on, on machines that have one and on machines that do not."""

import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from dialogym.rewards.devices import resolve_device

from ..one_device import HandedOver, on_meta


@pytest.fixture
def machine(monkeypatch):
    """Makes torch find so many GPUs."""

    def has(num_cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("num_cuda", "mps", "expected"), [(2, True, "cuda"), (1, False, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_takes_the_fastest_there_is(machine, num_cuda, mps, expected):
    machine(num_cuda, mps)
    assert resolve_device("auto") == torch.device(expected)


def test_a_device_that_is_named_is_taken(machine):
    machine(num_cuda=2, mps=True)
    assert [str(resolve_device(name)) for name in ("cpu", "mps", "cuda", "cuda:1")] == ["cpu", "mps", "cuda", "cuda:1"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", r"device 'cuda' is not there: torch finds no cuda device here; device='auto' takes one of mps, cpu"),
        ("cuda:1", r"'cuda:1' is not there: torch finds no cuda device here"),
        ("gpu", r"device must be one of auto, cuda, cuda:N, mps, cpu, got 'gpu'"),
        ("cudo", r"got 'cudo'; did you mean 'cuda'\?"),
        ("Auto", r"got 'Auto'; did you mean 'auto'\?"),
        ("cuda:", r"got 'cuda:'"),
        ("cuda:x", r"got 'cuda:x'"),
        ("cuda:-1", r"got 'cuda:-1'"),
        ("cuda:²", r"got 'cuda:²'"),
        ("cpu:0", r"got 'cpu:0'"),
        ("", r"got ''"),
    ],
)
def test_a_device_that_is_not_there_and_one_that_is_none_are_told_apart(machine, device, message):
    machine(mps=True)
    with pytest.raises(ValueError, match=message):
        resolve_device(device)


def test_a_gpu_beyond_the_last_is_not_there(machine):
    machine(num_cuda=2)
    with pytest.raises(ValueError, match=r"'cuda:2' is not there: torch finds 2 CUDA devices, counted from 0"):
        resolve_device("cuda:2")


def test_a_device_is_a_str():
    with pytest.raises(TypeError, match=r"device must be a str such as 'auto', got 0"):
        resolve_device(0)


def test_importing_the_module_imports_no_torch():
    code = "import sys, dialogym.rewards.devices; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Who takes a device


@pytest.fixture
def elsewhere(monkeypatch):
    """Makes "cuda" a device that is there, on which nothing is worked out."""
    import dialogym.rewards.devices as devices
    from dialogym.rewards.learned import classifier, encoder, fluency, preference

    asked = []

    def resolve(device):
        asked.append(device)
        return torch.device("meta") if device == "cuda" else devices.resolve_device(device)

    for module in (classifier, encoder, fluency, preference):
        monkeypatch.setattr(module, "resolve_device", resolve)
    return asked


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A BERT of random weights, which loads with a head as well, and its tokenizer."""
    place = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "bread"]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=len(words), **shape, pad_token_id=0)
    ).save_pretrained(str(place))
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(str(place))
    return str(place)


def test_a_classifier_computes_where_it_is_told(encoder_folder, elsewhere):
    from dialogym.rewards import Classifier

    here, there = Classifier(encoder_folder, label=0, device="cpu"), Classifier(encoder_folder, label=0, device="cuda")
    assert here._probabilities(["good bread", "bad"])[0][0] > 0
    with pytest.raises(HandedOver), on_meta(there.model):
        there._probabilities(["good bread", "bad"])
    assert elsewhere == ["cpu", "cuda"]


def test_embeddings_are_computed_where_they_are_told_and_pickle_with_their_device(encoder_folder, elsewhere, machine):
    from dialogym.rewards.learned.encoder import SentenceEncoder, sentence_encoder

    here, there = SentenceEncoder(encoder_folder, "cpu"), SentenceEncoder(encoder_folder, "cuda")
    assert here.embed(["good bread"]).shape == (1, 16)
    with pytest.raises(HandedOver), on_meta(there.model):
        there.embed(["good bread", "bad"])
    machine()
    assert sentence_encoder(encoder_folder, "cpu") is sentence_encoder(encoder_folder, "auto")
    assert here.__reduce__() == (sentence_encoder, (encoder_folder, "cpu"))


def test_fluency_and_preferences_are_computed_where_they_are_told(tmp_path, elsewhere):
    from dialogym.agents.preference.train import PreferenceConfig, make_scorer
    from dialogym.rewards.learned.fluency import likelihoods, load_judge
    from dialogym.rewards.learned.preference import Normalisation, PreferenceModel, save_scorer

    from ..agents.tiny_lm import tiny_model, tiny_tokenizer

    tiny_model(tiny_tokenizer()).save(tmp_path / "speaker")
    model, tokenizer = load_judge(str(tmp_path / "speaker"), device="cuda")
    with pytest.raises(HandedOver), on_meta(model):
        likelihoods(["red blue", "red"], model, tokenizer)
    small = PreferenceConfig(hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, device="cpu")
    save_scorer(tmp_path / "likes", make_scorer(small, seed=0), Normalisation(), {})
    here, there = (PreferenceModel(tmp_path / "likes", device=device) for device in ("cpu", "cuda"))
    sequences = here.scorer.encode([([], "yes"), ([], "yes please")])
    assert len(here.scorer.scores(sequences)) == 2
    with pytest.raises(HandedOver), on_meta(there.scorer.model):
        there.scorer.scores(sequences)
    assert there.__reduce__()[1] == (tmp_path / "likes", 64, "cuda")


def test_the_reference_of_fluency_learns_where_it_is_told(monkeypatch, machine):
    from dialogym.evaluation.compare import fluency

    machine()
    monkeypatch.setattr(fluency, "NUM_UPDATES", 2)
    assert fluency.fit(["yes", "which area ?"], device="cpu").model.device.type == "cpu"
    with pytest.raises(ValueError, match="cuda"):
        fluency.fit(["yes", "which area ?"], device="cuda")


def test_a_model_object_stays_where_it_is(encoder_folder):
    from dialogym.rewards import Classifier, Fluency

    model, tokenizer = Classifier(encoder_folder, label=0).model, object()
    for reward in (Classifier, Fluency):
        with pytest.raises(ValueError, match="device is for a model loaded by name, got 'cpu' for one that is on cpu"):
            reward(model, tokenizer, device="cpu")


def test_a_device_that_is_not_there_is_told_by_whoever_takes_one(encoder_folder, machine):
    machine()
    from dialogym.agents.bert import BertConfig
    from dialogym.agents.preference.train import PreferenceConfig
    from dialogym.evaluation.compare.fluency import fit
    from dialogym.rewards import Classifier, EmbeddingSimilarity, perplexity

    for taker in (
        lambda: BertConfig(device="cuda"),
        lambda: PreferenceConfig(device="cuda"),
        lambda: fit(["yes"], device="cuda"),
        lambda: Classifier(encoder_folder, device="cuda"),
        lambda: EmbeddingSimilarity(encoder_folder, device="cuda"),
        lambda: perplexity(["yes"], encoder_folder, device="cuda"),
    ):
        with pytest.raises(ValueError, match="device 'cuda' is not there"):
            taker()
