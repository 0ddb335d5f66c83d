"""The C program of docs/c-abi.md compiles with the shipped header and library, and its element is equal."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import kernels

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="a machine with gcc would compile the program")
def test_the_documented_c_program_recomputes_an_element(tmp_path: Path) -> None:
    source = re.search(r"```c\n(.*?)```", (ROOT / "docs" / "c-abi.md").read_text(), re.DOTALL)
    assert source is not None
    (tmp_path / "program.c").write_text(source[1])
    library = Path(kernels.__path__[0]) / "libisobit.so"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{ROOT / 'csrc'}"]
    subprocess.run(
        ["gcc", *flags, "program.c", str(library), "-lm", f"-Wl,-rpath,{library.parent}", "-o", "program"],
        cwd=tmp_path,
        check=True,
    )
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "equal"), done.stdout + done.stderr
