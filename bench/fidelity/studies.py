"""500 steps at default width beside 500 in float32 torch, from the same start and on the same batches, per seed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import examples
from bench.models.transformer import Decoder, Size, next_token_loss
from bench.plain_torch import batches_of, job_of, run_resident, run_torch
from engine.trace import trace
from engine.tracing.job_file import JobFile, read

Array = np.ndarray
EXAMPLES = Path(examples.__file__).parent
SEEDS, STEPS = range(5), 500
VOCABULARY, HELD_OUT = 4096, 0.1
TOKEN = re.compile(r"[A-Za-z]+|[0-9]+|\n *| +|.")
CHAR = Size(layers=2, heads=4, C=96, vocabulary=128, B=16, T=64, dropout=0.0)
WORDS = Size(layers=2, heads=4, C=96, vocabulary=VOCABULARY, B=8, T=64, dropout=0.0)


@dataclass(frozen=True)
class Study:
    """A model to be trained for 500 steps with each seed.

    job:        (seed, width) -> the training job
    validation: batches that no step sees, name -> array
    """

    job: Callable[[int, str], JobFile]
    validation: Callable[[], list[dict[str, Array]]]


def characters() -> Array:
    """The text of the examples, byte by byte."""
    return np.frombuffer((EXAMPLES / "data" / "python_library.txt").read_bytes(), np.uint8)


def words() -> Array:
    """The same text in 4096 tokens: its words, and its most frequent pairs of words."""
    text = TOKEN.findall((EXAMPLES / "data" / "python_library.txt").read_text())
    pairs = Counter(pairwise(text)).most_common(VOCABULARY - len(set(text)))
    joined, kept = {pair for pair, _ in pairs}, list[str]()
    place = 0
    while place < len(text):
        is_pair = tuple(text[place : place + 2]) in joined
        kept.append("".join(text[place : place + 1 + is_pair]))
        place += 1 + is_pair
    numbers = {token: number for number, token in enumerate(dict.fromkeys(kept))}
    return np.array([numbers[token] for token in kept], np.uint16)


def _gpt(tokens: Callable[[], Array], size: Size) -> Study:
    def job(seed: int, width: str) -> JobFile:
        torch.manual_seed(seed)
        model, stream = Decoder(size), tokens()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
        names = {"window": size.T + 1, "batch_size": size.B, "seed": seed, "width": width, "clip_norm": 1.0}
        train = stream[: int(len(stream) * (1 - HELD_OUT))]
        return job_of(model, next_token_loss, {"tokens": train}, optimizer, steps=STEPS, **names)

    def validation() -> list[dict[str, Array]]:
        stream = tokens()
        held = stream[int(len(stream) * (1 - HELD_OUT)) :]
        rows = len(held) // (size.T + 1)
        windows = held[: rows * (size.T + 1)].reshape(rows, -1).astype(np.int64)
        return [{"tokens": part} for part in np.array_split(windows, -(-rows // 32))]

    return Study(job, validation)


def _digits() -> Study:
    images = load_file(EXAMPLES / "data" / "optdigits.safetensors")
    first = int(len(images["label"]) * (1 - HELD_OUT))

    def job(seed: int, width: str) -> JobFile:
        whole = read(EXAMPLES / "digits.py", {"steps": STEPS, "seed": seed})
        fields = {name: array[:first] for name, array in images.items()}
        return replace(whole, fields=fields, seed=seed, width=width, steps=STEPS)

    held = {name: array[first:] for name, array in images.items()}
    return Study(job, lambda: [{"image": held["image"], "label": held["label"].astype(np.int64)}])


STUDIES: dict[str, Callable[[], Study]] = {
    "char GPT": lambda: _gpt(characters, CHAR),
    "CNN": _digits,
    "GPT, 4096 tokens": lambda: _gpt(words, WORDS),
}


def losses(name: str, seed: int) -> dict[str, float]:
    """The validation loss of both ways to train a study's model, and the training loss of their last 50 steps."""
    study = STUDIES[name]()
    job = study.job(seed, "default")
    traced = trace(job)
    expected, trained = run_torch(job, list(batches_of(traced)))
    metrics, state = run_resident(traced)
    plain, ours = validation_loss(study, job, trained), validation_loss(study, job, _holding(job.model, state))
    return {
        "torch": plain,
        "ours": ours,
        "torch_training": float(np.mean([float(m["loss"]) for m in expected[-50:]])),
        "ours_training": float(np.mean([float(m["loss"]) for m in metrics[-50:]])),
    }


def _holding(model: nn.Module, state: Mapping[str, Array]) -> nn.Module:
    """The model with the parameters and buffers of a program's state."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    slots = {name: state.get(f"parameter.{name}", state.get(f"buffer.{name}")) for name in tensors}
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(slots[name])))
    return model


@torch.no_grad()
def validation_loss(study: Study, job: JobFile, model: nn.Module) -> float:
    """The mean loss of the held-out batches, in float32 torch."""
    model.eval()
    found = [(_loss(job.loss(model, _tensors(batch))), len(next(iter(batch.values())))) for batch in study.validation()]
    return float(np.average([loss for loss, _ in found], weights=[rows for _, rows in found]))


def _loss(result: Any) -> float:
    return float(result["loss"] if isinstance(result, Mapping) else result)


def _tensors(batch: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in batch.items()}
