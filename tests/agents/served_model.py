"""A server of completions that follows vLLM's protocol and says what a real model says."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dialogym.agents.language_model.model import LanguageModel

from ..rewards.stub_server import Answer, Stub, serving

Trouble = Callable[[int, dict[str, Any]], Answer | None]
"""What goes wrong at the request of a number: an answer in place of the model's, or None."""


class ServedLM:
    """Draws tokens as ``vllm serve --logprobs-mode processed_logprobs`` would: after biases and temperature.

    Args:
        lm: whose logits.
        trouble: what goes wrong.
        raw: log-probabilities are those before biases and temperature (``raw_logprobs``).
        biased: biases are taken account of.
        by_ids: tokens come as ``token_ids``; else only as "token_id:7" among the log-probabilities.
        temperature: in place of the one that is asked for.
    """

    def __init__(
        self,
        lm: LanguageModel,
        trouble: Trouble | None = None,
        raw: bool = False,
        biased: bool = True,
        by_ids: bool = True,
        temperature: float | None = None,
    ):
        self.lm, self.trouble, self.raw, self.biased, self.by_ids = lm, trouble, raw, biased, by_ids
        self.temperature = temperature
        self.adapters: dict[str, LanguageModel] = {}
        self.lock, self.number = threading.Lock(), -1
        self.stub: Stub | None = None

    def __call__(self, request: dict[str, Any]) -> Answer:
        with self.lock:  # of torch, too: one at a time
            self.number += 1
            answer = self.trouble(self.number, request) if self.trouble is not None else None
            if answer is not None and answer.pause == 0:
                return answer
            if "lora_name" in request:
                return self._adapters(request)
            lm = self.adapters.get(request["model"], self.lm if request["model"] == "tiny" else None)
            if lm is None:
                return Answer(404, f"The model `{request['model']}` does not exist.")
            body = json.dumps({"choices": [self.choice(lm, request)]})
            return Answer(body=body, pause=0.0 if answer is None else answer.pause)

    def _adapters(self, request: dict[str, Any]) -> Answer:
        """Loads an adapter as peft saves it on top of the model that is served, or forgets it."""
        import peft

        name = request["lora_name"]
        if "lora_path" not in request:
            del self.adapters[name]
            return Answer(body=f"Success: LoRA adapter '{name}' removed successfully.")
        if name in self.adapters:
            return Answer(400, f"The lora adapter '{name}' has already been loaded.")
        copied = self.lm.frozen_copy()
        assert Path(request["lora_path"]).is_absolute()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft calls by old names what transformers has renamed
            merged = peft.PeftModel.from_pretrained(copied.model, request["lora_path"]).merge_and_unload()
        self.adapters[name] = LanguageModel(merged.eval(), self.lm.tokenizer)
        return Answer(body=f"Success: LoRA adapter '{name}' added successfully.")

    @torch.inference_mode()
    def choice(self, lm: LanguageModel, request: dict[str, Any]) -> dict[str, Any]:
        """A completion, token by token, the whole read anew for each."""
        generator = torch.Generator().manual_seed(request["seed"])
        ids, logprobs, stops = list(request["prompt"]), [], set(request["stop_token_ids"])
        temperature = self.temperature or request["temperature"]
        while len(logprobs) < request["max_tokens"]:
            logits = lm.model(torch.tensor([ids])).logits[0, -1].float()
            processed = logits.clone()
            for token, bias in (request.get("logit_bias") or {}).items() if self.biased else ():
                processed[int(token)] += bias
            processed = (processed / temperature).log_softmax(-1)
            ids.append(int(torch.multinomial(processed.exp(), 1, generator=generator)))
            logprobs.append(float((logits.log_softmax(-1) if self.raw else processed)[ids[-1]]))
            if ids[-1] in stops:
                break
        said = ids[len(request["prompt"]) :]
        found = {"tokens": [f"token_id:{token}" for token in said], "token_logprobs": logprobs}
        reason = "stop" if said[-1] in stops else "length"
        return {
            "text": "", "finish_reason": reason, "logprobs": found, **({"token_ids": said} if self.by_ids else {})
        }  # fmt: skip


@contextlib.contextmanager
def served(lm: LanguageModel, **options: Any) -> Iterator[tuple[ServedLM, Stub]]:
    """A model behind an address, as "tiny"."""
    answers = ServedLM(lm, **options)
    with serving(answers) as stub:
        yield answers, stub
