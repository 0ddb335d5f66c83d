"""An operator over lists of tensors (`torch._foreach_add`) runs as the operator of each tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
PREFIX = "aten::_foreach_"
NAMES = {"norm": "linalg_vector_norm", "maximum": "clamp_min", "minimum": "clamp_max"}  # where their own differ
AS_VALUE = ("addcmul", "addcdiv")  # the fourth operand of a list's operator is an option of a tensor's


def is_of_lists(func: Any) -> bool:
    return func._schema.name.startswith(PREFIX)


def each(func: Any, *args: Any, **kwargs: Any) -> list[Tensor] | None:
    """What an operator over lists gives, or None where it writes to the first of them."""
    name = func._schema.name.removeprefix(PREFIX)
    count = len(next(arg for arg in args if isinstance(arg, list | tuple)))
    results = [_single(name, [_item(arg, i) for arg in args], kwargs) for i in range(count)]
    return None if name.endswith("_") else results


def _item(arg: Any, index: int) -> Any:
    return arg[index] if isinstance(arg, list | tuple) else arg


def _single(name: str, args: list[Any], kwargs: dict[str, Any]) -> Tensor:
    plain, in_place = name.removesuffix("_"), "_" * name.endswith("_")
    if plain in AS_VALUE and len(args) == 4:
        *args, value = args
        if isinstance(value, Tensor):
            return getattr(aten, f"add{in_place}")(args[0], getattr(aten, plain[3:])(args[1], args[2]) * value)
        kwargs = {**kwargs, "value": value}
    return getattr(aten, NAMES.get(plain, plain) + in_place)(*args, **kwargs)
