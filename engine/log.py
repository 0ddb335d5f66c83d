"""A log of fixed-size records, one after the other, that survives being cut off at any byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from engine.files import read_file

CHECK_SIZE = 8
STEP_SIZE = 8
MAGIC = b"isobit-log-1\n\0\0\0"
Record = tuple[int, bytes]


class DamagedLog(ValueError):
    """A log that is not what this program wrote, apart from a tail that was being written."""


class RecordLog:
    """Records of (step, body) under one job.

    The file is MAGIC and the job id, then per record: step (u64, little-endian), body, and the first 8 bytes of
    SHA-256(job id || step || body), by which a torn or altered record shows.
    """

    def __init__(self, path: Path, job: bytes, body_size: int) -> None:
        self.path, self.job = path, job
        self.header = MAGIC + job
        self.record_size = STEP_SIZE + body_size + CHECK_SIZE

    def read(self) -> list[Record]:
        """The sound records from the start. A DamagedLog where more than a record being written follows them."""
        data = self._content()
        records = self._sound(data)
        rest = len(data) - len(self.header) - len(records) * self.record_size
        if rest > self.record_size:
            raise DamagedLog(f"{self.path}: record {len(records)} is damaged and {rest} bytes follow from there")
        return records

    def _content(self) -> bytes:
        data = read_file(self.path, "log", most=None) if self.path.exists() else b""
        if data[: len(self.header)] != self.header[: len(data)]:
            raise DamagedLog(f"{self.path}: its header is of another job or no log's")
        return data

    def _sound(self, data: bytes) -> list[Record]:
        records = []
        for start in range(len(self.header), len(data) - self.record_size + 1, self.record_size):
            record = data[start : start + self.record_size]
            if self._check(record[:-CHECK_SIZE]) != record[-CHECK_SIZE:]:
                break
            records.append((int.from_bytes(record[:STEP_SIZE], "little"), record[STEP_SIZE:-CHECK_SIZE]))
        return records

    def _check(self, content: bytes) -> bytes:
        return hashlib.sha256(self.job + content).digest()[:CHECK_SIZE]

    def open(self, steps: Sequence[int]) -> LogWriter:
        """A writer that stands after the records of these steps; a DamagedLog where they are not all there, in order.

        What follows them stays, sound, to be compared with what is written again; a torn or damaged tail is cut off.
        """
        data = self._content()
        records = self._sound(data)
        have = [step for step, _ in records[: len(steps)]]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(have, steps, strict=False)))
        if same < len(steps):
            raise DamagedLog(f"{self.path}: record {same}, of step {steps[same]}, is damaged or missing")
        return LogWriter(self, records, len(steps), whole=len(data) >= len(self.header))

    def encode(self, step: int, body: bytes) -> bytes:
        """The bytes of one record."""
        content = step.to_bytes(STEP_SIZE, "little") + body
        assert len(content) + CHECK_SIZE == self.record_size, "every record has the size of the log"
        return content + self._check(content)


class LogWriter:
    """Appends records; where a record is already there, compares instead."""

    def __init__(self, log: RecordLog, records: list[Record], position: int, whole: bool) -> None:
        self._log, self._records, self._position = log, records, position
        self._file = os.open(log.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not whole:
            os.ftruncate(self._file, 0)
            os.write(self._file, log.header)
        os.ftruncate(self._file, len(log.header) + len(records) * log.record_size)
        os.lseek(self._file, 0, os.SEEK_END)
        self.sync()

    def write(self, step: int, body: bytes) -> None:
        """Append a record; a ValueError where an earlier run wrote another one at this place."""
        if self._position < len(self._records):
            if self._records[self._position] != (step, body):
                raise ValueError(
                    f"{self._log.path}: an earlier run logged {self._records[self._position][1].hex()} for step"
                    f" {self._records[self._position][0]}, this one computes {body.hex()} for step {step}"
                )
        else:
            _write_all(self._file, self._log.encode(step, body))
        self._position += 1

    def sync(self) -> None:
        """Return once every record is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
