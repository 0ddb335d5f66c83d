"""Hugging Face's own models trace without change, where their library is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.plain_torch import job_of, require_equal

transformers: Any = pytest.importorskip("transformers", reason="a machine with `transformers` runs this")
TOKENS = np.random.default_rng(0).integers(0, 32, (8, 8))
SMALL = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
WIDE = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_hidden_layers": 1}


def language(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(input_ids=batch["tokens"], labels=batch["tokens"]).loss


MODELS = {
    "GPT2LMHeadModel": lambda: transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=8, **SMALL),
    "LlamaForCausalLM": lambda: transformers.LlamaConfig(
        num_key_value_heads=2, max_position_embeddings=16, **WIDE, **SMALL
    ),
    "BertForMaskedLM": lambda: transformers.BertConfig(max_position_embeddings=16, **WIDE, **SMALL),
    "T5ForConditionalGeneration": lambda: transformers.T5Config(
        d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4, decoder_start_token_id=0, **SMALL
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_library(name: str) -> None:
    torch.manual_seed(0)
    model = getattr(transformers, name)(MODELS[name]()).train()
    require_equal(job_of(model, language, {"tokens": TOKENS}, clip_norm=1.0))
