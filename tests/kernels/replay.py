"""Calls that the native library answered here, made again by a library of another machine under an emulator."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernels.spec.operator import Array
from kernels.types import DTYPES, Fault, TensorType, type_of
from tests.kernels.c_abi import ROOT, STATUS, Library, forward

MESSAGE_SIZE = 256


class Machine(NamedTuple):
    """A processor with a compiler and an emulator for it."""

    name: str
    compiler: str
    emulator: tuple[str, ...]

    def command(self, folder: Path) -> list[str]:
        """Builds the library of this tree and the program over it; the command that runs the program."""
        environment = {**os.environ, "ISOBIT_MACHINE": self.name, "CXX": f"{self.compiler}g++"}
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext"], cwd=ROOT, env=environment, check=True)
        library, program = ROOT / "build" / self.name / "libisobit.so", folder / "replay"
        source = str(ROOT / "tests" / "kernels" / "replay.c")
        flags = ["-std=c11", "-O1", "-Wall", "-Wextra", f"-I{ROOT / 'csrc'}", f"-Wl,-rpath,{library.parent}"]
        compile_ = [f"{self.compiler}gcc", *flags, source, str(library), "-o", str(program)]
        subprocess.run(compile_, check=True)
        return [*self.emulator, str(program)]


def find(name: str) -> Machine | None:
    """Debian's cross compiler and emulator for a processor, where both are installed."""
    emulator = shutil.which(f"qemu-{name}") or shutil.which(f"qemu-{name}-static")
    compiler = f"{name}-linux-gnu-"
    if emulator is None or shutil.which(f"{compiler}g++") is None:
        return None
    return Machine(name, compiler, (emulator, "-L", f"/usr/{name}-linux-gnu"))


class Recorder(Library):
    """The library of this machine, which keeps every call and what came of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[bytes] = []
        self.answers: list[tuple[str, TensorType, bytes | tuple[int, str]]] = []

    def run(
        self, name: str, inputs: Sequence[Array], flat: Sequence[int], result: TensorType, threads: int = 1
    ) -> Array:
        operands = b"".join(_packed(type_of(x)) + np.ascontiguousarray(forward(x)).tobytes() for x in inputs)
        attributes = struct.pack(f"<i{len(flat)}q", len(flat), *flat)
        head = struct.pack("<B", len(name)) + name.encode() + struct.pack("<i", len(inputs))
        self.calls.append(head + operands + attributes + _packed(result) + struct.pack("<i", threads))
        try:
            value = super().run(name, inputs, flat, result, threads)
        except Fault as fault:
            self.answers.append((name, result, (fault.element, fault.reason)))
            raise
        self.answers.append((name, result, value.tobytes()))
        return value

    def differences(self, command: Sequence[str]) -> Iterator[str]:
        """The calls of which the program makes anything else."""
        done = subprocess.run(command, input=b"".join(self.calls), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        at = 0
        for index, (name, type_, want) in enumerate(self.answers):
            status, element, message = struct.unpack_from(f"<iq{MESSAGE_SIZE}s", done.stdout, at)
            at += struct.calcsize(f"<iq{MESSAGE_SIZE}s")
            got: bytes | tuple[int, str] = (element, message.split(b"\0")[0].decode())
            if STATUS[status] == "ok":
                got, at = done.stdout[at : at + type_.bytes], at + type_.bytes
            if got != want or STATUS[status] == "invalid":
                yield f"call {index}, {name} to {type_}"
        assert at == len(done.stdout)


def _packed(type_: TensorType) -> bytes:
    return struct.pack(f"<ii{len(type_.shape)}q", DTYPES.index(type_.dtype), len(type_.shape), *type_.shape)
