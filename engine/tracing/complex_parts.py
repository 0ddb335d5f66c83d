"""What torch's ComplexTensor lacks for a training step: complex zeros, writes in place, views, Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.complex_tensor import ComplexTensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.tracing.errors import TraceError
from engine.tracing.fourier import RULES as TRANSFORMS

aten = torch.ops.aten
COMPLEX = {torch.complex64: torch.float32, torch.complex128: torch.float64}
# the same for both parts
APART = {
    getattr(aten, name)
    for name in (
        "as_strided as_strided_scatter constant_pad_nd narrow new_empty_strided pixel_shuffle roll scatter_add"
        " slice_scatter tril triu unbind unfold unsafe_split"
    ).split()
}


class ComplexParts(TorchDispatchMode):
    """Answers for complex tensors, which WrapComplexMode has made pairs, what the pairs do not answer themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.copied: dict[int, Tensor] = {}  # the storages that view_as_real has made, and what keeps them

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args = tuple(_number(arg) for arg in args)
        rule = self._rule(func, args, kwargs or {})
        if func._schema.is_mutable:
            self._require_own(func, args)
        result = rule(*args, **(kwargs or {}))
        if func is aten.view_as_real.default and isinstance(args[0], ComplexTensor):
            self.copied[result.untyped_storage()._cdata] = result
        return result

    def _require_own(self, func: Any, args: Any) -> None:
        """Refuses a write to real and imaginary parts that are a copy here, and a view in torch."""
        written = args[0] if args and type(args[0]) is not ComplexTensor else None
        if isinstance(written, Tensor) and written.untyped_storage()._cdata in self.copied:
            raise TraceError(
                f"trace: {func} writes to the parts of a complex tensor; write complex numbers to it instead"
            )

    def _rule(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Callable[..., Any]:
        if func in TRANSFORMS:
            return TRANSFORMS[func]
        if args and isinstance(args[0], ComplexTensor):
            if func._schema.is_mutable and _written_as(func) is not None:
                return _in_place(_written_as(func))
            if func.overloadpacket in APART:
                return _apart(func)
        elif args and isinstance(args[0], Tensor) and any(isinstance(arg, complex) for arg in args):
            return lambda x, *rest, **options: func(ComplexTensor(x, torch.zeros_like(x)), *rest, **options)
        elif kwargs.get("dtype") in COMPLEX and not any(isinstance(arg, ComplexTensor) for arg in args):
            if func.overloadpacket in CREATED:
                return _created(func)
        return func


def _number(arg: Any) -> Any:
    """A complex number of Python does not make its operands double."""
    if isinstance(arg, ComplexTensor) and arg.dtype is torch.complex128 and not arg.dim():
        return ComplexTensor(arg.re.float(), arg.im.float())
    return arg


CREATED = {getattr(aten, name) for name in "zeros ones empty full eye zeros_like ones_like new_zeros new_ones".split()}


def _created(func: Any) -> Callable[..., Any]:
    """A real part, and zeros."""

    def run(*args: Any, dtype: torch.dtype, **kwargs: Any) -> ComplexTensor:
        if func.overloadpacket is aten.full and isinstance(args[1], complex):
            parts = (func(args[0], part, dtype=COMPLEX[dtype], **kwargs) for part in (args[1].real, args[1].imag))
            return ComplexTensor(*parts)
        real = func(*args, dtype=COMPLEX[dtype], **kwargs)
        return ComplexTensor(real, torch.zeros_like(real))

    return run


def _written_as(func: Any) -> Any:
    """The operator that gives what an operator in place writes."""
    name = func._schema.name.removeprefix("aten::")
    is_of_values = name.endswith("_") and torch.Tag.inplace_view not in func.tags
    return getattr(aten, name[:-1], None) if is_of_values else None


def _in_place(packet: Any) -> Callable[..., Any]:
    """The two parts written one by one, once the result is known."""

    def run(x: ComplexTensor, *args: Any, **kwargs: Any) -> ComplexTensor:
        result = args[0] if packet is aten.copy else packet(x, *args, **kwargs)
        real, imag = (result.re, result.im) if isinstance(result, ComplexTensor) else (result, 0)
        x.re.copy_(real) if isinstance(real, Tensor) else x.re.fill_(real)
        x.im.copy_(imag) if isinstance(imag, Tensor) else x.im.fill_(imag)
        return x

    return run


def _apart(func: Any) -> Callable[..., Any]:
    def run(x: ComplexTensor, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("dtype") in COMPLEX:
            kwargs["dtype"] = COMPLEX[kwargs["dtype"]]
        real = func(x.re, *(_part(arg, "re") for arg in args), **kwargs)
        imag = func(x.im, *(_part(arg, "im") for arg in args), **kwargs)
        if isinstance(real, Tensor):
            return ComplexTensor(real, imag)
        return [ComplexTensor(*parts) for parts in zip(real, imag, strict=True)]

    return run


def _part(arg: Any, name: str) -> Any:
    return getattr(arg, name) if isinstance(arg, ComplexTensor) else arg


@contextmanager
def views_of_pairs() -> Iterator[None]:
    """A pair of views is a view: torch's own would copy parts that are not contiguous, and lose what is written."""
    with patch.object(ComplexTensor, "__new__", _pair):
        yield


def _pair(cls: Any, real: Tensor, imag: Tensor) -> ComplexTensor:
    assert real.shape == imag.shape and real.dtype == imag.dtype, "both parts have one form"
    if real.stride() != imag.stride():
        real, imag = real.contiguous(), imag.contiguous()
    pair = Tensor._make_wrapper_subclass(
        cls,
        real.shape,
        device=real.device,
        dtype={part: whole for whole, part in COMPLEX.items()}[real.dtype],
        storage_offset=real.storage_offset(),
        strides=real.stride(),
        layout=real.layout,
        requires_grad=False,
    )
    pair._re, pair._im = real.detach(), imag.detach()
    return pair
