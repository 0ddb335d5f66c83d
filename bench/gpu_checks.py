"""Whether a GPU gives the law's bits: conformance, generated kernels, attention, tilings, hashes, functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.gpu_scale import Scale
from kernels import backends, conformance, hashing, spec
from kernels.triton import MEMORY, OPERATORS, compile_group, launch, matmul, tilings, tuning
from kernels.triton.functions_pairs import IN_PAIRS
from kernels.triton.hashing import many_roots

if TYPE_CHECKING:
    from engine.program import Program
    from kernels import cuda

TESTS = Path(__file__).parents[1] / "tests"
VECTORS = TESTS / "vectors" / "functions"
FUNCTIONS = tuple(sorted(path.stem for path in VECTORS.glob("*.txt")))
METHODS = (*((name, False) for name in FUNCTIONS), *((name, True) for name in sorted(IN_PAIRS)))  # in pairs of float32


def conformance_cases(scale: Scale) -> Iterator[str]:
    """The names of the conformance cases that differ from the definition."""
    gpu, defined = backends.load("triton"), backends.load("spec")
    cases = conformance.cases()[:: scale.case_step]
    results = {case.name: conformance.outcome(case, gpu) for case in cases}
    if scale.case_step == 1 and conformance.digest(results) == conformance.GOLDEN:
        return
    for case in cases:
        if results[case.name] != conformance.outcome(case, defined):
            yield case.name


def cuda_conformance(scale: Scale) -> Iterator[str]:
    """The cases of products and convolutions that differ between csrc/cuda and Triton, whose own are checked."""
    from kernels import cuda

    ours, other = backends.load("cuda"), backends.load("triton")
    for case in [case for case in conformance.cases() if case.op in cuda.OPERATORS][:: scale.case_step]:
        if conformance.outcome(case, ours) != conformance.outcome(case, other):
            yield case.name


def generated_kernels(scale: Scale) -> Iterator[str]:
    """The random programs in which a group's kernel differs from its members by the definition."""
    from tests.engine.random_programs import random_inputs, random_program  # needs the engine, and so its packages

    for seed in range(scale.programs):
        program = random_program(seed)
        inputs = random_inputs(program, seed)
        for blocks in ((4096, 8192), (32, 4)):
            if any(got.tobytes() != want.tobytes() for got, want in group_outputs(program, inputs, *blocks)):
                yield f"random program {seed}, blocks {blocks}"


def group_outputs(
    program: Program, inputs: list[np.ndarray], elements: int, longest: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(ours, the definition's) of every value of every group, from the definition's operands."""
    from engine import emission, fusion

    values = list(inputs)
    for node in program.nodes:
        values.append(spec.run(node.op, [values[o] for o in node.operands], node.attributes))
    for unit in fusion.units_of(program):
        if unit.is_group:
            group, reads, writes = emission.group_of(program, unit, frozenset(range(len(values))))
            got = compile_group(group, elements, longest)([MEMORY.put(values[number]) for number in reads], 1)
            yield from zip(map(MEMORY.get, got), (np.ascontiguousarray(values[n]) for n in writes), strict=True)


def attention(scale: Scale) -> Iterator[str]:
    """The attention that differs where no scores are stored, in a training step."""
    sys.path.insert(0, str(TESTS / "engine"))
    from attention_programs import CASES, program_of, values_of  # needs the engine, and so its packages

    from engine.execute import Executor

    for case in list(CASES)[: scale.programs]:
        for width in ("narrow", "wide"):
            program = program_of(case, width)
            values = values_of(program, 5, odd=True)
            outputs = (
                Executor(program, name, fuse=fuse).step(values) for name, fuse in (("triton", True), ("spec", False))
            )
            got, want = ({name: x.tobytes() for name, x in found.items()} for found in outputs)
            if got != want:
                yield f"{case}, {width}"


def tiled_product(scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Operands whose edges no tile divides, with rows and columns that are zero, infinite or NaN."""
    numbers, (M, K, N) = np.random.default_rng(7), scale.tiled
    a = numbers.standard_normal((M, K), dtype=np.float32)
    b = numbers.standard_normal((K, N), dtype=np.float32)
    a[3, 7], b[5, 2], a[6], b[:, 4] = np.nan, -np.inf, 0, 0
    return a, b


def every_tiling(scale: Scale) -> Iterator[str]:
    """The tilings of the product that change a byte."""
    a, b = tiled_product(scale)
    for width, found in tilings.TILINGS.items():
        want = spec.run("matmul", [a, b], {"width": width}).tobytes()
        floats = (replace(tiling, digit=digit) for tiling in found for digit in ("bfloat16", "float16"))
        for tiling in (*found, *floats):
            try:
                got = matmul.matmul(MEMORY.put(a), MEMORY.put(b), width, tiling)
            except tuning.TOO_LARGE:
                continue
            if MEMORY.get(got).tobytes() != want:
                yield f"{width} {tiling}"


def every_tiling_of_cuda(scale: Scale) -> Iterator[str]:
    """The tilings of csrc/cuda that change a byte on this device."""
    from kernels import cuda

    a, b = tiled_product(scale)
    for width in ("narrow", "wide"):
        want = spec.run("matmul", [a, b], {"width": width}).tobytes()
        for tiling in cuda.tilings_of(width, torch.cuda.get_device_capability()):
            multiply = partial(in_this_way, tiling)
            if MEMORY.get(matmul.matmul(MEMORY.put(a), MEMORY.put(b), width, multiply=multiply)).tobytes() != want:
                yield f"{width} {tiling}"


def in_this_way(tiling: cuda.Tiling, *given: Any) -> torch.Tensor:
    """A product by csrc/cuda, cut as the tiling says."""
    from kernels import cuda

    return cuda.product(*given, tiling)


def hashes(scale: Scale) -> Iterator[str]:
    """The sizes whose trees differ from hashlib's."""
    numbers = np.random.default_rng(0)
    arrays = [numbers.integers(0, 256, size, dtype=np.uint8) for size in (0, 1, 55, 1023, 1024, 1025, 99_999)]
    got = many_roots([MEMORY.put(array) for array in arrays], 16)
    for array, roots in zip(arrays, got, strict=True):
        if roots != hashing.subtree_roots(array, 16):
            yield f"{array.size} bytes"


def vectors(scale: Scale) -> Iterator[str]:
    """The functions that are wrong on the inputs nearest to a tie, whose values are by MPFR."""
    for name, in_pairs in METHODS:
        pairs = np.array([[int(word, 16) for word in line.split()] for line in lines_of(name)], np.uint32)
        x = np.ascontiguousarray(pairs[:, 0]).view(np.float32)
        got = MEMORY.get(applied(name, MEMORY.put(x), in_pairs)).view(np.uint32)
        if (got != pairs[:, 1]).any():
            yield f"{name}{' in pairs' * in_pairs}: {int((got != pairs[:, 1]).sum())} of {len(pairs)} vectors"


def applied(name: str, x: torch.Tensor, in_pairs: bool) -> torch.Tensor:
    """A function on this device, in pairs of float32 or in float64, whichever its GPU chooses by itself."""
    chosen = launch.PAIRS
    launch.PAIRS = in_pairs
    try:
        return OPERATORS[name](x)
    finally:
        launch.PAIRS = chosen


def lines_of(name: str) -> list[str]:
    """The lines of a function's vectors."""
    return (VECTORS / f"{name}.txt").read_text().splitlines()


def exhaustive(scale: Scale) -> Iterator[str]:
    """The functions that differ from the native library, itself checked on all 2^32 inputs, on any of them."""
    native, threads = backends.load("native"), torch.get_num_threads()
    ends = monotonic() + scale.exhaustive_s
    for name, in_pairs in METHODS:
        method = f"{name}{' in pairs' * in_pairs}"
        wrong, seen = 0, 0
        for start in range(0, 2**32, scale.chunk):
            if monotonic() > ends or seen >= scale.inputs:
                break
            x = np.arange(start, start + scale.chunk, dtype=np.uint32).view(np.float32)
            x = np.where(np.isnan(x), np.float32(np.nan), x)
            want = native.run(name, [x], {}, threads=threads)
            got = applied(name, MEMORY.put(x), in_pairs)
            wrong += int((got.view(torch.int32) != MEMORY.put(want.view(np.int32))).sum())
            seen += scale.chunk
        print(f"  {method}: {seen} inputs, {wrong} wrong", flush=True)
        if wrong:
            yield f"{method}: {wrong} of {seen} inputs"
        if seen < scale.inputs:
            raise RuntimeError(
                f"exhaustive: {scale.exhaustive_s} s ended in {method}; it and what follows are not checked"
            )


CHECKS = {
    "conformance": conformance_cases,
    "vectors": vectors,
    "hashes": hashes,
    "tilings": every_tiling,
    "cuda tilings": every_tiling_of_cuda,
    "cuda conformance": cuda_conformance,
    "generated kernels": generated_kernels,
    "attention": attention,
    "exhaustive": exhaustive,
}
