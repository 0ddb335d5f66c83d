"""Every operator on the native library (csrc): the same names and bits as kernels.spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernels import spec
from kernels.native_library import library as _native
from kernels.spec.operator import WIDTHS, Array, Attributes
from kernels.types import DTYPES, NUMPY_DTYPE, TensorType

Plan = tuple[list[int], int, tuple[int, ...]]
Prepared = Callable[..., Array]
DTYPE_NAME = {dtype: name for name, dtype in NUMPY_DTYPE.items()}
LAYOUTS = frozenset(filter(spec.is_layout, spec.OPERATORS))


def run(op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1, out: Array | None = None) -> Array:
    """The operator's value; the types are taken as checked by infer.

    inputs:  arrays of any strides
    out:     a contiguous array of the result's type to write to, apart from every input
    returns: out, or a new row-major array; a layout operator gives a view where one exists
    """
    if op in LAYOUTS:
        return _layout(op, inputs[0], attributes, threads)
    return _run(op, inputs, attributes, threads, out)


def prepare(op: str, types: Sequence[TensorType], attributes: Attributes) -> Prepared:
    """A function of (inputs, threads, out) that is `run` with everything done that only types and attributes decide.

    out: as run's; a layout operator with one is a copy
    """
    result = spec.infer(op, types, attributes)
    flat, dtype, shape = flatten(op, attributes), DTYPES.index(result.dtype), result.shape
    if op not in LAYOUTS:
        return _native.plan(op, flat, dtype, shape)

    def layout(inputs: list[Array], threads: int, out: Array | None = None) -> Array:
        if out is None:
            return _layout(op, inputs[0], attributes, threads)
        view = inputs[0] if op == "reshape" else _layout(op, inputs[0], attributes, threads)
        _native.run("copy", [view], [], dtype, view.shape, threads, out.reshape(view.shape))
        return out

    return layout


def group_maxima(x: Array, axes: Sequence[int], threads: int = 1) -> Array:
    """The maxima of |x| over the axes as bit patterns; 0 for an empty group.

    x:       float32
    returns: uint32, the axes removed
    """
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    if not axes:
        return group_maxima(x[..., None], (x.ndim,), threads)
    flat = [len(axes), *sorted(axes)]
    return _native.run("group_maxima", [x], flat, DTYPES.index("uint32"), shape, threads)


def _plan(op: str, inputs: Sequence[Array], attributes: Attributes) -> Plan:
    """The attributes as the C ABI takes them, and the result's dtype and shape."""
    result = spec.infer(op, [TensorType(DTYPE_NAME[x.dtype], x.shape) for x in inputs], attributes)
    return flatten(op, attributes), DTYPES.index(result.dtype), result.shape


def flatten(op: str, attributes: Attributes) -> list[int]:
    """Attributes in the law's order as integers: a list is its length and its values, a dtype or width its index."""
    flat: list[int] = []
    for name, kind in spec.OPERATORS[op].attributes.items():
        value = attributes[name]
        if kind == "ints":
            flat += [len(value), *value]
        else:
            flat.append(
                {"dtype": DTYPES, "width": WIDTHS}[kind].index(value) if kind in ("dtype", "width") else int(value)
            )
    return flat


def _layout(op: str, x: Array, attributes: Attributes, threads: int) -> Array:
    """A view; a reshape that has none is a view of a row-major copy."""
    if op == "reshape" and not x.flags.c_contiguous:
        dtype = DTYPES.index(DTYPE_NAME[x.dtype])
        x = _native.run("copy", [x], [], dtype, x.shape, threads)
    return spec.OPERATORS[op].value(x, **attributes)


_run = _native.cached(_plan)
