"""Attention (kernels/attention.py) as two Triton kernels written for it: no matrix of scores is ever in memory.

Every value of a tile is rounded as its operator rounds it, and sums of integers commute, so the bits are those of the
operators one by one whatever the tiles. Only what is per row, and the maxima of columns, is stored in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import triton

from kernels.attention import Attention
from kernels.spec.matmul import qmax
from kernels.triton.attention_text import TERMS, AttentionText, power_of_two
from kernels.triton.elementwise import DTYPE, tables
from kernels.triton.group import axes_of, kernel_of
from kernels.triton.group_text import Axes
from kernels.triton.launch import INTERPRETED, OPTIONS
from kernels.triton.scale import digits, maxima
from kernels.triton.tilings import DIGITS
from kernels.triton.tuning import TOO_LARGE

Tile = tuple[int, int]
# Rows and columns of a tile, tried until one fits this device's shared memory and registers; the kernel of columns
# takes the same with rows and columns exchanged, since its own come first in its products.
TILES: tuple[Tile, ...] = ((64, 64),) if INTERPRETED else ((64, 64), (64, 32), (32, 64), (32, 32))


def compile_attention(attention: Attention, tiles: Sequence[Tile] = TILES) -> Callable[..., Sequence[torch.Tensor]]:
    """A function of (operands, threads, results or None for new ones) that gives the attention's results.

    tiles: (rows, columns) of a program's tile, at most 128 each
    """
    types = [type_ for _, type_ in attention.group.outputs] + [product.type for product in attention.products]
    launches: dict[tuple[Axes, ...], _Launch] = {}  # by the strides of the group's inputs

    def run(
        operands: Sequence[torch.Tensor], threads: int, results: Sequence[torch.Tensor] | None = None
    ) -> Sequence[torch.Tensor]:
        if results is None:
            results = [torch.empty(t.shape, dtype=DTYPE[t.dtype], device=operands[0].device) for t in types]
        inputs = operands[attention.matrices :]
        axes = tuple([()] * len(attention.scores) + [axes_of(x) for x in inputs])
        if axes not in launches:
            launches[axes] = _Launch(attention, axes, tiles)
        launches[axes].run(operands[: attention.matrices], inputs, results)
        return results

    return run


class _Launch:
    """The kernels for one layout of inputs."""

    def __init__(self, attention: Attention, axes: tuple[Axes, ...], tiles: Sequence[Tile]) -> None:
        self.attention, self.text = attention, AttentionText(attention, axes)
        B, M, N = attention.B, attention.M, attention.N
        row_kernel = kernel_of(self.text.row_text(), "row_kernel")
        self.kernels = [_Tiled(row_kernel, list(tiles), lambda R, C: B * triton.cdiv(M, R))]
        if self.text.has_columns:
            column_kernel = kernel_of(self.text.column_text(), "column_kernel")
            self.kernels.append(_Tiled(column_kernel, exchanged(tiles), lambda R, C: B * triton.cdiv(N, C)))

    def run(
        self, matrices: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], results: Sequence[torch.Tensor]
    ) -> None:
        arguments = self._arguments(matrices, inputs, results)
        arguments.append(tables(arguments[0].device))
        with np.errstate(all="ignore"):  # the interpreter computes with NumPy, which warns of infinities
            for kernel in self.kernels:
                kernel.run(arguments)

    def _arguments(
        self, matrices: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], results: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """The tensors that AttentionText.names names, in its order."""
        shape, arguments = self.attention, []
        for score in shape.scores:
            left = matrices[score.left].reshape(shape.B, shape.M, score.K)
            right = matrices[score.right].reshape(shape.B, score.K, shape.N).transpose(1, 2)
            for x in (left, right):
                arguments += quantised(x, score.width, power_of_two(score.K, 32))
        rows, outs = results[: len(shape.group.outputs)], results[len(shape.group.outputs) :]
        for product, out in zip(shape.products, outs, strict=True):
            w = matrices[product.matrix].reshape(shape.B, *matrices[product.matrix].shape[-2:])
            arguments += [*quantised(w if product.on_left else w.transpose(1, 2), product.width, TERMS), out]
            if product.over == "rows":
                arguments.append(torch.zeros((shape.B, shape.N), dtype=torch.int32, device=out.device))
        stored = [*rows, *self._scratch(len(rows), outs[0].device)]
        return arguments + [x.view(torch.int8) if x.dtype == torch.bool else x for x in (*inputs, *stored)]

    def _scratch(self, first: int, device: torch.device) -> list[torch.Tensor]:
        """Memory for the values per row that only the kernel of columns reads."""
        dtypes = [DTYPE[self.text.values[number].dtype] for number in self.text.stored[first:]]
        return [torch.empty(self.attention.B * self.attention.M, dtype=dtype, device=device) for dtype in dtypes]


class _Tiled:
    """A kernel, the tiles that are left to try on this device, and its programs for a tile."""

    def __init__(self, kernel: Any, tiles: list[Tile], programs: Callable[[int, int], int]) -> None:
        self.kernel, self.tiles, self.programs = kernel, tiles, programs

    def run(self, arguments: Sequence[torch.Tensor]) -> None:
        while True:
            R, C = self.tiles[0]
            try:
                self.kernel[(self.programs(R, C),)](*arguments, R=R, C=C, **OPTIONS)
                return
            except TOO_LARGE:
                if len(self.tiles) == 1:
                    raise
                del self.tiles[0]


def exchanged(tiles: Sequence[Tile]) -> list[Tile]:
    """The tiles of the kernel of columns."""
    return [(columns, rows) for rows, columns in tiles]


def quantised(x: torch.Tensor, width: str, alignment: int) -> list[torch.Tensor]:
    """The digits [B, D, R, P] and the maxima [B, R] of rows [B, R, K]."""
    highest = maxima(x)
    return [digits(x, highest, DIGITS[width], qmax(width, x.shape[2]), alignment), highest]
