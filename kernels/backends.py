"""The one door to the backends: which of them this machine has, and every operator on any of them to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module

import numpy as np

from kernels import hashing, spec
from kernels.attention import Attention
from kernels.group import Group
from kernels.hashing import LEAF_SIZE, Data, as_bytes
from kernels.memory import HostMemory, Memory
from kernels.spec.operator import Array, Attributes
from kernels.spec.rounding import INFINITY_BITS, maxima
from kernels.types import CANONICAL_NAN, TensorType, type_of

NAMES = ("native", "portable", "spec", "triton", "cuda")


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to compute the law.

    run:           (op, inputs, attributes, threads=1) -> array: unchecked, the caller guarantees types by infer
    maxima:        (x, axes, threads=1) -> the largest |x| over the axes, as uint32 bit patterns
    tree_root:     (array or bytes, threads=1) -> the root over 1 KiB leaves
    subtree_roots: (array or bytes, leaves per subtree, threads=1) -> their roots
    leaf_hashes:   (array or bytes, threads=1) -> the hashes of the leaves, joined
    memory:        where the values of a step are kept
    begin_roots:   (arrays of the memory, leaves per subtree, threads=1) -> a function that gives, per array, its
                   subtree roots: where it can, beside what it computes meanwhile; None where they are hashed one by one
    record:        (named calls on the memory's arrays) -> a function that does them again, started as one; None where
                   the backend has no such thing
    about:         the device, its versions, and on which GPUs the kernels are proven; None for the CPU's
    compile_group: (Group) -> a function of (inputs, threads, outputs=None) that gives the group's outputs, in new
                   arrays where none are given; None where the backend runs one operator at a time
    groups_gather: whether a group may hold a gather of one element of each row
    compile_attention: (Attention) -> the same of its operands and results; None where scores are stored
    prepare:       (op, operand types, attributes) -> a function of (inputs, threads, out=None) that does less per call
                   than run and writes to out where it is given; None where the backend has no such thing

    compile_group and prepare work on arrays of the backend's memory, the others on NumPy arrays.
    """

    name: str
    run: Callable[..., Array]
    maxima: Callable[..., Array]
    tree_root: Callable[..., bytes]
    subtree_roots: Callable[..., list[bytes]]
    leaf_hashes: Callable[..., bytes]
    compile_group: Callable[[Group], Callable[..., Sequence[Array]]] | None = None
    prepare: Callable[[str, Sequence[TensorType], Attributes], Callable[..., Array]] | None = None
    memory: Memory = field(default_factory=HostMemory)
    begin_roots: Callable[..., Callable[[], list[list[bytes]]]] | None = None
    about: Callable[[], str] | None = None
    compile_attention: Callable[[Attention], Callable[..., Sequence[Array]]] | None = None
    record: Callable[..., Callable[[], None]] | None = None
    groups_gather: bool = False

    def group_maxima(self, op: str, inputs: Sequence[Array], attributes: Attributes, threads: int = 1) -> list[Array]:
        """The law's scales: per operand that the operator quantises, the maxima over its scale groups."""
        return [self.maxima(x, axes, threads=threads) for x, axes in spec.scale_groups(op, inputs, attributes)]


def available() -> tuple[str, ...]:
    """The backends that can be loaded here, fastest first."""
    return tuple(name for name in NAMES if not missing(name))


def missing(name: str) -> str:
    """Why a backend cannot be loaded here; empty where it can."""
    try:
        load(name)
    except ValueError as error:
        return str(error)
    return ""


@cache
def load(name: str) -> Backend:
    """The backend of a name; a ValueError naming what is missing. It never falls back to another."""
    if name not in NAMES:
        raise ValueError(f"backend: got {name!r}, want one of {', '.join(NAMES)}")
    try:
        return LOADERS[name]()
    except ImportError as error:
        raise ValueError(f"backend {name}: {error}; {WANTED[name]}") from error


def run(op: str, inputs: Sequence[Array], attributes: Attributes, backend: str = "native", threads: int = 1) -> Array:
    """An operator's value, after checking operands and attributes against the law.

    inputs:  arrays of any strides
    returns: a row-major array; a layout operator may return a view

    A ValueError where a shape, dtype, attribute, NaN or bool is not the law's, before anything is computed; a Fault
    where the law has one.
    """
    if type(threads) is not int or threads < 1:
        raise ValueError(f"{op}: got {threads!r} threads, want 1 or more")
    arrays = [np.asarray(x) for x in inputs]
    spec.infer(op, [type_of(x) for x in arrays], attributes)
    for position, x in enumerate(arrays):
        check_bits(op, position, x)
    return load(backend).run(op, [x if x.flags.aligned else x.copy() for x in arrays], attributes, threads=threads)


def check_bits(op: str, position: int, x: Array) -> None:
    """Refuses a NaN of another pattern than the law's, and a bool of another byte than 0 or 1."""
    if x.dtype == np.float32:
        bits = x.view(np.uint32)
        wrong = ((bits & 0x7FFFFFFF) > INFINITY_BITS) & (bits != CANONICAL_NAN)
        if wrong.any():
            raise ValueError(f"{op}: got NaN {bits[wrong][0]:#010x} in operand {position}, want {CANONICAL_NAN:#010x}")
    elif x.dtype == np.bool_ and x.size and x.view(np.uint8).max() > 1:
        raise ValueError(f"{op}: got byte {x.view(np.uint8).max()} in operand {position}, want bools of 0 or 1")


def _load_native() -> Backend:
    native, module = import_module("kernels.native"), import_module("kernels.native_library").library
    compile_group = import_module("kernels.native_group").compile_group

    def tree_root(data: Data, threads: int = 1) -> bytes:
        return module.tree_root(as_bytes(data), LEAF_SIZE, threads)

    def subtree_roots(data: Data, leaves_per_subtree: int, threads: int = 1) -> list[bytes]:
        return module.subtree_roots(as_bytes(data), LEAF_SIZE, leaves_per_subtree, threads)

    def leaf_hashes(data: Data, threads: int = 1) -> bytes:
        return module.leaf_hashes(as_bytes(data), LEAF_SIZE, threads)

    def begin_roots(
        arrays: Sequence[Array], leaves_per_subtree: int, threads: int = 1
    ) -> Callable[[], list[list[bytes]]]:
        found = module.many_subtree_roots([as_bytes(x) for x in arrays], LEAF_SIZE, leaves_per_subtree, threads)
        return lambda: found

    hashes = (tree_root, subtree_roots, leaf_hashes)
    own = (native.run, native.group_maxima, *hashes, compile_group, native.prepare)
    return Backend("native", *own, begin_roots=begin_roots, groups_gather=True)


def _load_portable() -> Backend:
    portable = import_module("kernels.portable")
    return Backend("portable", portable.run, portable.maxima, *HASHES)


def _load_spec() -> Backend:
    return Backend("spec", spec.run, _numpy_maxima, *HASHES)


def _numpy_maxima(x: Array, axes: tuple[int, ...], threads: int = 1) -> Array:
    return maxima(x, axes)


def _load_triton() -> Backend:
    import_module("triton")  # before torch, whose import takes seconds
    triton = import_module("kernels.triton")
    triton.device()
    functions = (triton.compile_group, triton.prepare, triton.MEMORY, triton.begin_roots, triton.about)
    more = (triton.compile_attention, triton.record_graph)
    return Backend("triton", triton.run, triton.maxima, *HASHES, *functions, *more)


def _load_cuda() -> Backend:
    if import_module("kernels._cuda").devices() == 0:  # before torch, whose import takes seconds
        raise ImportError("the CUDA runtime sees no device")
    cuda = import_module("kernels.cuda")
    return replace(_load_triton(), name="cuda", run=cuda.run, prepare=cuda.prepare, about=cuda.about)


HASHES = (hashing.tree_root, hashing.subtree_roots, hashing.leaf_hashes)
LOADERS = {"native": _load_native, "portable": _load_portable, "spec": _load_spec, "triton": _load_triton}
LOADERS["cuda"] = _load_cuda
WANTED = {
    "native": "build it with `pip install .` and a C++17 compiler",
    "portable": "install numba",
    "spec": "install NumPy",
    "cuda": "build with nvcc (ISOBIT_CUDA=1), and install torch and triton on a machine with an NVIDIA GPU",
    "triton": "install torch and triton on a machine with an NVIDIA GPU",
}
