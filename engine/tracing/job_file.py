"""A submitter's job file: a Python module whose names say what to train. It is executed by its author only."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from engine.data import STORED_DTYPE, Windows
from engine.files import map_arrays
from engine.job_id import MAX_STEPS
from engine.mapped import map_file
from engine.tracing.errors import TraceError

Array = np.ndarray
REQUIRED = ("model", "loss", "optimizer", "data", "batch_size", "steps")
REQUIRED_OF_MAP = ("model", "outputs", "data", "batch_size")
OF_TRAINING = (
    "loss",
    "optimizer",
    "learning_rate",
    "clip_norm",
    "clip_value",
    "micro_batches",
    "interval",
    "max_interval",
)
OPTIONAL = {
    "seed": 0,
    "learning_rate": None,
    "clip_norm": None,
    "clip_value": None,
    "width": "default",
    "micro_batches": 1,
    "interval": "auto",
    "max_interval": None,
    "window": None,
    "window_stride": None,
}
RESERVED = ("step", "seed")


@dataclass(frozen=True)
class JobFile:
    """The names of a job file, checked.

    fields:        name -> rows [N, ...] or windows over a stream
    learning_rate: (step) -> a number, or one per parameter group; None: the optimizer's own
    optimizer:     one, or a list of some
    outputs:       (model, batch) -> name -> rows, of a job without a gradient; None: a training job
    """

    model: torch.nn.Module
    outputs: Any
    loss: Any
    optimizer: Any
    fields: dict[str, Array | Windows]
    batch_size: int
    steps: int
    seed: int
    learning_rate: Any
    clip_norm: float | None
    clip_value: float | None
    width: str
    micro_batches: int
    interval: int | Literal["auto"]
    max_interval: int | None

    @property
    def optimizers(self) -> list[Any]:
        """All optimizers, each over parameters of its own."""
        return list(self.optimizer) if isinstance(self.optimizer, list | tuple) else [self.optimizer]

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Zeros of the shapes and dtypes that the loss sees for `size` records: integers as int64."""
        shapes = {n: (f.length,) if isinstance(f, Windows) else f.shape[1:] for n, f in self.fields.items()}
        arrays = {n: f.stream if isinstance(f, Windows) else f for n, f in self.fields.items()}
        return {name: torch.zeros(size, *shapes[name], dtype=_seen_as(array)) for name, array in arrays.items()}


def _seen_as(array: Array) -> torch.dtype:
    return {"f": torch.float32, "b": torch.bool}.get(array.dtype.kind, torch.int64)


def read(job: str | Path | ModuleType, overrides: Mapping[str, Any] | None = None) -> JobFile:
    """The job of a file or an imported module.

    overrides: names that a file finds already set when it starts, such as `text_file`
    """
    names = vars(job) if isinstance(job, ModuleType) else _execute(Path(job), overrides or {})
    maps = "outputs" in names
    required = REQUIRED_OF_MAP if maps else REQUIRED
    missing = [name for name in required if name not in names]
    if missing:
        raise TraceError(f"job file: got no {', '.join(missing)}, want {', '.join(required)}")
    values: dict[str, Any] = {name: names.get(name) for name in (*REQUIRED, "outputs")}
    values |= {name: names.get(name, value) for name, value in OPTIONAL.items()}
    beside = Path(str(names.get("__file__") or ".")).resolve().parent
    fields = _fields(values.pop("data"), values.pop("window"), values.pop("window_stride"), beside)
    if maps:
        _check_map(names)
        values["interval"] = 1  # every state holds the outputs of one batch
        values["steps"] = values["steps"] or -(-_records(fields) // values["batch_size"])
    _check(values)
    return JobFile(fields=fields, **values)


def _execute(path: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    if not path.is_file() or path.suffix != ".py":
        raise TraceError(f"job file: got {path}, want a Python file, NAME.py")
    spec = importlib.util.spec_from_file_location("isobit_job", path.resolve())
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    vars(module).update(overrides)
    sys.modules[spec.name] = module  # where dataclasses and pickles look for its names
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = _line_in(path, error)
        raise TraceError(f"job file: {path}{line}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return vars(module)


def _line_in(path: Path, error: BaseException) -> str:
    """`:line` of the innermost frame in the file, or of the file's syntax error; empty where there is neither."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f":{error.lineno}"
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == str(path.resolve())]
    return f":{lines[-1]}" if lines else ""


def _records(fields: Mapping[str, Array | Windows]) -> int:
    field = next(iter(fields.values()))
    if isinstance(field, Windows):
        return (field.stream.size - field.length) // field.stride + 1
    return int(field.shape[0])


def _check_map(names: Mapping[str, Any]) -> None:
    surplus = [name for name in OF_TRAINING if name in names]
    if surplus:
        raise TraceError(
            f"job file: got outputs and {', '.join(surplus)}, want either a job that trains or one that maps"
        )
    _require("outputs", names["outputs"], callable(names["outputs"]), "outputs(model, batch) -> a dict of tensors")
    size = names["batch_size"]
    _require("batch_size", size, type(size) is int and size > 0, "a positive int")


def _check(values: Mapping[str, Any]) -> None:
    _require("model", values["model"], isinstance(values["model"], torch.nn.Module), "a torch.nn.Module")
    if values["outputs"] is None:
        _check_training(values)
    open_ended = {"interval": "auto", "max_interval": None}
    for name in ("batch_size", "steps", "micro_batches", *open_ended):
        if name in open_ended and values[name] == open_ended[name]:
            continue
        _require(name, values[name], type(values[name]) is int and values[name] > 0, "a positive int")
    _require("steps", values["steps"], values["steps"] < MAX_STEPS, f"at most {MAX_STEPS - 1}")
    _require(
        "seed", values["seed"], type(values["seed"]) is int and 0 <= values["seed"] < 2**63, "an int from 0 to 2^63 - 1"
    )
    B, m = values["batch_size"], values["micro_batches"]
    if B % m or m > 2**16:
        raise TraceError(f"job file: got {m} micro_batches of a batch_size of {B}, want a divisor, at most {2**16}")


def _check_training(values: Mapping[str, Any]) -> None:
    _require("loss", values["loss"], callable(values["loss"]), "loss(model, batch) -> a tensor of rank 0")
    optimizer = values["optimizer"]
    several = optimizer if isinstance(optimizer, list | tuple) and optimizer else [optimizer]
    for one in several:
        wanted = "a torch.optim.Optimizer over the model's parameters, or a list of some"
        _require("optimizer", one, hasattr(one, "param_groups"), wanted)
        stepped = any(float(state.get("step", 1)) > 0 for state in one.state.values())
        _require("optimizer", one, not stepped, "one that has not stepped yet")
    for name in ("clip_norm", "clip_value"):
        value = values[name]
        _require(
            name, value, value is None or (isinstance(value, int | float) and value > 0), "a positive number or None"
        )
    rate = values["learning_rate"]
    _require("learning_rate", rate, rate is None or callable(rate), "learning_rate(step) -> a number")


def _require(name: str, value: Any, right: bool, wanted: str) -> None:
    if not right:
        raise TraceError(f"job file: {name} is {_short(value)}, want {wanted}")


def _short(value: Any) -> str:
    if isinstance(value, int | float | str | None) or (isinstance(value, dict) and not value):
        return repr(value)
    return f"a {type(value).__name__}"


def _fields(data: Any, window: int | None, stride: int | None, beside: Path) -> dict[str, Array | Windows]:
    if isinstance(data, str | Path):
        data = map_arrays(beside / data, "job file: data")
    if not isinstance(data, Mapping) or not data:
        raise TraceError(
            f"job file: data is {_short(data)}, want a dict of name -> array with a leading axis of records"
        )
    arrays = {name: _array(name, value, beside) for name, value in data.items()}
    if window is not None:
        _require("window", window, type(window) is int and window > 0, "a positive int")
        _require("window_stride", stride, stride is None or (type(stride) is int and stride > 0), "a positive int")
        for name, array in arrays.items():
            if array.ndim != 1 or array.size < window:
                raise TraceError(
                    f"job file: data {name!r} has shape {array.shape}, want a stream [N] with N >= window = {window}"
                )
        return {name: Windows(array, window, stride or 1) for name, array in arrays.items()}
    counts = {name: array.shape[0] if array.ndim else None for name, array in arrays.items()}
    if None in counts.values() or len(set(counts.values())) != 1 or 0 in counts.values():
        raise TraceError(f"job file: data has {counts} records, want the same number in each field, at least 1")
    return dict(arrays)


def _array(name: Any, value: Any, beside: Path) -> Array:
    if not isinstance(name, str) or name in RESERVED:
        raise TraceError(f"job file: data has a field {name!r}, want a string other than {' and '.join(RESERVED)}")
    if isinstance(value, str | Path):
        value = map_file(beside / value, None, name)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | Path):
        value = map_file(beside / value[0], value[1], name)
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype not in STORED_DTYPE.values():
        raise TraceError(f"job file: data {name!r} is {array.dtype}, want {', '.join(STORED_DTYPE)}")
    return np.asarray(array, order="C")
