"""The direction of flow: csrc, kernels, engine, protocol, then tests and bench. Nothing imports upwards."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("kernels", "engine", "protocol")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
DECLARED = {
    "PIL",
    "cbor2",
    "eth_account",
    "eth_keys",
    "eth_utils",
    "llvmlite",
    "numba",
    "numpy",
    "obstore",
    "safetensors",
    "sqlalchemy",
    "torch",
    "triton",
}
PICKLES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
ALLOWED = {
    "kernels": {"kernels"},
    "engine": {"kernels", "engine"},
    "protocol": {"kernels", "engine", "protocol", "examples"},
}
TORCH_ROOMS = ("engine/trace.py", "engine/tracing/", "kernels/triton", "kernels/cuda")
BACKENDS = ("kernels._native", "kernels.native", "kernels.portable", "kernels.triton")


def tops_of(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports_of(path)}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    wrong = tops_of(path) & ({*ROOMS, "tests", "bench", "examples"} - ALLOWED[room])
    assert not wrong, f"{name_of(path)} imports {sorted(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_is_imported_only_where_a_model_is_traced_and_on_gpus(path: Path) -> None:
    if not name_of(path).startswith(TORCH_ROOMS):
        assert "torch" not in tops_of(path)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_backends_are_reached_through_the_door_only(path: Path) -> None:
    if not name_of(path).startswith("kernels/"):
        wrong = {name for name in imports_of(path) if name.startswith(BACKENDS)} | tops_of(path) & {"numba", "triton"}
        assert not wrong, f"{name_of(path)} imports {sorted(wrong)}"


def test_pybind11_appears_in_the_binding_only() -> None:
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".h", ".cpp", ".cu"}]
    assert sources
    binding = {"bind.cpp", "bind_arrays.h"}
    assert {path.name for path in sources if "pybind11" in path.read_text()} == binding


def test_the_rules_of_the_game_read_no_clock_no_network_and_no_randomness() -> None:
    forbidden = {"time", "datetime", "random", "secrets", "socket", "os", "logging", "sqlalchemy", "numpy"}
    for path in sorted((ROOT / "protocol" / "game").rglob("*.py")):
        wrong = tops_of(path) & forbidden
        assert not wrong, f"{name_of(path)} imports {sorted(wrong)}"


def test_every_import_is_of_the_standard_library_a_declared_dependency_or_a_room() -> None:
    for path in MODULES:
        wrong = tops_of(path) - DECLARED - {*ROOMS, "examples"} - sys.stdlib_module_names
        assert not wrong, f"{name_of(path)} imports {sorted(wrong)}"


def test_nothing_is_unpickled() -> None:
    for path in MODULES:
        assert not tops_of(path) & PICKLES, name_of(path)
        assert "allow_pickle=True" not in path.read_text(), name_of(path)
