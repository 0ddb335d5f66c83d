"""A native module of other sources is refused with the command that builds it again."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernels import backends
from kernels.native_sources import digest_of

pytestmark = pytest.mark.skipif(bool(backends.missing("native")), reason="needs the native library")
CSRC = Path(__file__).parents[2] / "csrc"


@pytest.fixture
def csrc(tmp_path: Path) -> Path:
    """A copy of the sources."""
    return shutil.copytree(CSRC, tmp_path / "csrc")


@pytest.mark.parametrize("name", ["bind.cpp", "bind_arrays.h", "isobit.h", "cpu/group.cpp", "cpu/tensor.h"])
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


def test_a_new_file_is_part_of_the_digest(csrc: Path) -> None:
    before = digest_of(csrc)
    (csrc / "cpu" / "more.h").write_text("")
    assert digest_of(csrc) not in (before, digest_of(CSRC)) and before == digest_of(CSRC)


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
