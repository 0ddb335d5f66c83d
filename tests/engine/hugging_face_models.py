"""Small models of Hugging Face's `transformers`, made from configurations: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers as hf
from torch import Tensor, nn

Batch = dict[str, Tensor]
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 32, (8, 8))
IMAGES = RANDOM.standard_normal((8, 3, 16, 16)).astype(np.float32)
CLASSES = RANDOM.integers(0, 5, 8)
VOCABULARY = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
ENCODER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
}
TEXT = {"max_position_embeddings": 16, **ENCODER, **VOCABULARY}
GROUPED = {"num_key_value_heads": 2, **TEXT}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 8, **GROUPED}
LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4}
SEQ2SEQ = {
    f"{part}_{name}": size
    for part in ("encoder", "decoder")
    for name, size in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 24))
} | {"d_model": 16, "decoder_start_token_id": 0, "forced_eos_token_id": None}
PYRAMID = {"hidden_sizes": [4, 8], "depths": [1, 1]}
LANGUAGE: dict[str, Callable[[], Any]] = {
    "GPT2LMHeadModel": lambda: hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=8, **VOCABULARY),
    "LlamaForCausalLM": lambda: hf.LlamaConfig(**GROUPED),
    "MistralForCausalLM": lambda: hf.MistralConfig(sliding_window=4, **GROUPED),
    "Qwen2ForCausalLM": lambda: hf.Qwen2Config(**GROUPED),
    "Qwen3ForCausalLM": lambda: hf.Qwen3Config(head_dim=4, **GROUPED),
    "Gemma2ForCausalLM": lambda: hf.Gemma2Config(head_dim=4, **GROUPED),
    "Phi3ForCausalLM": lambda: hf.Phi3Config(**GROUPED),
    "GPTNeoXForCausalLM": lambda: hf.GPTNeoXConfig(**TEXT),
    "BloomForCausalLM": lambda: hf.BloomConfig(hidden_size=16, n_layer=1, n_head=4, **VOCABULARY),
    "MixtralForCausalLM": lambda: hf.MixtralConfig(
        num_local_experts=4, num_experts_per_tok=2, output_router_logits=True, **GROUPED
    ),
    "DeepseekV3ForCausalLM": lambda: hf.DeepseekV3Config(
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=0,
        **LATENT,
        **{**EXPERTS, "num_key_value_heads": 4},
    ),
    "MambaForCausalLM": lambda: hf.MambaConfig(
        hidden_size=16, state_size=4, num_hidden_layers=1, use_mambapy=False, **VOCABULARY
    ),
    "RwkvForCausalLM": lambda: hf.RwkvConfig(
        hidden_size=16, num_hidden_layers=2, attention_hidden_size=16, intermediate_size=24, **VOCABULARY
    ),
    "BertForMaskedLM": lambda: hf.BertConfig(**TEXT),
    "LongformerForMaskedLM": lambda: hf.LongformerConfig(attention_window=4, sep_token_id=2, **TEXT),
    "DebertaV2ForMaskedLM": lambda: hf.DebertaV2Config(relative_attention=True, pos_att_type=["p2c", "c2p"], **TEXT),
    "ModernBertForMaskedLM": lambda: hf.ModernBertConfig(cls_token_id=0, sep_token_id=0, **TEXT),
    "T5ForConditionalGeneration": lambda: hf.T5Config(
        d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4, decoder_start_token_id=0, **VOCABULARY
    ),
    "BartForConditionalGeneration": lambda: hf.BartConfig(max_position_embeddings=16, **SEQ2SEQ, **VOCABULARY),
}
SEEING: dict[str, Callable[[], Any]] = {
    "ViTForImageClassification": lambda: hf.ViTConfig(image_size=16, patch_size=8, **ENCODER),
    "SwinForImageClassification": lambda: hf.SwinConfig(
        image_size=16, patch_size=2, embed_dim=8, depths=[2], num_heads=[2], window_size=4
    ),
    "Dinov2ForImageClassification": lambda: hf.Dinov2Config(
        image_size=16, patch_size=8, hidden_size=16, num_attention_heads=4, num_hidden_layers=1
    ),
    "ResNetForImageClassification": lambda: hf.ResNetConfig(embedding_size=4, layer_type="basic", **PYRAMID),
    "ConvNextForImageClassification": lambda: hf.ConvNextConfig(num_stages=2, image_size=16, **PYRAMID),
}


def language(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_ids=batch["tokens"], labels=batch["tokens"]).loss


def padded(model: nn.Module, batch: Batch) -> Tensor:
    """What is padding has no label and is attended by nothing."""
    is_text = batch["tokens"] > 3
    labels = batch["tokens"].masked_fill(~is_text, -100)
    return model(input_ids=batch["tokens"], attention_mask=is_text.long(), labels=labels).loss


def labelled(model: nn.Module, batch: Batch) -> Tensor:
    return model(pixel_values=batch["image"], labels=batch["label"]).loss


def pairs(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_ids=batch["tokens"], pixel_values=batch["image"], return_loss=True).loss


def captions(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_ids=batch["tokens"], pixel_values=batch["image"], labels=batch["tokens"]).loss


def speech(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_features=batch["sound"], labels=batch["tokens"]).loss


def clip() -> Any:
    text = {"vocab_size": 32, "max_position_embeddings": 16, "projection_dim": 8, **ENCODER}
    ends = {"bos_token_id": 0, "eos_token_id": 31, "pad_token_id": 1}
    vision = {"image_size": 16, "patch_size": 8, "projection_dim": 8, **ENCODER}
    return hf.CLIPModel(hf.CLIPConfig(text_config={**text, **ends}, vision_config=vision, projection_dim=8))


def llava() -> Any:
    vision = hf.CLIPVisionConfig(image_size=16, patch_size=8, **{**ENCODER, "num_hidden_layers": 2})
    config = hf.LlavaConfig(
        vision_config=vision, text_config=hf.LlamaConfig(**GROUPED), image_token_index=31, image_seq_length=4
    )
    return hf.LlavaForConditionalGeneration(config)


def whisper() -> Any:
    sizes = {"num_mel_bins": 4, "max_source_positions": 8, "max_target_positions": 16}
    return hf.WhisperForConditionalGeneration(hf.WhisperConfig(**sizes, **SEQ2SEQ, **VOCABULARY))


def checkpointed() -> Any:
    model = made("LlamaForCausalLM")
    model.gradient_checkpointing_enable()
    return model


def segformer() -> Any:
    windows = {"patch_sizes": [3, 3], "strides": [2, 2], "sr_ratios": [2, 1], "mlp_ratios": [2, 2]}
    heads = {"num_encoder_blocks": 2, "num_attention_heads": [1, 2], "decoder_hidden_size": 8, "num_labels": 5}
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(**windows, **heads, **PYRAMID))


# name -> (model, loss, data)
OTHERS: dict[str, tuple[Callable[[], Any], Any, dict[str, Any]]] = {
    "pairs of text and image": (clip, pairs, {"tokens": TOKENS, "image": IMAGES}),
    "images in text": (
        llava,
        captions,
        {"tokens": np.concatenate([np.full((8, 4), 31), TOKENS % 31], 1), "image": IMAGES},
    ),
    "speech": (
        whisper,
        speech,
        {"tokens": TOKENS, "sound": RANDOM.standard_normal((8, 4, 16)).astype(np.float32)},
    ),
    "classes of pixels": (
        segformer,
        labelled,
        {"image": IMAGES, "label": RANDOM.integers(0, 5, (8, 16, 16))},
    ),
    "padded text": (lambda: made("LlamaForCausalLM"), padded, {"tokens": TOKENS}),
    "gradient checkpointing": (checkpointed, language, {"tokens": TOKENS}),
}


def made(name: str) -> Any:
    """A model of the library with random weights, as it trains."""
    torch.manual_seed(0)
    config = LANGUAGE[name]() if name in LANGUAGE else SEEING[name]()
    if name in SEEING:
        config.num_labels = 5
    return getattr(hf, name)(config).train()
