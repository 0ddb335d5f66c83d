"""Hugging Face's own models trace without change, where their library is installed: from scratch and fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.plain_torch import job_of, require_equal

transformers: Any = pytest.importorskip("transformers", reason="a machine with `transformers` runs this")
pytestmark = pytest.mark.filterwarnings("ignore")
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 32, (8, 8))
IMAGES = {"image": RANDOM.standard_normal((8, 3, 16, 16)).astype(np.float32), "label": RANDOM.integers(0, 5, 8)}
SMALL = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
WIDE = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_hidden_layers": 1}


def language(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(input_ids=batch["tokens"], labels=batch["tokens"]).loss


def image_classes(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(pixel_values=batch["image"], labels=batch["label"]).loss


MODELS = {
    "GPT2LMHeadModel": lambda: transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=8, **SMALL),
    "LlamaForCausalLM": lambda: transformers.LlamaConfig(
        num_key_value_heads=2, max_position_embeddings=16, **WIDE, **SMALL
    ),
    "MistralForCausalLM": lambda: transformers.MistralConfig(
        num_key_value_heads=2, max_position_embeddings=16, sliding_window=4, **WIDE, **SMALL
    ),
    "Qwen2ForCausalLM": lambda: transformers.Qwen2Config(
        num_key_value_heads=2, max_position_embeddings=16, **WIDE, **SMALL
    ),
    "BertForMaskedLM": lambda: transformers.BertConfig(max_position_embeddings=16, **WIDE, **SMALL),
    "T5ForConditionalGeneration": lambda: transformers.T5Config(
        d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4, decoder_start_token_id=0, **SMALL
    ),
}
SEEING = {
    "ViTForImageClassification": lambda: transformers.ViTConfig(image_size=16, patch_size=8, num_labels=5, **WIDE),
    "ResNetForImageClassification": lambda: transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=5
    ),
    "ConvNextForImageClassification": lambda: transformers.ConvNextConfig(
        hidden_sizes=[4, 8], depths=[1, 1], num_stages=2, num_labels=5, image_size=16
    ),
}


def made(name: str, configs: Any = MODELS) -> Any:
    """A model of the library with random weights, as it trains."""
    torch.manual_seed(0)
    return getattr(transformers, name)(configs[name]()).train()


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_of_the_library(name: str) -> None:
    require_equal(job_of(made(name), language, {"tokens": TOKENS}, clip_norm=1.0))


@pytest.mark.parametrize("name", SEEING)
def test_an_image_model_of_the_library(name: str) -> None:
    require_equal(job_of(made(name, SEEING), image_classes, IMAGES, clip_norm=1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fine_tuning_from_a_file_of_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in made("LlamaForCausalLM").state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(MODELS["LlamaForCausalLM"]()).train()
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    start = require_equal(job_of(model, language, {"tokens": TOKENS}, optimizer)).start_state
    for name, tensor in weights.items():
        assert start[f"parameter.{name}"].tobytes() == tensor.float().numpy().tobytes()


class Adapted(nn.Module):
    """A frozen product and a trained one of low rank beside it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = nn.Linear(base.in_features, 2, bias=False), nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


def test_adapters_on_a_file_of_weights(tmp_path: Path) -> None:
    save_file(made("LlamaForCausalLM").state_dict(), tmp_path / "model.safetensors")
    model = made("LlamaForCausalLM").requires_grad_(False)
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for layer in model.model.layers:
        layer.self_attn.q_proj = Adapted(layer.self_attn.q_proj)
        layer.self_attn.v_proj = Adapted(layer.self_attn.v_proj)
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    job = require_equal(job_of(model, language, {"tokens": TOKENS}, torch.optim.AdamW(adapters, lr=1e-2)))
    assert len(adapters) == 4 and sum("exp_avg_sq" in name for name in job.start_state) == 4
