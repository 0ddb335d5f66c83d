"""A native module of other sources is refused with the command that builds it again."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernels import backends
from kernels.native_interface import interface

pytestmark = pytest.mark.skipif(bool(backends.missing("native")), reason="needs the native library")
CSRC = Path(__file__).parents[2] / "csrc"


@pytest.fixture
def csrc(tmp_path: Path) -> Path:
    """A copy of the sources that say what the module offers."""
    for path in [*CSRC.glob("bind*"), CSRC / "isobit.h", CSRC / "operators.h"]:
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["bind.cpp", "bind_arrays.h", "isobit.h", "operators.h"])
def test_a_module_of_other_sources_is_refused(csrc: Path, name: str) -> None:
    from kernels.native_library import library, require_current

    require_current(library, csrc)
    with (csrc / name).open("a") as file:
        file.write("// one more line\n")
    with pytest.raises(ImportError, match=r"other sources than .*: build it again with `python setup.py build_ext"):
        require_current(library, csrc)


def test_a_module_without_a_digest_is_refused_where_there_are_sources(csrc: Path, tmp_path: Path) -> None:
    """One that was built before modules had a digest, or by other means."""
    from kernels.native_library import require_current

    old = SimpleNamespace(__file__="kernels/_native.so")
    with pytest.raises(ImportError, match=r"kernels/_native\.so was built from other sources"):
        require_current(old, csrc)
    require_current(old, tmp_path / "installed")


def test_a_new_header_of_the_binding_is_part_of_the_digest(csrc: Path) -> None:
    before = interface(csrc)
    (csrc / "bind_more.h").write_text("")
    assert interface(csrc) not in (before, interface(CSRC)) and before == interface(CSRC)


def test_the_door_says_what_to_build(monkeypatch: pytest.MonkeyPatch, csrc: Path) -> None:
    from kernels.native_library import require_current

    def stale() -> backends.Backend:
        require_current(SimpleNamespace(__file__="kernels/_native.so"), csrc)
        raise AssertionError("the module is stale")

    monkeypatch.setitem(backends.LOADERS, "native", stale)
    backends.load.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"backend native: .*`python setup.py build_ext --inplace`"):
            backends.load("native")
    finally:
        backends.load.cache_clear()
