"""What a GPU takes: products beside cuBLAS, what is bound by memory beside a copy, hashing, whole training steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.case import Row
from bench.gpu_checks import applied
from bench.gpu_scale import Scale
from bench.models import llama_full, transformer
from bench.timing import interleaved
from kernels.triton import MEMORY, device, matmul, tuning
from kernels.triton.functions_pairs import IN_PAIRS
from kernels.triton.hashing import many_roots
from kernels.triton.launch import INTERPRETED

if TYPE_CHECKING:
    from bench.suites.composition import Value

LAYOUTS = ("NN", "NT", "TN")
PRODUCTS_OF_DIGITS = {"narrow": 4, "wide": 9}
WIDTHS = ("default", "strict")
Work = Callable[[], object]


def finished(work: Work) -> Callable[[], None]:
    """The work, until the GPU has done it."""

    def run() -> None:
        work()
        if not INTERPRETED:
            torch.cuda.synchronize()

    return run


def timed(scale: Scale, ours: Work, rivals: dict[str, Work], suite: str, case: str, work: float, peak: float) -> Row:
    """One row; work per second as a share of the peak, where there is one."""
    works = {name: finished(one) for name, one in {"ours": ours, **rivals}.items()}
    seconds = (
        interleaved(works, scale.rounds, scale.batch_s) if scale.rounds else {name: once(works[name]) for name in works}
    )
    mine = seconds.pop("ours")
    share = work / mine / peak if peak else None
    return Row(suite, case, 0, mine, seconds, {name: value / mine for name, value in seconds.items()}, share)


def once(work: Work) -> float:
    """The seconds of one call."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def in_precision(work: Work, precision: str) -> Work:
    """The work with torch's float32 products as they are ("highest") or on TF32 tensor cores ("high")."""

    def run() -> object:
        torch.set_float32_matmul_precision(precision)
        try:
            return work()
        finally:
            torch.set_float32_matmul_precision("highest")

    return run


def int8_peak(scale: Scale) -> float:
    """Operations per second of cuBLAS's int8 product, the fastest way known to feed those tensor cores."""
    if INTERPRETED:
        return 0.0
    n = max(scale.products)
    a, b = (torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device()) for _ in range(2))
    return 2 * n**3 / interleaved({"int8": finished(partial(torch._int_mm, a, b.t()))}, 5, scale.batch_s)["int8"]


def products(scale: Scale) -> Iterator[Row]:
    """Square products from float32 on the GPU to float32 on the GPU: maxima, digits and rounding are in our time."""
    peak = int8_peak(scale)
    print(f"  int8 peak {peak / 1e12:.0f} TOP/s", flush=True)
    for n in scale.products:
        for layout in LAYOUTS:
            a, b, rivals = square(n, layout)
            for width, passes in PRODUCTS_OF_DIGITS.items():
                ours = partial(matmul.matmul, a, b, width)
                yield timed(scale, ours, rivals, "gpu", f"{width} {layout} {n}^3", passes * 2 * n**3, peak)
    print_tilings()


def cuda_products(scale: Scale) -> Iterator[Row]:
    """The same by csrc/cuda, beside Triton's."""
    from kernels import cuda

    peak = int8_peak(scale)
    for n in scale.products:
        a, b, rivals = square(n, "NN")
        for width, passes in PRODUCTS_OF_DIGITS.items():
            ours = partial(matmul.matmul, a, b, width, multiply=cuda.multiply)
            both = {**rivals, "triton": partial(matmul.matmul, a, b, width)}
            yield timed(scale, ours, both, "gpu", f"{width} cuda NN {n}^3", passes * 2 * n**3, peak)
    print_tilings("cuda")


def square(n: int, layout: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, Work]]:
    """Two matrices, N as they lie in memory or T transposed, and torch's products of them."""
    a, b = (torch.randn(n, n, device=device()) for _ in range(2))
    a, b = a if layout[0] == "N" else a.t(), b if layout[1] == "N" else b.t()
    cublas = partial(torch.matmul, a, b)
    return a, b, {f"cublas_{x}": in_precision(cublas, y) for x, y in (("float32", "highest"), ("tf32", "high"))}


def print_tilings(kernel: str = "") -> None:
    """The milliseconds of every tiling that was measured."""
    for key, taken in tuning.measured().items():
        if (key[0] == "cuda") == (kernel == "cuda"):
            print(f"  tilings of {key}:", flush=True)
            for tiling, milliseconds in sorted(taken.items(), key=itemgetter(1)):
                print(f"    {milliseconds:8.3f} ms {tiling}", flush=True)


def composed(write: Callable[..., Value | list[Value]], *arrays: np.ndarray) -> Work:
    """What `write` composes, on tensors that are on the GPU already."""
    from bench.suites.composition import Composition  # needs the engine, and so its packages
    from engine.execute import Executor

    composition = Composition(*arrays)
    results = write(composition, *composition.inputs)
    program = composition.program(results if isinstance(results, list) else [results])
    values = {name: MEMORY.put(array) for name, array in composition.arrays.items()}
    return partial(Executor(program, "triton").advance, values)


def memory_bound(scale: Scale) -> Iterator[Row]:
    """Functions, norms and AdamW: bytes that must move, against what a copy moves."""
    from bench.suites.memory import adamw_of, layer_norm_of, softmax_of

    n, columns = scale.elements, scale.columns
    flat = np.random.default_rng(0).standard_normal(n, dtype=np.float32)
    rows, one = flat.reshape(-1, columns), np.ones(columns, np.float32)
    x, target = MEMORY.put(flat), torch.empty(n, dtype=torch.float32, device=device())
    copy: dict[str, Work] = {"copy": partial(target.copy_, x)}
    rate = 8 * n / interleaved({"copy": finished(copy["copy"])}, max(1, scale.rounds), scale.batch_s)["copy"]
    print(f"  copy {rate / 1e9:.0f} GB/s", flush=True)
    for op in sorted(IN_PAIRS):
        ours = composed(lambda c, x, op=op: c.apply(op, x), flat)
        rivals = {**copy, "torch": partial(getattr(torch, op), x)}
        rivals |= {name: partial(applied, op, x, name == "pairs") for name in ("float64", "pairs")}
        yield timed(scale, ours, rivals, "gpu", f"{op} {n}", 8 * n, rate)
    norms = {"softmax": (softmax_of, (rows,), 2), "layer norm": (layer_norm_of, (rows, one, one), 2)}
    norms["adamw"] = (adamw_of, (flat, flat, flat, np.abs(flat)), 7)
    for name, (write, arrays, moved) in norms.items():
        yield timed(scale, composed(write, *arrays), copy, "gpu", f"{name} {n}", 4 * moved * n, rate)


def hashing(scale: Scale) -> Iterator[Row]:
    """The roots of one large tensor. The share is of a copy's bytes per second, each byte counted once."""
    x = torch.zeros(scale.hashed, dtype=torch.uint8, device=device())
    target = torch.empty_like(x)
    rivals: dict[str, Work] = {"copy": partial(target.copy_, x)}
    yield timed(scale, lambda: many_roots([x], 1024), rivals, "gpu", f"hash {scale.hashed} bytes", 0, 0)


def our_step(names: dict[str, Any], width: str) -> Work:
    """A training step on a state that stays on the GPU, which every call advances."""
    from bench.suites.step import CLIP_NORM, optimizer_of
    from engine.resident import Resident
    from engine.trace import trace_job

    module = ModuleType("job")
    names["optimizer"] = optimizer_of(names["model"])
    vars(module).update(names, steps=1, clip_norm=CLIP_NORM, width=width)
    job = trace_job(module)
    values = {v.name: np.array(names["data"][v.name], order="C") for v in job.program.inputs_of("batch")}
    values |= {v.name: job.schedule[v.name][0] for v in job.program.inputs_of("schedule")}
    values |= {v.name: np.array(0, np.int64) for v in job.program.inputs if v.role in ("step", "seed", "micro_batch")}
    resident = Resident(job.program, "triton")
    resident.load(job.start_state)
    return partial(resident.step, values)


def their_step(names: dict[str, Any]) -> Work:
    """torch's eager step in float32, with its fused AdamW."""
    from bench.suites.step import CLIP_NORM, optimizer_of

    model = names["model"].to(device())
    batch = {name: torch.from_numpy(array).to(device()) for name, array in names["data"].items()}
    optimizer = optimizer_of(model, fused=True)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.device(device()):  # the model makes positions as it runs
            loss = names["loss"](model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        return loss.detach()

    return step


def steps(scale: Scale, name: str, make: Callable[[], dict[str, Any]], operations: float) -> Iterator[Row]:
    """One model at both widths; work is in operations, the peak 1, so the share is model operations per second."""
    theirs = their_step(make())
    rivals = {"torch_float32": in_precision(theirs, "highest"), "torch_tf32": in_precision(theirs, "high")}
    for width in WIDTHS:
        ours = our_step(make(), width)
        row = timed(scale, ours, rivals, "gpu", f"{name} {width}", 0, 0)
        print(f"  {name} {width}: {operations / row.ours_s / 1e12:.1f} model TFLOP/s", flush=True)
        yield row


def gpt2_step(scale: Scale) -> Iterator[Row]:
    """GPT-2 of 124M parameters, 8 x 1024 tokens."""
    size = scale.gpt
    products = 12 * size.layers * size.C**2 + size.C * size.vocabulary
    operations = size.B * size.T * (6 * products + 12 * size.layers * size.T * size.C)
    yield from steps(scale, "gpt2-124m step", partial(transformer.job, size), operations)


def llama_step(scale: Scale) -> Iterator[Row]:
    """A Llama-like model of a billion parameters."""
    yield from steps(scale, "llama-1b step", partial(llama_full.job, scale.llama), scale.llama.operations)


FIGURES = {
    "products": products,
    "cuda products": cuda_products,
    "memory-bound": memory_bound,
    "hashing": hashing,
    "gpt2": gpt2_step,
    "llama": llama_step,
}
