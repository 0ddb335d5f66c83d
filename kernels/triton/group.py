"""A group of operators (kernels/group.py) as one Triton kernel, written for it: one pass where rows are short.

A kernel's text depends on the group and on the strides of its inputs, so equal layers share one. Every member rounds by
itself, as its operator does alone, so no block size and no number of passes can change a bit.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import torch
import triton
import triton.language as tl

from kernels.group import Group
from kernels.triton import attention_tiles, functions, functions_pairs, functions_trig, members, scale
from kernels.triton.elementwise import DTYPE, tables
from kernels.triton.group_text import Axes, Blocks, kernel_text
from kernels.triton.launch import INTERPRETED, OPTIONS

# Elements of a block; rows up to the second are held whole, longer ones are gone through once per reduction.
ELEMENTS, LONGEST = (2**16, 2**16) if INTERPRETED else (2**12, 2**13)
THREAD_ELEMENTS, WARP = 16, 32


def compile_group(
    group: Group, elements: int = ELEMENTS, longest: int = LONGEST
) -> Callable[..., Sequence[torch.Tensor]]:
    """A function of (input tensors, threads, output tensors or None for new ones) that gives the group's outputs.

    An input has the domain's number of elements (or of rows) in row-major order, whatever its shape and strides. An
    output may be a contiguous input's own memory.

    elements: of a block; longest: up to this many columns, a program holds whole rows
    """
    blocks = blocks_of(group, elements, longest)
    results = [(type_.shape, DTYPE[type_.dtype]) for _, type_ in group.outputs]
    launches: dict[tuple[Axes, ...], Callable[..., None]] = {}  # by the strides of the inputs

    def run(
        inputs: Sequence[torch.Tensor], threads: int, outputs: Sequence[torch.Tensor] | None = None
    ) -> Sequence[torch.Tensor]:
        if outputs is None:
            outputs = [torch.empty(shape, dtype=dtype, device=inputs[0].device) for shape, dtype in results]
        axes = tuple(map(axes_of, inputs))
        if axes not in launches:
            launches[axes] = launch_of(kernel_text(group, axes, blocks), blocks)
        launches[axes](inputs, outputs)
        return outputs

    return run


def blocks_of(group: Group, elements: int, longest: int) -> Blocks:
    """How a group's domain is cut among programs."""
    if not group.columns:
        return Blocks(group.size, 0, 1, min(elements, triton.next_power_of_2(group.size)))
    rows = group.size // group.columns
    width = triton.next_power_of_2(group.columns)
    width = min(width, longest if width <= longest else elements)
    return Blocks(group.size, group.columns, min(max(1, elements // width), triton.next_power_of_2(rows)), width)


def axes_of(x: torch.Tensor) -> Axes:
    """(size, stride) of the axes longer than 1, neighbours joined wherever they step evenly through memory."""
    joined: list[tuple[int, int]] = []
    for size, stride in zip(x.shape, x.stride(), strict=True):
        if size == 1:
            continue
        if joined and joined[-1][1] == size * stride:
            joined[-1] = (joined[-1][0] * size, stride)
        else:
            joined.append((size, stride))
    return tuple(joined)


def launch_of(text: str, blocks: Blocks) -> Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], None]:
    """A function of (inputs, outputs) that runs the kernel of a text."""
    kernel = kernel_of(text, "group_kernel")
    grid, warps = (blocks.programs,), warps_of(blocks)

    def launch(inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        tensors = [x.view(torch.int8) if x.dtype == torch.bool else x for x in (*inputs, *outputs)]
        kernel[grid](*tensors, tables(outputs[0].device), R=blocks.R, C=blocks.C, num_warps=warps, **OPTIONS)

    return launch


def warps_of(blocks: Blocks) -> int:
    """About 16 elements a thread."""
    return min(16, max(1, blocks.R * blocks.C // (THREAD_ELEMENTS * WARP)))


@cache
def kernel_of(text: str, kernel: str) -> Any:
    """The Triton kernel that a text defines; Triton reads the text again, so it is kept where `inspect` looks."""
    name = (
        f"<isobit {kernel} {sha256(text.encode()).hexdigest()[:16]}>"  # the same in every process, as Triton's cache is
    )
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {
        "tl": tl,
        "functions": functions,
        "functions_pairs": functions_pairs,
        "functions_trig": functions_trig,
        "members": members,
        "scale": scale,
        "tiles": attention_tiles,
        "__name__": "kernels.triton.generated",
    }
    exec(compile(text, name, "exec"), names)
    return triton.jit(names[kernel])
