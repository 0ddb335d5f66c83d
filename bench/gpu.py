"""The GPU's report: every conformance case of the Triton kernels against the spec, then products beside cuBLAS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  (after the path, as kernels and bench are imported from the checkout)

from bench import machine  # noqa: E402
from bench.case import Row  # noqa: E402
from bench.report import line, write_json  # noqa: E402
from bench.timing import interleaved  # noqa: E402
from kernels import backends, conformance  # noqa: E402
from kernels.triton import OPERATORS, matmul, versions  # noqa: E402

SIZES = (4096, 8192)
LAYOUTS = ("NN", "NT", "TN")
PRODUCTS_OF_DIGITS = {"narrow": 4, "wide": 9}


def differing() -> list[str]:
    """The names of the cases in which the GPU's bits differ from the spec's."""
    gpu, spec = backends.load("triton"), backends.load("spec")
    cases = [case for case in conformance.cases() if case.op in OPERATORS]
    print(f"conformance: {len(cases)} cases of {len(OPERATORS)} operators", flush=True)
    return [case.name for case in cases if conformance.outcome(case, gpu) != conformance.outcome(case, spec)]


def finished(work: Callable[[], object]) -> Callable[[], None]:
    """The work, until the GPU has done it."""

    def run() -> None:
        work()
        torch.cuda.synchronize()

    return run


def cublas(a: torch.Tensor, b: torch.Tensor, precision: str) -> Callable[[], object]:
    """torch's product in true float32 ("highest") or on TF32 tensor cores ("high")."""

    def run() -> torch.Tensor:
        torch.set_float32_matmul_precision(precision)
        return torch.matmul(a, b)

    return run


def int8_peak() -> float:
    """Operations per second of cuBLAS's int8 product, the fastest way known to feed those tensor cores."""
    a, b = (torch.randint(-128, 128, (8192, 8192), dtype=torch.int8, device="cuda") for _ in range(2))
    seconds = interleaved({"int8": finished(partial(torch._int_mm, a, b.t()))}, rounds=5, batch_s=0.05)["int8"]
    return 2 * 8192**3 / seconds


def products(sizes: list[int], peak: float) -> Iterator[Row]:
    """Square products from float32 on the GPU to float32 on the GPU: maxima, digits and rounding are in our time."""
    for size in sizes:
        for layout in LAYOUTS:
            a, b = (torch.randn(size, size, device="cuda") for _ in range(2))
            a, b = a if layout[0] == "N" else a.t(), b if layout[1] == "N" else b.t()
            works = {f"ours {width}": finished(partial(matmul.matmul, a, b, width)) for width in PRODUCTS_OF_DIGITS}
            works["cublas_float32"] = finished(cublas(a, b, "highest"))
            works["cublas_tf32"] = finished(cublas(a, b, "high"))
            seconds = interleaved(works, rounds=7, batch_s=0.05)
            for width, passes in PRODUCTS_OF_DIGITS.items():
                ours = seconds[f"ours {width}"]
                rivals = {name: value for name, value in seconds.items() if name.startswith("cublas")}
                ratio = {name: value / ours for name, value in rivals.items()}
                case = f"{width} {layout} {size}x{size}x{size}"
                yield Row("gpu", case, 0, ours, rivals, ratio, passes * 2 * size**3 / ours / peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    options = parser.parse_args()
    start = perf_counter()
    name = torch.cuda.get_device_name()
    print(name, versions(), flush=True)
    wrong = differing()
    print(f"{len(wrong)} differ", *wrong[:20], f"after {perf_counter() - start:.0f} s", sep="\n", flush=True)
    rows = []
    peak = int8_peak()
    print(f"int8 peak {peak / 1e12:.0f} TOP/s")
    for row in products([int(size) for size in options.sizes.split(",")], peak):
        print(line(row), flush=True)
        rows.append(row)
    print("tilings:", *matmul.chosen().items(), sep="\n")
    about = {"gpu": name, **versions(), **machine.describe()}
    report = {"machine": about, "commit": machine.commit(), "differing": wrong, "rows": [asdict(row) for row in rows]}
    if options.json:
        write_json(report, options.json)
    print(f"{perf_counter() - start:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
