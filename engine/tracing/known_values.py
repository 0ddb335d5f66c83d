"""Tensors that depend on no input of the step are known while it is traced: values may decide shapes and branches.

Beside the tensors without values runs, for small tensors made of numbers alone, the same operator on real ones. So a
mask, a list of lengths or a step of time that the code writes down can be indexed with, counted and read as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode_stack,
)
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten
LARGEST = 1 << 14  # elements
BY_INDEX = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
READS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class KnownValues(TorchDispatchMode):
    """Answers what depends on values alone that are known; all else runs as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.known = WeakTensorKeyDictionary()
        self.changed: dict[int, Tensor] = {}  # by storage: real tensors behind what was written over; kept, since the
        # place of one that is gone could be another's

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace != "aten" or torch.Tag.nondeterministic_seeded in func.tags:
            return func(*args, **kwargs)
        if func in BY_INDEX:
            args = (args[0], self._counted(args[1]), *args[2:])
        if func is aten.masked_select.default and self.value(args[1]) is not None:
            return aten.index.Tensor(args[0].expand(args[1].shape), self._counted([args[1]]))
        all_known = all(self.value(t) is not None for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor))
        if all_known and any(tag in func.tags for tag in READS):
            return tree_map(self._lifted, self._real(func, args, kwargs))
        result = func(*args, **kwargs)
        if all_known and _are_small(result):
            self._remember(result, self._real(func, args, kwargs))
        elif func._schema.is_mutable:
            self._forget(func, args, kwargs)
        return result

    def value(self, tensor: Tensor) -> Tensor | None:
        """The real tensor behind one; a tensor that was made before the step is behind itself."""
        if tensor not in self.known and type(tensor) is Tensor and tensor.numel() <= LARGEST:
            self._set(tensor, tensor)
        value, storage = self.known.get(tensor, (None, None))
        if value is None or storage != _storage(tensor) or _storage(value) in self.changed:
            return None  # its data were exchanged, or written over
        return value

    def _set(self, tensor: Tensor, real: Tensor) -> None:
        with _disable_current_modes():
            self.known[tensor] = real.detach().clone(), _storage(tensor)

    def _real(self, func: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = tree_map(lambda x: self.value(x) if isinstance(x, Tensor) else x, (args, kwargs))
        with _disable_current_modes(), torch.no_grad():
            return func(*args, **kwargs)

    def _remember(self, result: Any, real: Any) -> None:
        for tensor, value in zip(tree_leaves(result), tree_leaves(real), strict=True):
            if isinstance(tensor, FakeTensor) and isinstance(value, Tensor):
                self.known[tensor] = value, _storage(tensor)

    def _forget(self, func: Any, args: Any, kwargs: Any) -> None:
        """What shares a storage with a tensor that is written to is no longer known."""
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._forget_each(value)
        for argument in func._schema.arguments:
            if argument.name in kwargs and argument.alias_info is not None and argument.alias_info.is_write:
                self._forget_each(kwargs[argument.name])

    def _forget_each(self, value: Any) -> None:
        for tensor in tree_leaves(value):
            if isinstance(tensor, Tensor) and tensor in self.known:
                real = self.known[tensor][0]
                self.changed[_storage(real)] = real

    def _counted(self, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Known masks as the indices of what they choose."""
        found: list[Tensor | None] = []
        for index in indices:
            value = self.value(index) if index is not None and index.dtype is torch.bool else None
            if value is None:
                found.append(index)
                continue
            with _disable_current_modes():
                chosen = value.nonzero().unbind(1)
            found += [self._lifted(part) for part in chosen]
        return found

    def _lifted(self, real: Any) -> Any:
        """A real tensor as a constant of the step."""
        if not isinstance(real, Tensor):
            return real
        lifted = aten.clone.default(real)
        self.known[lifted] = real, _storage(lifted)
        return lifted


def known_value(tensor: Tensor) -> Tensor | None:
    """The real tensor behind one that depends on no input of the step that is traced; None for any other."""
    modes = [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, KnownValues)]
    return modes[-1].value(tensor) if modes else None


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _are_small(result: Any) -> bool:
    return all(t.numel() <= LARGEST for t in tree_leaves(result) if isinstance(t, Tensor))
