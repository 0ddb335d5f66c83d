"""Elementwise operators, as kernels/spec/elementwise.py defines them.

What rounds, orders zeros or carries NaN is a Triton kernel. On integers and bits torch's own kernels have one result.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import chain

import torch
import triton
import triton.language as tl

from kernels.triton import functions, functions_pairs, functions_trig, launch
from kernels.triton.coefficients import INV_PI_BITS
from kernels.triton.faults import require
from kernels.triton.functions_pairs import IN_PAIRS
from kernels.triton.functions_tables import TABLES
from kernels.triton.launch import OPTIONS
from kernels.types import CANONICAL_NAN

BLOCK = 1024
UNARY: tuple[str, ...] = ("neg", "abs", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p")
UNARY += ("sin", "cos", "tanh", "erf", "sigmoid")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")
ROUNDINGS = {"floor": torch.floor, "ceil": torch.ceil, "trunc": torch.trunc, "round": torch.round}
DTYPE = {
    "float32": torch.float32,
    "int64": torch.int64,
    "int32": torch.int32,
    "uint32": torch.uint32,
    "bool": torch.bool,
}


@triton.jit
def order_key(x):
    """Integers in the order of the floats, -0 below +0, the law's NaN highest; its own inverse on the bits."""
    bits = x.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def unary_kernel(x, out, table, n, OP: tl.constexpr, B: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    v = tl.load(x + i, i < n, 1.0)
    if OP == "neg":
        y = functions.canonical((v.to(tl.int32, bitcast=True) ^ -0x80000000).to(tl.float32, bitcast=True))
    elif OP == "abs":
        y = (v.to(tl.int32, bitcast=True) & 0x7FFFFFFF).to(tl.float32, bitcast=True)
    elif OP == "sqrt":
        y = functions.canonical(tl.math.sqrt_rn(v))
    elif OP == "rsqrt":
        y = functions.rsqrt(v)
    elif OP == "exp":
        y = functions.exp(v)
    elif OP == "exp2":
        y = functions.exp2(v)
    elif OP == "expm1":
        y = functions.expm1(v)
    elif OP == "log":
        y = functions.log(v)
    elif OP == "log2":
        y = functions.log2(v)
    elif OP == "log10":
        y = functions.log10(v)
    elif OP == "log1p":
        y = functions.log1p(v)
    elif OP == "sin":
        y = functions_trig.sin(v, table)
    elif OP == "cos":
        y = functions_trig.cos(v, table)
    elif OP == "tanh":
        y = functions.tanh(v)
    elif OP == "erf":
        y = functions.erf(v)
    elif OP == "sigmoid":
        y = functions.sigmoid(v)
    elif OP == "erf in pairs":
        y = functions_pairs.erf(v, table)
    elif OP == "exp in pairs":
        y = functions_pairs.exp(v, table)
    elif OP == "log in pairs":
        y = functions_pairs.log(v, table)
    elif OP == "rsqrt in pairs":
        y = functions_pairs.rsqrt(v, table)
    elif OP == "sigmoid in pairs":
        y = functions_pairs.sigmoid(v, table)
    elif OP == "tanh in pairs":
        y = functions_pairs.tanh(v, table)
    tl.store(out + i, y, i < n)


@triton.jit
def binary_kernel(x, y, out, n, OP: tl.constexpr, B: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    a, b = tl.load(x + i, i < n, 1.0), tl.load(y + i, i < n, 1.0)
    if OP == "add":
        z = functions.canonical(a + b)
    elif OP == "sub":
        z = functions.canonical(a - b)
    elif OP == "mul":
        z = functions.canonical(a * b)
    elif OP == "div":
        z = functions.canonical(tl.math.div_rn(a, b))
    elif OP == "maximum":
        z = tl.where(order_key(a) >= order_key(b), a, b)
    elif OP == "minimum":
        z = tl.where(order_key(a) <= order_key(b), a, b)
        z = tl.where((a == a) & (b == b), z, functions.constant_nan(a))
    tl.store(out + i, z, i < n)


@cache
def tables(device: torch.device) -> torch.Tensor:
    """What the functions look up, on a device: 16 words of int64, 1/pi's first; then the tables in float32."""
    words = torch.tensor([*INV_PI_BITS, *[0] * (16 - len(INV_PI_BITS))], dtype=torch.int64)
    floats = torch.tensor(list(chain.from_iterable(TABLES.values())), dtype=torch.float32)
    return torch.cat([words, floats.view(torch.int64)]).to(device)


def unary(x: torch.Tensor, op: str) -> torch.Tensor:
    """A function of float32 values; of integers, neg and abs, which wrap."""
    if x.dtype != torch.float32:
        return torch.neg(x) if op == "neg" else torch.where(x < 0, torch.neg(x), x)
    x = x.contiguous()
    out = torch.empty_like(x)
    if x.numel():
        grid = (triton.cdiv(x.numel(), BLOCK),)
        method = f"{op} in pairs" if launch.PAIRS and op in IN_PAIRS else op
        unary_kernel[grid](x, out, tables(x.device), x.numel(), OP=method, B=BLOCK, **OPTIONS)
    return out


def binary(x: torch.Tensor, y: torch.Tensor, op: str) -> torch.Tensor:
    """An operator on two tensors of one type."""
    if x.dtype != torch.float32:
        return INTEGER[op](x, y)
    x, y = x.contiguous(), y.contiguous()
    out = torch.empty_like(x)
    if x.numel():
        grid = (triton.cdiv(x.numel(), BLOCK),)
        binary_kernel[grid](x, y, out, x.numel(), OP=op, B=BLOCK, **OPTIONS)
    return out


def wrapped(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The function with uint32 operands and result seen as int32, whose bits are the same modulo 2^32."""

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        if inputs[-1].dtype != torch.uint32:
            return function(*inputs)
        return function(*(x.view(torch.int32) if x.dtype == torch.uint32 else x for x in inputs)).view(torch.uint32)

    return run


def widened(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The function with uint32 operands as int64, for what depends on their order; the result in the operands' type."""

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        if inputs[0].dtype != torch.uint32:
            return function(*inputs)
        result = function(*(as_int64(x) for x in inputs))
        return result if result.dtype == torch.bool else to_uint32(result)

    return run


def as_int64(x: torch.Tensor) -> torch.Tensor:
    """uint32 values as int64."""
    return x.view(torch.int32).to(torch.int64) & 0xFFFFFFFF


def to_uint32(x: torch.Tensor) -> torch.Tensor:
    """int64 modulo 2^32."""
    return x.to(torch.int32).view(torch.uint32)


def divided(x: torch.Tensor, y: torch.Tensor, op: str) -> torch.Tensor:
    """The quotient rounded down, or the remainder with y's sign; a zero in y is a fault."""
    zero = y == 0
    if not require(op, zero, lambda _: "division by zero"):
        y = torch.where(zero, 1, y)
    overflow = y == -1  # the least integer has no negative: the hardware traps, the law wraps
    divisor = torch.where(overflow, 1, y)
    quotient = torch.where(overflow, torch.neg(x), torch.div(x, divisor, rounding_mode="floor"))
    return quotient if op == "floor_divide" else x - quotient * y


def shifted(x: torch.Tensor, amount: torch.Tensor, op: str) -> torch.Tensor:
    """A shift; an amount outside [0, bits) gives 0, or the sign for the right shift."""
    bits = 32 if x.dtype in (torch.int32, torch.uint32) else 64
    wide = as_int64(x) if x.dtype == torch.uint32 else x.to(torch.int64)
    by = as_int64(amount) if amount.dtype == torch.uint32 else amount.to(torch.int64)
    inside = (by >= 0) & (by < bits)
    by = torch.where(inside, by, 0)
    if op == "shift_left":
        result = torch.where(inside, wide << by, 0)
    else:
        result = torch.where(inside, wide >> by, torch.where(wide < 0, -1, 0))
    return to_uint32(result) if x.dtype == torch.uint32 else result.to(x.dtype)


def cast(x: torch.Tensor, dtype: str) -> torch.Tensor:
    """Another type: floats truncate and saturate, integers wrap or round to nearest even."""
    target = DTYPE[dtype]
    if x.dtype == target:
        return x
    if dtype == "bool":
        return (x.view(torch.int32) if x.dtype == torch.uint32 else x) != 0
    if x.dtype == torch.float32:
        return saturated(x, dtype)
    wide = as_int64(x) if x.dtype == torch.uint32 else x.to(torch.int64)
    return to_uint32(wide) if dtype == "uint32" else wide.to(target)


def saturated(x: torch.Tensor, dtype: str) -> torch.Tensor:
    """A float truncated to an integer type, or to its nearest end; NaN to 0."""
    low, high = {"int64": (-(2**63), 2**63 - 1), "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}[dtype]
    inside = (x >= float(low)) & (x.to(torch.float64) < float(high + 1))
    whole = torch.where(inside, x, 0.0).to(torch.int64)
    whole = torch.where(inside | (x != x), whole, torch.where(x > 0, high, low))
    return to_uint32(whole) if dtype == "uint32" else whole.to(DTYPE[dtype])


def rounded(x: torch.Tensor, op: str) -> torch.Tensor:
    """A float rounded to an integer, the sign of zero kept."""
    return canonical(torch.copysign(ROUNDINGS[op](x), x))


def canonical(x: torch.Tensor) -> torch.Tensor:
    """x with the law's NaN."""
    nan = torch.full((), CANONICAL_NAN, dtype=torch.int32, device=x.device).view(torch.float32)
    return torch.where(x != x, nan, x)


def select(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a where c, else b."""
    return wrapped(lambda x, y: torch.where(c, x, y))(a, b)


INTEGER: dict[str, Callable[..., torch.Tensor]] = {
    "add": wrapped(torch.add),
    "sub": wrapped(torch.sub),
    "mul": wrapped(torch.mul),
    "maximum": widened(torch.maximum),
    "minimum": widened(torch.minimum),
}
OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    **{op: partial(unary, op=op) for op in UNARY},
    **{op: partial(binary, op=op) for op in BINARY},
    **{op: partial(rounded, op=op) for op in ROUNDINGS},
    "floor_divide": widened(partial(divided, op="floor_divide")),
    "remainder": widened(partial(divided, op="remainder")),
    "eq": widened(torch.eq),
    "lt": widened(torch.lt),
    "le": widened(torch.le),
    "bit_and": wrapped(torch.bitwise_and),
    "bit_or": wrapped(torch.bitwise_or),
    "bit_xor": wrapped(torch.bitwise_xor),
    "bit_not": wrapped(torch.bitwise_not),
    "shift_left": partial(shifted, op="shift_left"),
    "shift_right": partial(shifted, op="shift_right"),
    "select": select,
    "cast": cast,
}
