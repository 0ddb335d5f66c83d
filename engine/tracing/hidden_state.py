"""What a loss would read once and for all while it is traced: random numbers beside torch's, and counters of Python."""

from __future__ import annotations

import gc
import random
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn
from torch.fx import GraphModule

from engine.tracing.errors import TraceError, is_users

Torch = Callable[..., Any]
NUMBERS = (int, float)
PYTHONS = sysconfig.get_path("stdlib")
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
OF_PYTHON = (
    "random uniform randint randrange choice choices sample shuffle gauss normalvariate betavariate expovariate"
    " gammavariate triangular getrandbits lognormvariate"
).split()
OF_NUMPY = (
    "rand randn randint random random_sample uniform normal standard_normal choice permutation shuffle beta binomial"
    " exponential gamma dirichlet poisson laplace"
).split()


def _refuse(name: str) -> NoReturn:
    raise TraceError(
        f"trace: {name} would be drawn once, while tracing, and be the same in every step; draw with torch, such as"
        " torch.rand(()) or torch.distributions"
    )


def _drawn_once(name: str) -> Torch:
    def draw(others: Torch, *args: Any, **kwargs: Any) -> Any:
        return _refuse(name) if is_users(sys._getframe(2).f_code.co_filename) else others(*args, **kwargs)

    return draw


def _unseeded(others: Torch, seed: Any = None) -> Any:
    by_chance = seed is None and is_users(sys._getframe(2).f_code.co_filename)
    return _refuse("the seed of np.random.default_rng()") if by_chance else others(seed)


def _seeded(torchs: Torch, *args: Any) -> NoReturn:
    raise TraceError(
        "trace: torch.manual_seed would change nothing: the job's seed decides; numbers that are the same in every step"
        " belong into a buffer"
    )


REFUSED: tuple[tuple[Any, str, Torch], ...] = (
    *((random, name, _drawn_once(f"random.{name}")) for name in OF_PYTHON),
    *((np.random, name, _drawn_once(f"np.random.{name}")) for name in OF_NUMPY),
    (np.random, "default_rng", _unseeded),
    (torch, "manual_seed", _seeded),
)


@contextmanager
def generators_stand_still() -> Iterator[None]:
    """Refuses a loss that draws from a generator which stood before it, such as np.random.default_rng(0) of its file.

    Those that modules of libraries keep are theirs; random's and NumPy's own are watched by name: REFUSED.
    """
    of_libraries = {
        id(value) for module in list(sys.modules.values()) if _is_librarys(module) for value in vars(module).values()
    }
    # type, not isinstance: a stand-in of another library would be asked for its class
    found = [each for each in gc.get_objects() if issubclass(type(each), GENERATORS) and id(each) not in of_libraries]
    before = [(each, _state_of(each)) for each in found if not isinstance(each, random.SystemRandom)]
    yield
    for generator, state in before:
        if _state_of(generator) != state:
            _refuse(f"what a {type(generator).__module__}.{type(generator).__name__} gives")


def _is_librarys(module: Any) -> bool:
    file = getattr(module, "__file__", None) or ""
    return file.startswith(PYTHONS) or "site-packages" in file or "dist-packages" in file


def _state_of(generator: Any) -> str:
    """The state of one of GENERATORS, as a text that can be compared: every draw moves a place in it."""
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    return repr(generator.getstate() if isinstance(generator, random.Random) else generator.get_state())


@dataclass(frozen=True)
class Counted:
    """A number of Python that a loss changes."""

    called: str
    names: dict[str, Any]
    name: str
    before: float
    after: float


class Counters:
    """The numbers of Python that a loss may count: attributes of the model's layers, and globals of its file."""

    def __init__(self, model: nn.Module, loss: Any) -> None:
        named = [(type(module).__name__ + ".", vars(module)) for module in model.modules()]
        self._holders = [(called, names, dict(names)) for called, names in named]
        file: dict[str, Any] = getattr(loss, "__globals__", {})
        self._holders.append(("", file, {name: value for name, value in file.items() if type(value) in NUMBERS}))
        self._changed: list[Counted] = []

    def note(self) -> None:
        """Looks for what the loss has changed. A layer that has made other things too, such as a table, is left out."""
        self._changed = [
            Counted(called + name, names, name, earlier[name], names[name])
            for called, names, earlier in self._holders
            for name in _counted(names, earlier)
        ]

    def steady(self, capture: Callable[[], GraphModule]) -> GraphModule:
        """A graph that the next step would give too; a TraceError names what counts where it would not."""
        graph, changed = capture(), list(self._changed)
        for each in changed:
            each.names[each.name] = each.after
        try:
            if changed and not _same(graph, capture()):
                found = ", ".join(f"{each.called} ({each.before}, then {each.after})" for each in changed)
                raise TraceError(
                    f"trace: the loss depends on numbers of Python that it changes: {found}; the program would keep the"
                    " first, so count in a buffer (register_buffer) and branch by torch.where"
                )
        finally:
            for each in changed:
                each.names[each.name] = each.before
        return graph


def _counted(names: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    changed = [name for name, value in earlier.items() if names.get(name) is not value]
    if not all(type(earlier[name]) in NUMBERS and type(names.get(name)) in NUMBERS for name in changed):
        return []
    return [name for name in changed if names[name] != earlier[name]]


def _same(graph: GraphModule, other: GraphModule) -> bool:
    return _texts(graph) == _texts(other) and all(
        torch.equal(getattr(graph, node.target), getattr(other, node.target))
        for node in graph.graph.nodes
        if node.op == "get_attr"
    )


def _texts(graph: GraphModule) -> list[tuple[str, ...]]:
    return [(node.op, str(node.target), str(node.args), str(node.kwargs)) for node in graph.graph.nodes]
