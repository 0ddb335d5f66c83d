"""Hugging Face's own models trace without change, from scratch and fine-tuned; `.[test]` installs their library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.plain_torch import job_of, require_equal
from engine.trace import TraceError, trace

hf = pytest.importorskip("transformers", reason="an environment with `.[test]` runs this")
from hugging_face_models import (  # noqa: E402
    CLASSES,
    ENCODER,
    IMAGES,
    LANGUAGE,
    OTHERS,
    SEEING,
    TOKENS,
    labelled,
    language,
    made,
)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_of_the_library(name: str) -> None:
    require_equal(job_of(made(name), language, {"tokens": TOKENS}, clip_norm=1.0))


@pytest.mark.parametrize("name", SEEING)
def test_an_image_model_of_the_library(name: str) -> None:
    require_equal(job_of(made(name), labelled, {"image": IMAGES, "label": CLASSES}, clip_norm=1.0))


@pytest.mark.parametrize("name", OTHERS)
def test_another_model_or_loss_of_the_library(name: str) -> None:
    torch.manual_seed(0)
    make, loss, data = OTHERS[name]
    require_equal(job_of(make().train(), loss, data, clip_norm=1.0))


@pytest.mark.parametrize(
    ("masks", "message"), [(False, "nothing may depend on values"), (True, r"np\.random\.rand would be drawn once")]
)
def test_a_layer_that_is_dropped_by_a_branch_or_masked_by_numpy_is_refused_with_its_line(
    masks: bool, message: str
) -> None:
    windows = {"conv_dim": (8, 8), "conv_stride": (2, 2), "conv_kernel": (3, 3), "num_feat_extract_layers": 2}
    config = hf.Wav2Vec2Config(
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, apply_spec_augment=masks, **windows, **ENCODER
    )
    torch.manual_seed(0)
    model = hf.Wav2Vec2Model(config).train()

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return model(input_values=batch["image"].flatten(1)[:, :64]).last_hidden_state.square().mean()

    with pytest.raises(TraceError, match=message) as caught:
        trace(job_of(model, loss, {"image": IMAGES}))
    assert "modeling_wav2vec2.py:" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fine_tuning_from_a_file_of_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in made("LlamaForCausalLM").state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    torch.manual_seed(1)
    model = hf.LlamaForCausalLM(LANGUAGE["LlamaForCausalLM"]()).train()
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
