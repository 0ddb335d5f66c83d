"""What a file or folder of isobit holds, for a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.canonical import from_canonical
from engine.encoding import program_from_bytes
from engine.files import read_file
from engine.job import JobFolder, open_job
from engine.job_id import Job, job_from_bytes
from engine.program import to_text
from engine.run import RunFolder
from engine.store import Checkpoint, checkpoint_from_bytes
from protocol.claim_file import claim_from_bytes


def text_of(path: Path) -> str:
    """The text of a job folder, a run folder, or a program, job, checkpoint or other canonical CBOR file."""
    if path.is_dir():
        if (path / "run.cbor").exists():
            return run_text(RunFolder(path))
        if (path / "job.cbor").exists():
            folder = open_job(path)
            return f"{job_summary(folder)}\n{to_text(folder.program)}"
        raise ValueError(f"show: {path} holds neither job.cbor nor run.cbor, want a job folder or a run folder")
    return file_text(read_file(path, "show"), str(path))


def file_text(data: bytes, what: str) -> str:
    """The text of canonical CBOR bytes, by the format that they name."""
    content = from_canonical(data, what)
    kind = content.get("format") if isinstance(content, dict) else None
    if not isinstance(kind, str) or not kind.startswith("isobit-"):
        return lines_of(content)
    if kind.startswith("isobit-program-"):
        return to_text(program_from_bytes(data))
    if kind.startswith("isobit-checkpoint-"):
        return checkpoint_text(checkpoint_from_bytes(data, what))
    if kind.startswith("isobit-claim-"):
        return str(claim_from_bytes(data, what))
    if kind.startswith("isobit-job-"):
        return f"job {job_from_bytes(data).id.hex()}\n{lines_of(content)}"
    return lines_of(content)


def job_summary(folder: JobFolder) -> str:
    """A few lines about a job: its id, program, data and length."""
    job, program = folder.job, folder.program
    parameters = sum(value.type.size for value in program.inputs_of("state"))
    return "\n".join(
        (
            f"job       {job.id.hex()}",
            f"program   {job.program.hex()}  {len(program.nodes)} nodes",
            f"state     {job.start.hex()}  {parameters} numbers in {len(program.inputs_of('state'))} tensors",
            f"data      {job.data.hex()}  {job.records} records",
            f"schedule  {job.schedule.hex()}",
            f"steps     {job.steps} of {job.batch_size} records, seed {job.seed}",
            f"interval  {_interval_text(job)}",
        )
    )


def _interval_text(job: Job) -> str:
    low, high = job.intervals
    return f"{high}" if low == high else f"{job.interval}: the solver's, {low} to {high}"


def run_text(run: RunFolder) -> str:
    """A run: its job, then per committed state its step, root and the metrics of the step before."""
    metrics, saved = run.metrics(), set(run.checkpoints())
    lines = [f"run of job {run.job_id.hex()}, committed every {run.interval}"]
    for step, root in sorted(run.roots().items()):
        numbers = "".join(f"  {_safe(name)} {value:.6g}" for name, value in metrics.get(step - 1, {}).items())
        lines.append(f"{step:8}  {root.hex()}{numbers}{'  checkpoint' if step in saved else ''}")
    if (fault := run.fault()) is not None:
        lines.append(f"fault: {fault}")
    return "\n".join(lines) + "\n"


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """A checkpoint: its step, root and slots."""
    lines = [f"checkpoint after {checkpoint.step} steps of job {checkpoint.job.hex()}", f"root {checkpoint.root.hex()}"]
    lines += [f"{slot.root.hex()}  {_safe(slot.name)} : {slot.type}" for slot in checkpoint.slots]
    return "\n".join(lines) + "\n"


def lines_of(content: Any, indent: str = "") -> str:
    """Maps and lists by lines, byte strings in hexadecimal."""
    if isinstance(content, dict):
        return "".join(f"{indent}{_safe(name)}:{_inline(value, indent)}" for name, value in content.items())
    if isinstance(content, list):
        return "".join(f"{indent}-{_inline(value, indent)}" for value in content)
    return f"{indent}{content.hex() if isinstance(content, bytes) else _safe(str(content))}\n"


def _safe(text: str) -> str:
    """A stranger's text without what moves a terminal's cursor or colours it."""
    return text if text.isprintable() else repr(text)


def _inline(value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return "\n" + lines_of(value, indent + "  ")
    return " " + lines_of(value)
