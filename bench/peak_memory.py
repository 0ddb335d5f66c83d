"""The most memory that training takes: a run of ours, committed and saved, beside torch's eager steps on the model.

`python bench/peak_memory.py --json FILE`: each in a process of its own, from when its libraries are loaded
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

STEPS = 3
MODELS = ("char-gpt", "resnet-18", "dit-s8", "lora-llama-160m", "gpt2-124m")
WAYS = ("run", "step", "torch")


def status(name: str) -> int:
    """Bytes of a line of this process's status: VmRSS, what it holds; VmHWM, the most that it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def forget_peak() -> int:
    """The most that was held is what is held now: those bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def run(folder: Path, threads: int) -> int:
    """As `isobit train` goes: three steps, each committed to, and checkpoints. Gives the bytes of the libraries."""
    from engine.job import open_job
    from engine.train import train

    before = forget_peak()
    train(open_job(folder, threads=threads), folder.parent / "run", threads=threads)
    return before


def step(folder: Path, threads: int) -> int:
    """The steps alone, on a state that stays in memory."""
    from engine.job import open_job
    from engine.resident import Resident

    before = forget_peak()
    job = open_job(folder, threads=threads)
    resident = Resident(job.program, threads=threads)
    resident.load(job.start_state(into=resident.slots))
    for number in range(STEPS):
        resident.step(job.other_inputs(number, job.job.seed))
    return before


def theirs(model: str, threads: int) -> int:
    """torch's eager steps, in float32."""
    import torch

    from bench.suites.step import MODELS, theirs_of

    torch.set_num_threads(threads)
    before = forget_peak()
    work = theirs_of(MODELS[model], False)
    for _ in range(STEPS):
        work()
    return before


def measured(way: str, model: str, folder: Path, threads: int) -> dict[str, int]:
    """Bytes in a process of its own: held once its libraries were loaded, and the most above that."""
    command = [sys.executable, __file__, "--way", way, "--models", model, "--folder", str(folder)]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} of {model}: {done.stderr}")
    return json.loads(done.stdout)


def compared(model: str, threads: int) -> dict[str, object]:
    """A model's row."""
    from bench.long_dispute import stored
    from bench.suites.step import MODELS, traced

    job = stored(traced(MODELS[model], "default"), STEPS)
    try:
        found = {way: measured(way, model, job.folder, threads) for way in WAYS}
    finally:
        shutil.rmtree(job.folder.parent)
    ratio = {way: round(found[way]["peak"] / found["torch"]["peak"], 3) for way in WAYS[:-1]}
    shown = "  ".join(f"{way} {numbers['peak'] / 2**20:.0f} MiB" for way, numbers in found.items())
    print(f"{model:12} {threads} thr  {shown}  ratio {ratio}", flush=True)
    return {"model": model, "threads": threads, **found, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the report is written")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--way", choices=WAYS, help="measure this in this process and print the bytes")
    parser.add_argument("--folder", type=Path, help="the job folder of --way")
    options = parser.parse_args()
    if options.way:
        own = {"run": run, "step": step}
        before = (
            own[options.way](options.folder, options.threads)
            if options.way in own
            else theirs(options.models, options.threads)
        )
        print(json.dumps({"loaded": before, "peak": status("VmHWM") - before}))
        return
    from bench import machine
    from bench.report import write_json

    rows = [compared(model, options.threads) for model in options.models.split(",")]
    if options.json:
        write_json({"machine": machine.describe(), "commit": machine.commit(), "rows": rows}, options.json)


if __name__ == "__main__":
    main()
