"""The list of torch operators that trace: `python -m engine.tracing.operators > docs/operators-of-torch.md`."""

from __future__ import annotations

import torch
from torch._subclasses.complex_tensor import ComplexTensor
from torch.nn import attention

from engine.tracing.decompositions import DECOMPOSED
from engine.tracing.fourier import RULES as TRANSFORMS
from engine.tracing.householder import DECOMPOSITIONS as OF_REFLECTIONS
from engine.tracing.linear_algebra import DECOMPOSITIONS as OF_MATRICES
from engine.tracing.linear_algebra import DETERMINANTS
from engine.tracing.lowering import FAMILIES
from engine.tracing.optimizer_options import RULES as OPTIMIZERS
from engine.tracing.own_decompositions import DECOMPOSITIONS as OWN
from engine.tracing.randomness import RULES as RANDOM
from engine.tracing.rewritten import REWRITTEN
from engine.tracing.special_functions import DECOMPOSITIONS as SPECIAL
from engine.tracing.statistics import ANSWERS as BATCH_NORMS
from engine.tracing.widths import RULES as WIDTHS

TITLES = {
    "rules_elementwise": "Elementwise operators",
    "rules_functions": "Functions composed of others",
    "rules_activation": "Activations",
    "rules_layout": "Views, joins, padding",
    "rules_rearranging": "Diagonals, windows, pixels",
    "rules_creation": "Creation",
    "rules_reduction": "Reductions, softmax, statistics",
    "rules_norm": "Norms",
    "rules_loss": "Losses",
    "rules_product": "Products and convolutions",
    "rules_indexing": "Embeddings, gathers, sorting",
    "rules_scattering": "Writes by index",
    "rules_pooling": "Pooling, upsampling",
    "rules_resampling": "Interpolation, pools of any window, padding by the image itself",
}
VERSION = torch.__version__.split("+")[0]
HEAD = f"""# Torch operators that trace

Written by `python -m engine.tracing.operators > docs/operators-of-torch.md` with torch {VERSION}.

These are operators of ATen, torch's inner set. A call in a model (`F.cross_entropy`, `nn.LSTM`, `einsum`, `@`) reaches
them through torch's own decompositions, so far more of torch traces than is named here. An operator that is not here is
refused with its name and the line that called it. docs/tracing.md says what a job file may hold.

Optimizers, by class name: {", ".join(OPTIMIZERS)}. Rules of width: {", ".join(WIDTHS)}.
"""


def text() -> str:
    """The whole document."""
    parts = [HEAD]
    for family in FAMILIES:
        parts.append(_section(TITLES[family.__name__.split(".")[-1]], family.RULES))
    parts.append(_section("Written as others by torch itself", DECOMPOSED))
    parts.append(_section("Written as others here", OWN))
    parts.append(_section("Arc, gamma and error functions", SPECIAL))
    parts.append(_section("Fourier transforms", TRANSFORMS))
    parts.append(_section("Linear algebra of small matrices", (*OF_MATRICES, *OF_REFLECTIONS, *DETERMINANTS)))
    parts.append(_section("Functions of torch rewritten before their gradient is taken", _functions()))
    parts.append(_section("Random operators, numbered by call", RANDOM))
    parts.append(_section("Batch norm with running statistics", BATCH_NORMS))
    return "\n".join(parts)


def _functions() -> list[str]:
    homes = {
        torch: "torch",
        torch._VF: "torch",
        torch.Tensor: "torch.Tensor",
        attention: "torch.nn.attention",
        ComplexTensor: "torch.Tensor",
    }
    return [f"{homes.get(owner, 'torch.nn.functional')}.{name}" for owner, name, _ in REWRITTEN]


def _section(title: str, operators: object) -> str:
    names = sorted(str(operator) for operator in operators)  # type: ignore[attr-defined]
    packets: dict[str, list[str]] = {}
    for name in names:
        packet, _, overload = name.removeprefix("aten.").partition(".") if name.startswith("aten.") else (name, "", "")
        packets.setdefault(packet, []).append(overload)
    lines = [
        f"`{packet}`" + (f" ({', '.join(overloads)})" if any(overloads) else "")
        for packet, overloads in packets.items()
    ]
    return f"## {title}\n\n" + ",\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
