"""Measures what bench/results/fidelity.json lacks, then writes docs/fidelity.md: about ten minutes of one core."""

from __future__ import annotations

import argparse
import json
import warnings
from functools import partial

from bench.fidelity import report, steps, studies
from bench.fidelity.results import Results
from bench.models.families import FAMILIES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=__doc__)
    parser.add_argument(
        "--only", default="", help="only what has this in its name; the document is written all the same"
    )
    parser.add_argument("--again", action="store_true", help="forget the results of what is measured")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = Results()
    works = {f"family: {name}": partial(steps.compare, name) for name in FAMILIES}
    works |= {
        f"study: {name}: {seed}": partial(studies.losses, name, seed)
        for seed in studies.SEEDS
        for name in studies.STUDIES
    }
    chosen = {name: work for name, work in works.items() if options.only in name}
    if options.again:
        results.forget(chosen)
    for name, work in chosen.items():
        results.measure(name, work)
    written = json.loads(results.path.read_text())
    report.PATH.write_text(report.document(written["machine"], written["rows"]))
    print(f"wrote {report.PATH}")


if __name__ == "__main__":
    main()
