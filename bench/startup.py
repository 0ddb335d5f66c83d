"""How long GPT-2 of 124M parameters takes to trace, and to load and run its first step in a process of its own.

`python bench/startup.py --json FILE`
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


TOUCH = """
import sys, time
import numpy as np
before = time.perf_counter()
np.empty(int(sys.argv[1]), np.uint8)[::4096] = 1
print(round(time.perf_counter() - before, 2))
"""


class Stopwatch:
    """Seconds by name, each since the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.before = perf_counter()

    def lap(self, name: str) -> None:
        """The seconds since the last lap."""
        now = perf_counter()
        self.seconds[name], self.before = round(now - self.before, 2), now


def trace_to(folder: Path, threads: int) -> dict[str, float]:
    """Traces the model and writes its job."""
    from bench.suites.step import MODELS, traced
    from engine.job import store_traced

    watch = Stopwatch()
    job = traced(MODELS["gpt2-124m"], "default")
    watch.lap("trace_s")
    store_traced(folder, job, threads=threads)
    watch.lap("write_job_s")
    return watch.seconds


def first_step(folder: Path, threads: int) -> dict[str, float]:
    """Opens a job, loads its start state and runs two steps, as `isobit train` does.

    user_s, system_s: of the processor until the first step was done, on all threads; other load lengthens them less
    touch_s:          of a new process to touch as much memory as this one held then, for the first time
    """
    watch = Stopwatch()
    from engine.job import open_job
    from engine.resident import Resident

    watch.lap("import_s")
    job = open_job(folder, threads=threads)
    watch.lap("open_job_s")
    resident = Resident(job.program, threads=threads)
    watch.lap("prepare_s")
    state = job.start_state(into=resident.slots)
    resident.load(state)
    watch.lap("load_state_s")
    inputs = job.step_inputs(state)
    resident.step(inputs)
    watch.lap("first_step_s")
    used = os.times()
    watch.seconds["user_s"], watch.seconds["system_s"] = round(used.user, 2), round(used.system, 2)
    resident.step(inputs)
    watch.lap("next_step_s")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    watch.seconds["touch_s"] = float(subprocess.check_output([sys.executable, "-c", TOUCH, str(held << 10)]))
    return watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the report is written")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--opened", type=Path, help="measure this job folder in this process and print the seconds")
    options = parser.parse_args()
    if options.opened:
        print(json.dumps(first_step(options.opened, options.threads)))
        return
    from bench import machine
    from bench.report import write_json

    with tempfile.TemporaryDirectory() as folder:
        row = trace_to(Path(folder) / "job", options.threads)
        command = [sys.executable, __file__, "--opened", f"{folder}/job", "--threads", str(options.threads)]
        row |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    names = ("import_s", "open_job_s", "prepare_s", "load_state_s", "first_step_s")
    row["load_and_first_step_s"] = round(sum(row[name] for name in names), 2)
    print(json.dumps(row, indent=1))
    if options.json:
        report = {"machine": machine.describe(), "commit": machine.commit(), "threads": options.threads, "row": row}
        write_json(report, options.json)


if __name__ == "__main__":
    main()
