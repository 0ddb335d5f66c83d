"""One element at a time, in blocks that stay in the cache; kernels/spec/elementwise.py defines them.

NumPy's + - * /, comparisons and roundings to integers are the IEEE operations, so only the rest is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numba import njit

from kernels.portable.functions import FUNCTIONS
from kernels.portable.threads import parallel
from kernels.spec.operator import Array
from kernels.spec.rounding import NAN
from kernels.types import NUMPY_DTYPE, Fault

BLOCK = 1 << 15
SIGN, MAGNITUDE = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
Block = Callable[..., None]


def _blockwise(op: str, *inputs: Array, threads: int, dtype: str = "") -> Array:
    """The operator block by block; every block function has the form f(*operand blocks, result block)."""
    shape = inputs[0].shape
    flat = [np.ascontiguousarray(x).reshape(-1) for x in inputs]
    if op in ("floor_divide", "remainder"):
        _refuse_zero(op, flat[1])
    result = "bool" if op in ("eq", "lt", "le") else dtype
    out = np.empty(flat[0].size, NUMPY_DTYPE[result] if result else flat[-1].dtype)
    block = BLOCKS[op]

    def body(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            for first in range(start, stop, BLOCK):
                places = slice(first, min(first + BLOCK, stop))
                block(*(x[places] for x in flat), out[places])

    parallel(threads, out.size, BLOCK, body)
    return out.reshape(shape)


def _refuse_zero(op: str, divisor: Array) -> None:
    zeros = np.flatnonzero(divisor == 0)
    if zeros.size:
        raise Fault(op, int(zeros[0]), "division by zero")


def _ufunc(ufunc: Callable[..., Array]) -> Block:
    """A NumPy ufunc, its NaNs made canonical."""

    def block(*arrays: Array) -> None:
        ufunc(*arrays[:-1], out=arrays[-1])
        _canonicalise(arrays[-1])

    return block


def _canonicalise(out: Array) -> None:
    if out.dtype == np.float32:
        np.copyto(out, NAN, where=np.isnan(out))


@njit(nogil=True, cache=True)
def _maximum_float(x: Array, y: Array, out: Array) -> None:
    """x, y, out: bits of float32, as int32. Where both are equal floats, 'and' makes +0 of zeros of either sign."""
    for i in range(out.size):
        a, b = x[i], y[i]
        key_a, key_b = a ^ ((a >> 31) & 0x7FFFFFFF), b ^ ((b >> 31) & 0x7FFFFFFF)  # ordered as the floats, -0 below +0
        out[i] = a if key_a >= key_b else b  # NaN has the highest key


@njit(nogil=True, cache=True)
def _minimum_float(x: Array, y: Array, out: Array) -> None:
    """x, y, out: bits of float32, as int32."""
    nan = np.int32(0x7FC00000)
    for i in range(out.size):
        a, b = x[i], y[i]
        key_a, key_b = a ^ ((a >> 31) & 0x7FFFFFFF), b ^ ((b >> 31) & 0x7FFFFFFF)
        least = a if key_a <= key_b else b
        out[i] = nan if a == nan or b == nan else least


def _extremum(ufunc: Callable[..., Array], compiled: Block) -> Block:
    def block(x: Array, y: Array, out: Array) -> None:
        if x.dtype == np.float32:
            compiled(x.view(np.int32), y.view(np.int32), out.view(np.int32))
        else:
            ufunc(x, y, out=out)

    return block


def _neg(x: Array, out: Array) -> None:
    if x.dtype == np.float32:
        np.bitwise_xor(x.view(np.uint32), SIGN, out=out.view(np.uint32))
        _canonicalise(out)
    else:
        np.negative(x, out=out)


def _abs(x: Array, out: Array) -> None:
    if x.dtype == np.float32:
        np.bitwise_and(x.view(np.uint32), MAGNITUDE, out=out.view(np.uint32))
    else:
        np.abs(x, out=out)


def _shift_left(x: Array, amount: Array, out: Array) -> None:
    inside = _in_range(x, amount)
    np.left_shift(x, np.where(inside, amount, x.dtype.type(0)), out=out)
    out[~inside] = 0


def _shift_right(x: Array, amount: Array, out: Array) -> None:
    most = x.dtype.type(8 * x.dtype.itemsize - 1)
    np.right_shift(x, np.where(_in_range(x, amount), amount, most), out=out)
    if x.dtype == np.uint32:
        out[~_in_range(x, amount)] = 0


def _in_range(x: Array, amount: Array) -> Array:
    return (amount >= 0) & (amount < 8 * x.dtype.itemsize)


def _select(c: Array, a: Array, b: Array, out: Array) -> None:
    np.copyto(out, b)
    np.copyto(out, a, where=c)


def _cast(x: Array, out: Array) -> None:
    if out.dtype == np.bool_:
        np.not_equal(x, x.dtype.type(0), out=out)
    elif x.dtype == np.float32 and out.dtype != np.float32:
        _truncate(x, out)
    else:
        np.copyto(out, x, casting="unsafe")


def _truncate(x: Array, out: Array) -> None:
    """Saturated in float64 first, which holds the limits of 32 bits exactly and 2^63 as one above the last int64."""
    least, most = int(np.iinfo(out.dtype).min), int(np.iinfo(out.dtype).max)
    wide = np.where(np.isnan(x), np.float32(0), x).astype(np.float64)
    above = wide >= float(most)
    np.copyto(out, np.clip(np.where(above, 0.0, wide), least, None), casting="unsafe")
    out[above] = most


UFUNCS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "bit_not": np.invert,
}
BLOCKS: dict[str, Block] = {
    **FUNCTIONS,
    **{name: _ufunc(ufunc) for name, ufunc in UFUNCS.items()},
    "maximum": _extremum(np.maximum, _maximum_float),
    "minimum": _extremum(np.minimum, _minimum_float),
    "neg": _neg,
    "abs": _abs,
    "shift_left": _shift_left,
    "shift_right": _shift_right,
    "select": _select,
    "cast": _cast,
}
OPERATORS = {op: partial(_blockwise, op) for op in BLOCKS}
