"""docs/fidelity.md, written from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.fidelity.steps import STEPS
from bench.fidelity.studies import CHAR, SEEDS, STUDIES, VOCABULARY, WORDS
from bench.fidelity.studies import STEPS as STUDY_STEPS
from bench.models.families import FAMILIES

PATH = Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"
BOUND = 1e-4
Rows = Mapping[str, Mapping[str, Any]]

HEAD = """# How close to torch

Written by `python -m bench.fidelity` from `bench/results/fidelity.json`, where every row carries its commit. {machine}.
Commits: {commits}. Rows that the file has are kept (`--again` measures them anew), so a stopped command goes on.

## {steps} strict steps of each family
The families are those of `bench/models/families`, at tiny sizes. A job is traced with `width = "strict"` and run for
{steps} steps on the native backend; beside it an ordinary torch loop in float32 (eager, `torch.optim`,
`clip_grad_norm_`) trains the same model on the same batches with the program's random numbers. A third loop, in
float64, gives the true gradients. Every number is relative; the bound is {bound:g} for the loss and for each
parameter tensor.

* *loss*: the largest difference of a step. *parameter*: the largest Frobenius norm of a tensor's difference after the
  last step over the tensor's own.
* *gradient*: the largest such difference of a tensor's gradient in the first step, to float64; *torch's*: the same of
  torch's own float32 gradient.
* *true gradient zero*: elements whose gradient is zero in every step by the model's mathematics, such as the bias of
  an attention's keys, which a softmax does not see. Float32 gives them rounding noise, and Adam divides noise by its
  own size, so any two float32 programs move them differently. They are left out of *parameter*; the backends
  {backends} agree in them, as in every other slot of the state, to the byte (checked after the last step).

| family | loss | parameter | of tensor | gradient | torch's | true gradient zero |
|---|---|---|---|---|---|---|
"""
STUDY = """
## {steps} steps at default width, {seeds} seeds
A seed gives the start and the order of the batches. Each seed trains twice, from the same start on the same batches:
the program (`width = "default"`) and float32 torch; the validation loss of both is computed by float32 torch on a
tenth of the data that no step sees. The char GPT and the GPT of {vocabulary} tokens have {layers} layers of width
{width} and read {char} and {words} tokens a step of the examples' text; the CNN is `examples/digits.py`. The bound:
the mean difference is at most one standard deviation of torch's losses over the seeds.

| study | seeds | torch | its deviation | mean difference | its deviation | bound |
|---|---|---|---|---|---|---|
"""
EACH = """
Validation loss of each seed, torch / ours:

| study | {seeds} |
|---|{rules}|
"""


def document(machine: Mapping[str, Any], rows: Rows) -> str:
    """The whole document; a ValueError names what has not been measured."""
    missing = [name for name in names() if name not in rows]
    if missing:
        raise ValueError(f"fidelity: got no result of {missing[0]!r}, want it measured first")
    commits = ", ".join(sorted({row["commit"] for row in rows.values()}))
    where = (
        f"Machine: {machine['processor']}, {machine['cores']} cores, torch {machine['torch']},"
        f" numpy {machine['numpy']}; one thread"
    )
    families = {name: rows[f"family: {name}"] for name in FAMILIES}
    backends = " and ".join(next(iter(families.values()))["backends"])
    head = HEAD.format(machine=where, commits=commits, steps=STEPS, bound=BOUND, backends=backends)
    studies = {name: [rows[f"study: {name}: {seed}"] for seed in SEEDS] for name in STUDIES}
    middle = STUDY.format(
        steps=STUDY_STEPS,
        seeds=len(SEEDS),
        vocabulary=VOCABULARY,
        layers=CHAR.layers,
        width=CHAR.C,
        char=CHAR.B * CHAR.T,
        words=WORDS.B * WORDS.T,
    )
    each = EACH.format(seeds=" | ".join(f"seed {seed}" for seed in SEEDS), rules="|".join(["---"] * len(SEEDS)))
    return "".join(
        [
            head,
            *(_family(name, row) for name, row in families.items()),
            f"\nBeyond the bound: {_beyond(families)}.\n",
            middle,
            *(_study(name, found) for name, found in studies.items()),
            each,
            *(_seeds(name, found) for name, found in studies.items()),
        ]
    )


def names() -> list[str]:
    """All that the document tells of."""
    return [
        *(f"family: {name}" for name in FAMILIES),
        *(f"study: {name}: {seed}" for name in STUDIES for seed in SEEDS),
    ]


def _family(name: str, row: Mapping[str, Any]) -> str:
    zero = ", ".join(f"{count} of `{tensor}`" for tensor, count in row["zero"].items()) or "-"
    numbers = [f"{row[key]:.1e}" for key in ("loss", "parameter", "gradient", "torch_gradient")]
    return f"| {name} | {numbers[0]} | {numbers[1]} | `{row['worst']}` | {numbers[2]} | {numbers[3]} | {zero} |\n"


def _beyond(families: Rows) -> str:
    return ", ".join(name for name, row in families.items() if max(row["loss"], row["parameter"]) > BOUND) or "none"


def _study(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    plain, ours = (np.array([row[key] for row in rows]) for key in ("torch", "ours"))
    mean, deviation = (ours - plain).mean(), plain.std(ddof=1)
    verdict = "held" if abs(mean) <= deviation else "**missed**"
    return (
        f"| {name} | {len(rows)} | {plain.mean():.4f} | {deviation:.4f} | {mean:+.5f} |"
        f" {(ours - plain).std(ddof=1):.5f} | {verdict} |\n"
    )


def _seeds(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    return f"| {name} | " + " | ".join(f"{row['torch']:.4f} / {row['ours']:.4f}" for row in rows) + " |\n"
