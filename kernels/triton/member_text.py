"""One member of a group as an expression of a kernel, and a reduction as the passes over a row that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernels.triton import launch
from kernels.triton.functions_pairs import IN_PAIRS

FUNCTIONS = ("rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "erf", "sigmoid")
WITH_TABLE = ("sin", "cos")
ROUNDINGS = ("floor", "ceil", "trunc", "round")
COMPARISONS = {"eq": "==", "lt": "<", "le": "<="}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "bit_and": "&", "bit_or": "|", "bit_xor": "^"}
BITS = {"int64": 64, "int32": 32, "uint32": 32}
ENDS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}


def member(op: str, names: Sequence[str], dtype: str, result: str) -> str:
    """The value of an elementwise operator.

    names:  of the operands
    dtype:  of the first operand
    result: the dtype of the value
    """
    if op == "select":
        return f"tl.where({', '.join(names)})"
    if op == "cast":
        return cast(names[0], dtype, result)
    if op in COMPARISONS:
        return f"{names[0]} {COMPARISONS[op]} {names[1]}"
    if dtype == "float32":
        return _of_floats(op, names)
    return _of_bools(op, names) if dtype == "bool" else _of_integers(op, names, dtype)


def _of_floats(op: str, names: Sequence[str]) -> str:
    if op in WITH_TABLE:
        return f"functions_trig.{op}({names[0]}, table)"
    if launch.PAIRS and op in IN_PAIRS:
        return f"functions_pairs.{op}({names[0]}, table)"
    module = "functions" if op in FUNCTIONS else "members"
    return f"{module}.{op if op in FUNCTIONS else f'{op}_float'}({', '.join(names)})"


def _of_bools(op: str, names: Sequence[str]) -> str:
    match op:
        case "maximum":
            op = "bit_or"
        case "minimum":
            op = "bit_and"
        case "bit_not":
            return f"{names[0]} == 0"
    return f"{names[0]} {ARITHMETIC[op]} {names[1]}"


def _of_integers(op: str, names: Sequence[str], dtype: str) -> str:
    match op:
        case "neg":
            return f"0 - {names[0]}"
        case "abs":
            return f"members.abs_integer({names[0]})"
        case "bit_not":
            return f"~{names[0]}"
        case "shift_left" | "shift_right":
            return f"members.{op}({names[0]}, {names[1]}, {BITS[dtype]})"
        case "maximum" | "minimum":
            return f"members.{op}_integer({', '.join(names)})"
    return f"{names[0]} {ARITHMETIC[op]} {names[1]}"


def cast(name: str, dtype: str, result: str) -> str:
    """A value in another type: floats truncate and saturate, integers wrap or round to nearest even."""
    if dtype == result:
        return name
    if result == "bool":
        return f"{name} != 0"
    if dtype == "float32":
        if result == "int64":
            return f"members.float_to_int64({name})"
        low, high = ENDS[result]
        return f"members.float_to_narrow({name}, {low}, {high}).to(tl.{result})"
    return f"{name}.to(tl.int64).to(tl.{result})"


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass over a row.

    name:   of what it finds, [R, 1]
    start:  its value before the first element, of type `kind`
    part:   what the elements x of a block give
    joined: the function that joins parts
    """

    name: str
    start: str
    kind: str
    part: str
    joined: str


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction of rows: how many passes, and its value from what they found."""

    passes: tuple[tuple[str, str, str, str, str], ...]
    value: str

    def stages(self, name: str) -> list[Stage]:
        return [
            Stage(f"{name}_{suffix}", start, kind, part.format(name=name), joined)
            for suffix, start, kind, part, joined in self.passes
        ]

    def end(self, name: str) -> str:
        return self.value.format(name=name)


REDUCTIONS = {
    "sum": Reduction(
        (
            ("maximum", "0", "tl.int32", "members.group_maximum(x, inside)", "tl.maximum"),
            ("total", "0", "tl.int64", "members.group_sum(x, inside, {name}_maximum)", "members.plus"),
        ),
        "members.rounded_sum({name}_total, {name}_maximum)",
    ),
    "amax": Reduction(
        (("key", "members.LEAST", "tl.int32", "members.highest_key(x, inside)", "tl.maximum"),),
        "members.from_order_key({name}_key)",
    ),
    "amin": Reduction(
        (("key", "members.MOST", "tl.int32", "members.lowest_key(x, inside)", "tl.minimum"),),
        "members.from_lowest_key({name}_key)",
    ),
}
