"""A wrong call is a ValueError that names the operator, what came and what was wanted, before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import backends, spec
from kernels.conformance import Case, cases
from kernels.types import DTYPES, TensorType, type_of

PAIRS = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
WINDOW = {**PAIRS, "groups": 1, "width": "wide"}
POOL = {"kernel": (2, 2), **PAIRS}
X, W, G = "float32[2, 4, 5, 5]", "float32[6, 4, 3, 3]", "float32[2, 6, 3, 3]"


def type_from(text: str) -> TensorType:
    dtype, sizes = text[:-1].split("[")
    return TensorType(dtype, tuple(int(size) for size in sizes.split(", ") if size))


REFUSED: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("reshape", ["int32[2, 3]"], {"shape": (4,)}, "want 6 elements"),
    ("reshape", ["int32[2, 3]"], {"shape": (-1, 6)}, "want sizes of 0 or more"),
    ("reshape", ["int32[1]"], {"shape": (1,) * 9}, "want at most 8"),
    ("reshape", ["int32[0]"], {"shape": (0, 2**30, 2**30)}, "elements"),
    ("permute", ["int32[2, 3]"], {"axes": (0, 0)}, "each axis of x once"),
    ("permute", ["int32[2, 3]"], {"axes": (0,)}, "each axis of x once"),
    ("broadcast", ["int32[2, 3]"], {"shape": (2, 4)}, "or 1"),
    ("broadcast", ["int32[3]"], {"shape": (2, 3)}, "equal rank"),
    ("slice", ["int32[5]"], {"start": (2,), "stop": (6,), "step": (1,)}, "2:6:1 of 5"),
    ("slice", ["int32[5]"], {"start": (3,), "stop": (2,), "step": (1,)}, "start <= stop"),
    ("slice", ["int32[5]"], {"start": (0,), "stop": (5,), "step": (0,)}, "step >= 1"),
    ("slice", ["int32[5]"], {"start": (0, 0), "stop": (5,), "step": (1,)}, "one per axis"),
    ("concat", ["int32[2, 3]", "int32[2, 4]"], {"axis": 0}, "equal shapes but along axis 0"),
    ("concat", ["int32[2]", "int64[2]"], {"axis": 0}, "one dtype"),
    ("concat", ["int32[2]"], {"axis": 1}, "an axis of x"),
    ("concat", ["int32[2]"], {"axis": -1}, "an axis of x"),
    ("pad", ["int32[2]", "int32[1]"], {"low": (0,), "high": (0,)}, "fill int32[]"),
    ("pad", ["int32[2]", "int32[]"], {"low": (-1,), "high": (0,)}, "0 or more"),
    ("pad", ["int32[2]", "int32[]"], {"low": (1, 1), "high": (0,)}, "per axis"),
    ("iota", [], {"shape": (3,), "axis": 0, "dtype": "float32"}, "int64 or int32"),
    ("iota", [], {"shape": (3,), "axis": 1, "dtype": "int64"}, "an axis of the shape"),
    ("iota", [], {"shape": (2**31 + 1,), "axis": 0, "dtype": "int32"}, "at most 2^31"),
    ("select", ["int32[2]", "int32[2]", "int32[2]"], {}, "c bool"),
    ("select", ["bool[2]", "int32[2]", "int64[2]"], {}, "of one type"),
    ("cast", ["int32[2]"], {"dtype": "float64"}, "float32 or int64"),
    ("sum", ["float32[2]"], {"axes": ()}, "one or more axes"),
    ("sum", ["float32[2, 2]"], {"axes": (1, 0)}, "ascending"),
    ("sum", ["float32[2, 2]"], {"axes": (0, 0)}, "ascending"),
    ("sum", ["float32[2, 2]"], {"axes": (2,)}, "axes of x"),
    ("sum", ["float32[2, 2]"], {"axes": (-1,)}, "axes of x"),
    ("sum", ["float32[65537]"], {"axes": (0,)}, "at most 65536"),
    ("cumsum", ["float32[2, 65537]"], {"axis": 1}, "at most 65536"),
    ("cumsum", ["float32[2]"], {"axis": 1}, "axes of x"),
    ("amax", ["float32[2, 0]"], {"axes": (1,)}, "one element or more"),
    ("amin", ["float32[0, 0]"], {"axes": (0,)}, "one element or more"),
    ("argmax", ["float32[2, 0]"], {"axis": 1}, "one element or more"),
    ("matmul", ["float32[4, 3]", "float32[5, 2]"], {"width": "wide"}, "want a.shape[-1] == b.shape[-2]"),
    ("matmul", ["float32[3]", "float32[3]"], {"width": "wide"}, "equal ranks of 2 or more"),
    ("matmul", ["float32[2, 4, 3]", "float32[1, 3, 4]"], {"width": "wide"}, "equal leading axes"),
    ("matmul", ["float32[1, 2097153]", "float32[2097153, 1]"], {"width": "wide"}, "at most 2097152 for wide"),
    ("matmul", ["float32[1, 16777217]", "float32[16777217, 1]"], {"width": "narrow"}, "at most 16777216 for narrow"),
    ("matmul", ["float32[2, 2]", "float32[2, 2]"], {"width": "broad"}, "narrow or wide"),
    ("conv", [X, W], {**WINDOW, "groups": 2}, "x.shape[1] == groups * w.shape[1]"),
    ("conv", [X, "float32[3, 2, 3, 3]"], {**WINDOW, "groups": 2}, "divisible by groups"),
    ("conv", [X, W], {**WINDOW, "groups": 0}, "1 or more"),
    ("conv", [X, "float32[4, 3, 3]"], WINDOW, "rank 4"),
    ("conv", [X, W], {**WINDOW, "stride": (0, 1)}, "a pair in [1, 65536]"),
    ("conv", [X, W], {**WINDOW, "padding": (0, -1)}, "a pair in [0, 65536]"),
    ("conv", [X, W], {**WINDOW, "dilation": (1,)}, "a pair in [1, 65536]"),
    ("conv", [X, W], {**WINDOW, "dilation": (3, 1)}, "no larger than the padded input"),
    ("conv", [X, "float32[6, 4, 0, 3]"], WINDOW, "a window of one element or more"),
    ("conv", ["float32[1, 2097153, 1, 1]", "float32[1, 2097153, 1, 1]"], WINDOW, "at most 2097152"),
    ("conv_grad_input", [G, W], {**WINDOW, "size": (6, 5)}, "g of conv's shape"),
    ("conv_grad_input", ["float32[2, 5, 3, 3]", W], {**WINDOW, "size": (5, 5)}, "g.shape[1] == w.shape[0]"),
    ("conv_grad_input", [G, W], {**WINDOW, "size": (5,)}, "a pair of 0 or more"),
    ("conv_grad_weight", [G, X], {**WINDOW, "size": (2, 3)}, "g of conv's shape"),
    ("conv_grad_weight", [G, X], {**WINDOW, "size": (3, 3), "groups": 4}, "divisible by groups"),
    ("conv_grad_weight", ["float32[1, 6, 3, 3]", X], {**WINDOW, "size": (3, 3)}, "g.shape[0] == x.shape[0]"),
    ("take_rows", ["float32[]", "int64[2]"], {}, "rank 1 or more"),
    ("take_rows", ["float32[3]", "int32[2]"], {}, "ids int64"),
    ("take_rows", ["float32[3, 1, 1, 1, 1]", "int64[1, 1, 1, 1, 1]"], {}, "at most 8"),
    ("add_rows", ["float32[3, 2]", "int64[4]", "float32[4, 3]"], {}, "ids.shape + base.shape[1:]"),
    ("add_rows", ["int32[3]", "int64[4]", "int32[4]"], {}, "want float32"),
    ("gather", ["float32[3, 2]", "int64[2, 2]"], {"axis": 1}, "equal shapes but along axis 1"),
    ("gather", ["float32[3, 2]", "int32[3, 2]"], {"axis": 1}, "index int64"),
    ("gather", ["float32[]", "int64[]"], {"axis": 0}, "an axis of the first operand"),
    ("scatter_add", ["float32[3]", "int64[2]", "float32[3]"], {"axis": 0}, "index.shape == source.shape"),
    ("scatter_add", ["float32[3]", "int64[2]", "float32[2]"], {"axis": 1}, "an axis of the first operand"),
    ("argsort", ["float32[3]"], {"axis": 1, "descending": False}, "an axis of x"),
    ("argsort", ["float32[3]"], {"axis": 0, "descending": 1}, "True or False"),
    ("max_pool_index", ["float32[1, 1, 1, 4]"], {**POOL, "padding": (1, 0), "dilation": (2, 1)}, "with an element"),
    ("max_pool_index", ["float32[1, 1, 2, 2]"], {**POOL, "padding": (2, 0)}, "with an element"),
    ("max_pool_index", ["float32[1, 1, 0, 2]"], {**POOL, "padding": (1, 0)}, "with an element"),
    ("max_pool_index", [X], {**POOL, "kernel": (6, 1)}, "no larger than the padded input"),
    ("max_pool_index", [X], {**POOL, "kernel": (2,)}, "a pair"),
    ("random_bits", ["int64[1]", "int64[]", "int64[]"], {"site": 0, "shape": (2,)}, "int64[]"),
    ("random_bits", ["int64[]"] * 3, {"site": 2**32 - 1, "shape": (2,)}, "0 to 4294967294"),
    ("random_bits", ["int64[]"] * 3, {"site": -1, "shape": (2,)}, "0 to 4294967294"),
    ("random_bits", ["int64[]"] * 3, {"site": 0, "shape": (2**41,)}, "elements"),
]


@pytest.mark.parametrize(("op", "types", "attributes", "wanted"), REFUSED)
def test_a_wrong_shape_or_attribute_is_refused(
    op: str, types: list[str], attributes: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ValueError) as caught:
        spec.infer(op, [type_from(text) for text in types], attributes)
    message = str(caught.value)
    assert message.startswith((f"{op}: got ", "type: got ")) and wanted in message


AT_THE_BOUND = [
    ("matmul", ["float32[1, 2097152]", "float32[2097152, 1]"], {"width": "wide"}),
    ("matmul", ["float32[1, 16777216]", "float32[16777216, 1]"], {"width": "narrow"}),
    ("sum", ["float32[65536]"], {"axes": (0,)}),
    ("sum", ["int64[65537]"], {"axes": (0,)}),
    ("random_bits", ["int64[]"] * 3, {"site": 2**32 - 2, "shape": (2**40,)}),
    ("conv", [X, W], {**WINDOW, "dilation": (2, 2)}),
]


@pytest.mark.parametrize(("op", "types", "attributes"), AT_THE_BOUND)
def test_the_bound_itself_is_accepted(op: str, types: list[str], attributes: dict[str, Any]) -> None:
    assert spec.infer(op, [type_from(text) for text in types], attributes)


EXAMPLES = {case.op: case for case in reversed(cases()) if case.fault is None}
EVERY = pytest.mark.parametrize("case", EXAMPLES.values(), ids=EXAMPLES)


def refusal(case: Case, types: list[TensorType], attributes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        spec.infer(case.op, types, attributes)
    assert str(caught.value).startswith(f"{case.op}: got ")
    return str(caught.value)


@EVERY
def test_every_operator_counts_its_operands(case: Case) -> None:
    types = [type_of(x) for x in case.inputs]
    if case.op != "concat":
        assert "operands" in refusal(case, [*types, TensorType("float32", ())], case.attributes)
    if types:
        assert "operands" in refusal(case, [], case.attributes)


@EVERY
def test_every_operator_refuses_attributes_that_are_not_its_own(case: Case) -> None:
    types = [type_of(x) for x in case.inputs]
    assert "attributes" in refusal(case, types, {**case.attributes, "scale": 1})
    for name in case.attributes:
        fewer = {key: value for key, value in case.attributes.items() if key != name}
        assert "attributes" in refusal(case, types, fewer)
        for wrong in (None, 1.5, "1", (1.0,), [[1]], True, 2**63, (2**63,)):
            if not (wrong is True and name == "descending"):
                refusal(case, types, {**case.attributes, name: wrong})


NUMBERS, INTEGERS = "float32 int64 int32 uint32", "int64 int32 uint32"
ACCEPTED = {  # the dtypes of the first operand
    "reshape permute broadcast slice concat pad cast eq maximum minimum amax amin take_rows gather": f"{NUMBERS} bool",
    "add sub mul lt le": NUMBERS,
    "div sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tanh erf sigmoid floor ceil trunc round": "float32",
    "floor_divide remainder shift_left shift_right": INTEGERS,
    "neg abs sum argmax cumsum argsort": "float32 int64 int32",
    "bit_and bit_or bit_xor bit_not": f"bool {INTEGERS}",
    "select": "bool",
    "matmul conv conv_grad_input conv_grad_weight add_rows scatter_add max_pool_index": "float32",
    "random_bits": "int64",
}
DTYPES_OF = {op: set(dtypes.split()) for ops, dtypes in ACCEPTED.items() for op in ops.split()}


@EVERY
def test_every_operator_takes_the_dtypes_of_the_law_and_no_other(case: Case) -> None:
    types = [type_of(x) for x in case.inputs]
    accepted = set()
    for dtype in DTYPES if types else ():
        changed = [TensorType(dtype, t.shape) if t.dtype == types[0].dtype else t for t in types]
        try:
            spec.infer(case.op, changed, case.attributes)
            accepted.add(dtype)
        except ValueError as error:
            assert str(error).startswith(f"{case.op}: got ")
    assert accepted == DTYPES_OF.get(case.op, set())


def test_every_operator_with_a_rule_on_shapes_has_a_refusal() -> None:
    by_table = {op for op, *_ in REFUSED}
    assert {op for op, operator in spec.OPERATORS.items() if operator.family != "elementwise"} <= by_table


@pytest.mark.parametrize(
    "op",
    [op for op, operator in spec.OPERATORS.items() if len(operator.operands) == 2 and operator.family == "elementwise"],
)
def test_two_operands_of_different_shape_are_refused(op: str) -> None:
    dtype = spec.infer(op, [type_of(x) for x in EXAMPLES[op].inputs], {}).dtype
    dtype = EXAMPLES[op].inputs[0].dtype.name if dtype == "bool" else dtype
    message = refusal(EXAMPLES[op], [TensorType(dtype, (2, 1)), TensorType(dtype, (2,))], {})
    assert "equal shapes" in message


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="operator: got 'attention', want one of reshape"):
        spec.infer("attention", [], {})


ONE = np.ones(3, np.float32)
SIGNALLING, NEGATIVE = (
    np.array([0x3F800000, pattern], np.uint32).view(np.float32) for pattern in (0x7F800001, 0xFFC00000)
)
BYTES = np.array([0, 1, 2], np.uint8).view(np.bool_)
DOOR: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("neg", [SIGNALLING], {}, "neg: got NaN 0x7f800001 in operand 0, want 0x7fc00000"),
    ("add", [ONE[:2], NEGATIVE], {}, "add: got NaN 0xffc00000 in operand 1, want 0x7fc00000"),
    ("reshape", [SIGNALLING], {"shape": (1, 2)}, "reshape: got NaN"),
    ("bit_not", [BYTES], {}, "bit_not: got byte 2 in operand 0, want bools of 0 or 1"),
    ("neg", [ONE.astype(np.float64)], {}, "got an array of float64, want one of float32"),
    ("neg", [ONE.astype(">f4")], {}, "got an array of >f4, want one of float32"),
    (
        "matmul",
        [np.ones((4, 3), np.float32), np.ones((5, 2), np.float32)],
        {"width": "wide"},
        "matmul: got a float32[4, 3]",
    ),
]


@pytest.mark.parametrize("name", backends.available())
@pytest.mark.parametrize(("op", "inputs", "attributes", "message"), DOOR, ids=[row[3] for row in DOOR])
def test_the_door_refuses(op: str, inputs: list[Any], attributes: dict[str, Any], message: str, name: str) -> None:
    with pytest.raises(ValueError) as caught:
        backends.run(op, inputs, attributes, backend=name)
    assert message in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_a_thread_count_that_is_none_is_refused(threads: Any) -> None:
    with pytest.raises(ValueError, match=r"neg: got .* threads, want 1 or more"):
        backends.run("neg", [ONE], {}, backend="spec", threads=threads)
