"""Builds the native operators: kernels/_native (pybind11) and kernels/libisobit.so (the C ABI).

Build variables: CXX, ISOBIT_JOBS (compilers at once, default 2), ISOBIT_CUDA (0, 1, auto: build csrc/cuda where nvcc
is found), ISOBIT_SANITIZE (address, with undefined behaviour, or thread: only a build/sanitize-NAME/libisobit.so),
ISOBIT_MACHINE (x86_64, aarch64, ...: only a build/MACHINE/libisobit.so, with a CXX that compiles for it).
"""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # an isolated build does not look here
from kernels.native_sources import digest_of  # noqa: E402

MACHINE = os.environ.get("ISOBIT_MACHINE") or platform.machine()
X86 = MACHINE.lower() in ("x86_64", "amd64")

# Each flag that bears on the bits stands here once.
FLAGS = (
    "-O3",
    "-std=c++17",
    "-ffp-contract=off",  # a*b+c is two roundings; where one is meant, the source says fma
    "-fno-fast-math",  # IEEE arithmetic, as the law says
    "-fno-math-errno",  # errno is never read; without it sqrt and rint vectorise
    "-fno-trapping-math",  # no trap is ever enabled; without it comparisons and selects vectorise
    "-fvisibility=hidden",  # only isobit.h is exported
    "-fPIC",
    "-fopenmp",
    "-Wall",
    "-Wextra",
)
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, *"-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512vnni".split(), "-mprefer-vector-width=512")
# The instruction sets, lowest first. The linker keeps the first copy of a template that several builds hold, so this
# order keeps AVX-512 code out of what a plain machine runs.
ISA_FLAGS: dict[str, tuple[str, ...]] = {"plain": (), "avx2": AVX2, "avx512": AVX512} if X86 else {"neon": ()}
# AMX is AVX-512 but for the products, which alone are compiled for it.
TILE_FLAGS = ("-mamx-tile", "-mamx-int8")
TILE_SOURCES = ("conv.cpp", "conv_grad_weight.cpp", "matmul.cpp")
TRACEABLE = ("-fno-omit-frame-pointer", "-g1", "-O1")
SANITIZE: dict[str, tuple[str, ...]] = {
    "address": (
        "-fsanitize=address,undefined",
        "-fno-sanitize=shift-base",  # x << n of a negative x: the compiler defines it as C++20 does
        "-fno-sanitize-recover=undefined",
        *TRACEABLE,
    ),
    "thread": ("-fsanitize=thread", *TRACEABLE),
}
# The thread sanitizer does not see how gcc's OpenMP runtime joins its threads and would report each join as a race.
VISIBLE_THREADS = ROOT / "tests" / "kernels" / "visible_threads.cpp"
CUDA_ARCHITECTURES = (
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90a,code=sm_90a",
    "-gencode=arch=compute_80,code=compute_80",
)
HOPPER_ARCHITECTURES = ("-gencode=arch=compute_90a,code=sm_90a",)  # its instructions are on no other chip


@dataclass(frozen=True)
class Unit:
    """One source, compiled to one object; `command` lacks only the source, the object and the dependency file."""

    source: Path
    object: Path
    command: tuple[str, ...]

    def is_current(self) -> bool:
        """Whether the object was made by this command and is newer than all it was made from."""
        stamp, depends = self.object.with_suffix(".command"), self.object.with_suffix(".d")
        if not (self.object.exists() and stamp.exists() and depends.exists()):
            return False
        if stamp.read_text() != self.signature():
            return False
        made = self.object.stat().st_mtime_ns
        names = shlex.split(depends.read_text().replace("\\\n", " ").split(":", 1)[1])
        return all(os.path.exists(name) and os.stat(name).st_mtime_ns <= made for name in names)

    def signature(self) -> str:
        # The headers' names are part of it: a new header may be one that __has_include looked for.
        headers = sorted(path.name for path in (ROOT / "csrc").rglob("*.h"))
        return "\n".join((*self.command, *headers))

    def compile(self) -> None:
        if self.is_current():
            return
        self.object.parent.mkdir(parents=True, exist_ok=True)
        depends = str(self.object.with_suffix(".d"))
        started = self.object.with_suffix(".started")
        started.touch()
        files = ("-MMD", "-MF", depends, "-c", str(self.source), "-o", str(self.object))
        subprocess.run((*self.command, *files), check=True)
        # A source saved during the compilation must look newer than the object.
        os.utime(self.object, ns=(started.stat().st_mtime_ns,) * 2)
        started.unlink()
        self.object.with_suffix(".command").write_text(self.signature())


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "g++"))


def cpu_units(folder: Path, extra: tuple[str, ...] = ()) -> list[Unit]:
    """csrc/*.cpp once, csrc/cpu/*.cpp once per instruction set; bind.cpp stands apart."""
    base = (*compiler(), *FLAGS, *extra)
    units = [
        Unit(source, folder / "host" / f"{source.stem}.o", (*base, "-DISOBIT_ISA=host"))
        for source in sorted((ROOT / "csrc").glob("*.cpp"))
        if source.name not in ("bind.cpp", "sources.cpp")
    ]
    digest = f'-DISOBIT_SOURCES="{digest_of(ROOT / "csrc")}"'
    units.append(Unit(ROOT / "csrc" / "sources.cpp", folder / "host" / "sources.o", (*base, digest)))
    for isa, flags in ISA_FLAGS.items():
        for source in sorted((ROOT / "csrc" / "cpu").glob("*.cpp")):
            units.append(Unit(source, folder / isa / f"{source.stem}.o", (*base, *flags, f"-DISOBIT_ISA={isa}")))
    for name in TILE_SOURCES if X86 else ():
        command = (*base, *ISA_FLAGS["avx512"], *TILE_FLAGS, "-DISOBIT_ISA=amx")
        units.append(Unit(ROOT / "csrc" / "cpu" / name, folder / "amx" / f"{Path(name).stem}.o", command))
    return units


def bind_unit(folder: Path, source: Path = ROOT / "csrc" / "bind.cpp") -> Unit:
    import pybind11

    includes = (f"-I{sysconfig.get_paths()['include']}", f"-I{pybind11.get_include()}")
    name = f"bind{sysconfig.get_config_var('EXT_SUFFIX')}.o"
    command = (*compiler(), *FLAGS, "-DNDEBUG", "-DISOBIT_ISA=host", *includes)  # NDEBUG: pybind11 checks nothing
    return Unit(source, folder / source.parent.name / name, command)


def find_nvcc() -> str | None:
    """The path of nvcc, or None where there is nothing to build or nothing to build it with."""
    wanted = os.environ.get("ISOBIT_CUDA", "auto")
    if wanted not in ("0", "1", "auto"):
        raise SystemExit(f"setup: got ISOBIT_CUDA={wanted}, want 0, 1 or auto")
    if wanted == "0" or not any((ROOT / "csrc" / "cuda").glob("*.cu")):
        return None
    homes = [Path(os.environ[name]) / "bin" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [*map(str, homes), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    nvcc = shutil.which("nvcc", path=os.pathsep.join(places))
    if nvcc is None and wanted == "1":
        raise SystemExit("setup: got ISOBIT_CUDA=1 and no nvcc, want nvcc on PATH or CUDA_HOME")
    return nvcc


def cuda_units(folder: Path, nvcc: str) -> list[Unit]:
    flags = (
        "-O3",
        "-std=c++17",
        "--fmad=false",  # as -ffp-contract=off
        "--ftz=false",  # subnormals are kept
        "--prec-div=true",
        "--prec-sqrt=true",
        "-Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off",
        "-cudart=static",
    )
    return [
        Unit(source, folder / "cuda" / f"{source.stem}.o", (nvcc, *architectures_of(source), *flags))
        for source in sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
    ]


def architectures_of(source: Path) -> tuple[str, ...]:
    return HOPPER_ARCHITECTURES if source.stem.endswith("_hopper") else CUDA_ARCHITECTURES


def compile_all(units: list[Unit]) -> None:
    with ThreadPoolExecutor(int(os.environ.get("ISOBIT_JOBS", "2"))) as pool:
        list(pool.map(Unit.compile, units))


def link(objects: list[Path], target: Path, extra: tuple[str, ...] = ()) -> None:
    """Writes the library beside its place and moves it there: a running process keeps the one it has."""
    command = (*compiler(), "-shared", "-fopenmp", *map(str, objects), *extra)
    stamp = ROOT / "build" / "native" / f"{target.name}.link"
    newest = max(path.stat().st_mtime_ns for path in objects)
    signature = "\n".join((*command, str(target), str(newest)))
    if target.exists() and stamp.exists() and stamp.read_text() == signature:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    written = target.with_name(f".{target.name}.{os.getpid()}")
    subprocess.run((*command, "-o", str(written)), check=True)
    written.replace(target)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(signature)


def build_sanitized(name: str) -> None:
    """build/sanitize-NAME/libisobit.so: the C ABI with the sanitizers of that name."""
    if name not in SANITIZE:
        raise SystemExit(f"setup: got ISOBIT_SANITIZE={name}, want {' or '.join(SANITIZE)}")
    folder, flags = ROOT / "build" / f"sanitize-{name}", SANITIZE[name]
    units = cpu_units(folder, flags)
    if name == "thread":
        command = (*compiler(), *FLAGS, *flags)
        units.append(Unit(VISIBLE_THREADS, folder / "host" / "visible_threads.o", command))
    compile_all(units)
    link([unit.object for unit in units], folder / "libisobit.so", flags)


def build_for_another_machine() -> None:
    """build/MACHINE/libisobit.so: the C ABI for a processor that is not this one."""
    folder = ROOT / "build" / MACHINE
    units = cpu_units(folder)
    compile_all(units)
    link([unit.object for unit in units], folder / "libisobit.so")


class BuildNative(build_ext):
    """Compiles what changed and links both libraries, into build_lib or (--inplace) into the tree."""

    def run(self) -> None:
        (ROOT / "build").mkdir(exist_ok=True)
        with (ROOT / "build" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two builds of one tree take turns
            self.build_all()

    def build_all(self) -> None:
        if wanted := os.environ.get("ISOBIT_SANITIZE"):
            build_sanitized(wanted)
            return
        if MACHINE != platform.machine():
            build_for_another_machine()
            return
        for target in self.targets().values():
            if target.name.startswith("_cuda") and target.exists():
                target.unlink()  # an earlier build with CUDA does not leak into this one
        folder, targets = ROOT / "build" / "native", self.targets()
        units, bind, nvcc = cpu_units(folder), bind_unit(folder), find_nvcc()
        compile_all([*units, bind])
        objects = [unit.object for unit in units]
        link(objects, targets["library"])
        link([bind.object, *objects], targets["module"])
        if targets["library"].parent != ROOT / "kernels":
            shutil.copy(ROOT / "csrc" / "isobit.h", targets["library"].parent)  # beside the library it declares
        if nvcc:
            self.build_cuda(folder, nvcc, targets["cuda"])

    def build_cuda(self, folder: Path, nvcc: str, target: Path) -> None:
        """kernels/_cuda; where nobody asked for it, an nvcc that does not go with this compiler stops nothing."""
        try:
            units = [*cuda_units(folder, nvcc), bind_unit(folder, ROOT / "csrc" / "cuda" / "bind.cpp")]
            compile_all(units)
            link_with_cuda(nvcc, [unit.object for unit in units], target)
        except (subprocess.CalledProcessError, StopIteration) as error:
            if os.environ.get("ISOBIT_CUDA", "auto") == "1":
                raise
            print(f"setup: kernels._cuda is left out: {nvcc} failed ({error}); ISOBIT_CUDA=0 does not try")

    def targets(self) -> dict[str, Path]:
        module = Path(self.get_ext_fullpath("kernels._native")).resolve()
        cuda = Path(self.get_ext_fullpath("kernels._cuda")).resolve()
        return {"module": module, "library": module.with_name("libisobit.so"), "cuda": cuda}

    def get_outputs(self) -> list[str]:
        paths = [*self.targets().values(), self.targets()["library"].with_name("isobit.h")]
        return [str(path) for path in paths if path.exists()]


def link_with_cuda(nvcc: str, objects: list[Path], target: Path) -> None:
    """A library that holds the CUDA runtime, so that it loads where there is none."""
    dry = subprocess.run((nvcc, "--dryrun", "-x", "cu", "/dev/null"), capture_output=True, text=True, check=True)
    top = next(line.split("TOP=", 1)[1].strip() for line in dry.stderr.splitlines() if "TOP=" in line)
    runtime = next(path for path in Path(top).rglob("libcudart_static.a"))
    link(objects, target, (str(runtime), "-lrt", "-lpthread", "-ldl", "-Wl,--exclude-libs,ALL"))


class CleanBuild(build):
    """Starts from an empty build_lib: a file of an earlier build never reaches a wheel."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    ext_modules=[Extension("kernels._native", ["csrc/bind.cpp"])],
    cmdclass={"build": CleanBuild, "build_ext": BuildNative},
)
