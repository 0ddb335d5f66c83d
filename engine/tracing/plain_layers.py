"""torch's layers run as operators that have rules, and never look at the values of their tensors."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.distributions import Distribution
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules import transformer

HELD = (dict, OrderedDict, list, set)


@contextmanager
def plain_layers() -> Iterator[None]:
    """What torch would fuse or compile runs as written: an LSTM, attention, an encoder's layer, torch.compile.

    Distributions do not check their arguments.
    """
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(_switched(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled))
        stack.enter_context(_switched(torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled))
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and it need not be imported
            stack.enter_context(torch._dynamo.config.patch(error_on_nested_fx_trace=False))
        stack.enter_context(patch.object(Distribution, "_validate_args", False))
        stack.enter_context(patch.object(transformer, "_detect_is_causal_mask", _given))
        yield


@contextmanager
def attributes_as_they_are(model: torch.nn.Module) -> Iterator[None]:
    """What a step sets on its modules, such as a table made in its first call, is not kept: it has no values.

    Nor is what it adds to their lists and dicts, such as hooks: a module that notes that it has added them adds them
    again.
    """
    before = [(vars(module), dict(vars(module))) for module in model.modules()]
    held = [(value, value.copy()) for _, attributes in before for value in attributes.values() if type(value) in HELD]
    try:
        yield
    finally:
        for now, then in (*before, *held):
            now.clear()
            (now.extend if isinstance(now, list) else now.update)(then)


def _given(mask: torch.Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    """The caller's hint that a mask is causal; without one the mask is added as it is, which gives the same numbers."""
    return is_causal is True


@contextmanager
def _switched(get: Any, set_: Any) -> Iterator[None]:
    """A switch of torch is off."""
    before = get()
    set_(False)
    try:
        yield
    finally:
        set_(before)
