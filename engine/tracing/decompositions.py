"""ATen's operators that are written as others by torch itself, in Python: they need no rule of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._decomp import get_decompositions

from engine.tracing.householder import DECOMPOSITIONS as OF_REFLECTIONS
from engine.tracing.linear_algebra import DECOMPOSITIONS as OF_MATRICES
from engine.tracing.own_decompositions import DECOMPOSITIONS as OWN
from engine.tracing.special_functions import DECOMPOSITIONS as SPECIAL

aten = torch.ops.aten
DECOMPOSED: tuple[Any, ...] = tuple(
    getattr(getattr(aten, packet), overload)
    for packet, overloads in {
        "addmv": "default",
        "addr": "default",
        "affine_grid_generator": "default",
        "aminmax": "default",
        "block_diag": "default",
        "bucketize": "Tensor",
        "channel_shuffle": "default",
        "col2im": "default",
        "count_nonzero": "default",
        "deg2rad": "default",
        "diag_embed": "default",
        "dist": "default",
        "frac": "default",
        "heaviside": "default",
        "im2col": "default",
        "index_copy": "default",
        "index_fill": "int_Scalar int_Tensor",
        "isin": "Tensor_Tensor Tensor_Scalar Scalar_Tensor",
        "isneginf": "default",
        "isposinf": "default",
        "linalg_cross": "default",
        "logaddexp": "default",
        "logaddexp2": "default",
        "max_unpool2d": "default",
        "max_unpool3d": "default",
        "mvlgamma": "default",
        "nansum": "default",
        "rad2deg": "default",
        "rot90": "default",
        "rrelu_with_noise_backward": "default",
        "sinc": "default",
        "soft_margin_loss": "default",
        "soft_margin_loss_backward": "default",
        "special_entr": "default",
        "special_log_ndtr": "default",
        "special_xlog1py": "default",
        "std_mean": "correction",
    }.items()
    for overload in overloads.split()
)


def table() -> Mapping[Any, Callable[..., Any]]:
    """Operator -> its decomposition."""
    return {**get_decompositions(list(DECOMPOSED)), **OWN, **SPECIAL, **OF_MATRICES, **OF_REFLECTIONS}
