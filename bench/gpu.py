"""The GPU's report: whether its bits are the law's, then what it takes beside cuBLAS, a copy and torch's own steps.

Exit code 0: every bit that was looked at is the law's; 1: one differs; 2: a check of bits could not be made. A section
that fails is written down and the next one begins. The report is written after every section.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
if "--dry" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # read by Triton when a kernel is defined
    sys.path.insert(0, str(ROOT / "tests" / "engine"))

import numpy as np  # noqa: E402  (after the path, as kernels and bench are imported from the checkout)
import torch  # noqa: E402

from bench import machine  # noqa: E402
from bench.gpu_checks import CHECKS  # noqa: E402
from bench.gpu_figures import FIGURES  # noqa: E402
from bench.gpu_scale import DRY, Scale  # noqa: E402
from bench.report import line, write_json  # noqa: E402
from kernels.triton import record, versions  # noqa: E402


class Report:
    """What is found, written to its file after every section."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.differing: dict[str, list[str]] = {}
        self.errors: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}
        self.left_out: dict[str, str] = {}

    def section(self, name: str, work: Callable[[], None]) -> None:
        """Does one section; whatever goes wrong in it is written down."""
        print(f"{name}:", flush=True)
        started = perf_counter()
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self.errors[name] = f"{type(error).__name__}: {error}"[:2000]
        self.seconds[name] = round(perf_counter() - started, 1)
        print(f"  {self.seconds[name]} s", flush=True)
        self.write()

    def write(self) -> None:
        about = {"gpu": record.device_name(), "driver": record.driver(), **machine.describe(), **versions()}
        found = {"differing": self.differing, "errors": self.errors, "seconds": self.seconds, "left_out": self.left_out}
        content = {
            "machine": about,
            "commit": machine.commit(),
            "kernels": {backend: record.sources(backend) for backend in record.SOURCES},
            **found,
            "rows": self.rows,
        }
        if self.path:
            write_json(content, self.path)

    @property
    def status(self) -> int:
        """The exit code."""
        return 1 if any(self.differing.values()) else 2 if self.errors.keys() & CHECKS.keys() else 0


def run_check(report: Report, name: str, scale: Scale) -> None:
    """What differs in one check."""
    report.differing[name] = []
    for difference in CHECKS[name](scale):
        print(f"  DIFFERS: {difference}", flush=True)
        report.differing[name].append(difference)
    print(f"  {len(report.differing[name])} differ", flush=True)


def run_figure(report: Report, name: str, scale: Scale) -> None:
    """The rows of one figure."""
    for row in FIGURES[name](scale):
        print(f"  {line(row)}", flush=True)
        report.rows.append(asdict(row))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def without_cuda(dry: bool) -> str:
    """Why the products of csrc/cuda are left out; empty where they are not. A dry run has them on the CPU."""
    if dry:
        from tests.kernels.cuda_stand_in import OnCpu, as_on_hopper

        as_on_hopper(OnCpu(Path(mkdtemp(prefix="isobit-cuda-"))))
        return ""
    if find_spec("kernels._cuda") is None:
        return "kernels._cuda is not built here: no nvcc was found, or it failed (ISOBIT_CUDA=1 says why)"
    return "" if import_module("kernels._cuda").devices() else "the CUDA runtime in kernels._cuda sees no device"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dry", action="store_true", help="tiny sizes in Triton's interpreter: does the script work?")
    parser.add_argument("--only", default="", help="only the sections whose name contains this")
    parser.add_argument("--seconds", type=float, default=460.0, help="begin no section after this")
    options = parser.parse_args()
    begin = perf_counter()
    report, scale = Report(options.json), DRY if options.dry else Scale()
    print(record.about(), flush=True)
    np.seterr(all="ignore")
    works = {name: run_check for name in CHECKS if name != "exhaustive"} | {name: run_figure for name in FIGURES}
    works["exhaustive"] = run_check
    if any(name.startswith("cuda") and options.only in name for name in works) and (why := without_cuda(options.dry)):
        report.left_out = {name: why for name in works if name.startswith("cuda")}
    for name, work in works.items():
        if options.only not in name or name in report.left_out:
            continue
        left = options.seconds - (perf_counter() - begin)
        if left < 0:
            report.errors[name] = f"not begun: {options.seconds:.0f} s were over"
            continue
        within = replace(scale, exhaustive_s=min(scale.exhaustive_s, left))
        report.section(name, lambda name=name, work=work, within=within: work(report, name, within))
    report.write()
    for name, why in report.left_out.items():
        print(f"left out: {name}: {why}", flush=True)
    print(f"{perf_counter() - begin:.0f} s; {len(report.errors)} errors; differing: {report.differing}", flush=True)
    if report.status == 0 and not options.dry and not options.only:
        print("for kernels/triton/record.py:", flush=True)
        for backend in record.SOURCES if not report.left_out else ("triton",):
            entry = (record.device_name(), record.driver(), record.sources(backend))
            print(f"    Run({', '.join(map(repr, entry))}, GOLDEN),  # {backend}", flush=True)
    return report.status


if __name__ == "__main__":
    sys.exit(main())
