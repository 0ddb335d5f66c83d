"""What a job computes, for the referee: any entry of any step again, from openings and the program alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from engine.canonical import from_canonical
from engine.encoding import program_from_bytes, program_hash
from engine.entries import Source, TraceEntry, entry_hash, entry_index, sources, step_entries
from engine.job import Job, job_from_bytes, state_types
from engine.merkle import HASH_SIZE, LEAF_SIZE, leaf_hash, root_of, verify_inclusion
from engine.program import SCALAR_INT64, Program
from engine.state import Slot, slot_hash, tensor_root
from kernels import backends
from kernels.types import NUMPY_DTYPE, Fault, TensorType
from protocol.game.params import Point
from protocol.game.rules import Refused, Rule, require
from protocol.records import batch_of, field_bytes, fields_from_list, loadable, record_leaves

Array = np.ndarray
# The longest proof in CBOR, and room for the description of a data set's fields.
PROOF_BYTES = 64 * 34
FIELDS_BYTES = 2**16
# The root of an entry that the law gives no value: a fault. No array has it, since it is the hash of no leaf or node.
FAULT_ROOT = hashlib.sha256(b"isobit fault").digest()


@dataclass(frozen=True, slots=True)
class Need:
    """One value that the referee must be shown. whole: its bytes; otherwise its root is enough."""

    source: Source
    whole: bool


def needs(program: Program, entry: TraceEntry) -> tuple[Need, ...]:
    """What a witness for an entry opens, in its order: each committed value once, nothing that the referee knows."""
    found: dict[tuple[str, int], Need] = {}
    for source in sources(program, entry):
        if source.kind in ("entry", "batch", "state", "schedule"):
            key = source.kind, source.index
            whole = entry.kind != "state" or bool(source.layout) or source.kind == "schedule"
            known = found.get(key)
            found[key] = Need(source, whole or (known is not None and known.whole))
    return tuple(found.values())


class ProgramLaw:
    """The law of one job. backend: which one the referee computes with; they all give the same bits."""

    def __init__(self, job: Job, program: Program, backend: str) -> None:
        self.start, self.steps, self.interval = job.start, job.steps, job.interval
        self.job, self.program, self.backend = job, program, backend
        self.table = step_entries(program)
        self.entries = len(self.table)
        self.slots = list(state_types(program).items())

    @cached_property
    def witness_bytes(self) -> int:
        """A bound on the witness of any entry: the operands whole, and their proofs."""
        return max(self._witness_bytes(entry) for entry in self.table)

    def _witness_bytes(self, entry: TraceEntry) -> int:
        if entry.kind == "batch":
            # A stored record is at most as long as the loaded one, and begins and ends within a leaf.
            size = self.program.inputs[entry.number].type.bytes // self.job.batch_size
            return FIELDS_BYTES + self.job.batch_size * (size // LEAF_SIZE + 2) * (LEAF_SIZE + PROOF_BYTES)
        needed = needs(self.program, entry)
        whole = sum(self._type(need.source).bytes for need in needed if need.whole and need.source.kind != "schedule")
        return whole + (len(needed) + 1) * 2 * (LEAF_SIZE + PROOF_BYTES)

    def leaf(self, entry: int, value: bytes) -> bytes:
        """The leaf hash of a step's entry whose root is `value`."""
        return entry_hash(self.table[entry], value)

    def name(self, entry: int) -> str:
        """What stands at an entry, for a reader."""
        item = self.table[entry]
        if item.kind == "batch":
            return f"batch input {self.program.inputs[item.number].name}"
        if item.kind == "state":
            return "state after the step"
        op = self.program.nodes[item.number - self.program.first_node].op
        place = f"node %{item.number} = {op}"
        return place if item.kind == "node" else f"maxima of operand {item.operand} of {place}"

    def decide(self, point: Point, witness: bytes) -> bytes:
        """The true root of an entry, computed from agreed values only. Total: a root, or Refused."""
        try:
            content = from_canonical(witness, "witness")
        except ValueError as error:
            raise Refused(Rule.WITNESS, str(error)) from None
        require(isinstance(content, list), Rule.WITNESS, "want a list")
        entry = self.table[point.entry]
        if entry.kind == "batch":
            return self._batch(point, entry, content)
        values = self._opened(point, entry, content)
        try:
            if entry.kind == "state":
                return self._post_state(point, entry, values)
            return tensor_root(self._computed(point, entry, values), self.backend)
        except (Fault, ValueError):
            # Agreed operands without a value under the law: whoever claims one is wrong.
            return FAULT_ROOT

    def _opened(self, point: Point, entry: TraceEntry, content: list[Any]) -> dict[tuple[str, int], Array | bytes]:
        wanted = needs(self.program, entry)
        require(len(content) == len(wanted), Rule.WITNESS, f"got {len(content)} openings, want {len(wanted)}")
        pairs = zip(wanted, content, strict=True)
        return {(need.source.kind, need.source.index): self._open(point, need, item) for need, item in pairs}

    def _open(self, point: Point, need: Need, item: Any) -> Array | bytes:
        if need.source.kind == "schedule":
            return self._schedule(point, need.source, item)
        data, proof = _pair(item)
        type_ = self._type(need.source)
        value: Array | bytes = data
        if need.whole:
            require(len(data) == type_.bytes, Rule.WITNESS, f"got {len(data)} bytes, want {type_.bytes}")
            value = np.frombuffer(data, NUMPY_DTYPE[type_.dtype]).reshape(type_.shape)
        root = tensor_root(value, self.backend) if isinstance(value, np.ndarray) else _root(value)
        self._require_opening(point, need.source, root, proof)
        return value

    def _type(self, source: Source) -> TensorType:
        return self.program.types[source.number]

    def _require_opening(self, point: Point, source: Source, root: bytes, proof: tuple[bytes, ...]) -> None:
        if source.kind == "state":
            leaf = slot_hash(*self.slots[source.index], root)
            require(verify_inclusion(point.start, leaf, source.index, len(self.slots), proof), Rule.OPENING)
            return
        assert source.index < point.entry, "a program has no cycles, so an operand's entry comes earlier"
        leaf = self.leaf(source.index, root)
        require(verify_inclusion(point.root, leaf, source.index, self.entries, proof), Rule.OPENING)

    def _schedule(self, point: Point, source: Source, item: Any) -> Array:
        """One number of a schedule, from the 1 KiB leaf that holds it."""
        require(isinstance(item, list) and len(item) == 4, Rule.WITNESS, "want [root, proof, leaf, proof]")
        (root, slot_proof), (leaf, leaf_proof) = _pair(item[:2]), _pair(item[2:])
        inputs, type_ = self.program.inputs_of("schedule"), self._type(source)
        whole = TensorType(type_.dtype, (self.steps,))
        slot = slot_hash(inputs[source.index].name, whole, _root(root))
        require(verify_inclusion(self.job.schedule, slot, source.index, len(inputs), slot_proof), Rule.OPENING)
        size = NUMPY_DTYPE[type_.dtype].itemsize
        start = require_leaf(leaf, leaf_proof, root, point.step * size // LEAF_SIZE, whole.bytes)
        first = point.step * size - start
        return np.frombuffer(leaf[first : first + size], NUMPY_DTYPE[type_.dtype]).reshape(())

    def _value(self, point: Point, source: Source, values: dict[tuple[str, int], Array | bytes]) -> Array:
        """An operand: what it comes from, through the layout nodes between."""
        key = source.kind, source.index
        value = values[key] if key in values else self._known(point, source)
        assert isinstance(value, np.ndarray), "an operand is opened whole"
        for number in source.layout:
            node = self.program.nodes[number - self.program.first_node]
            value = backends.run(node.op, [value], node.attributes, self.backend)
        return value

    def _known(self, point: Point, source: Source) -> Array:
        if source.kind == "constant":
            constant = self.program.constants[source.index - self.program.first_constant]
            data = np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype])
            return data.reshape(constant.type.shape)
        number = {"step": point.step, "seed": self.job.seed, "micro_batch": 0}[source.kind]
        return np.array(number, NUMPY_DTYPE[SCALAR_INT64.dtype])

    def _computed(self, point: Point, entry: TraceEntry, values: dict[tuple[str, int], Array | bytes]) -> Array:
        """A node's result, or the maxima of one of its operands."""
        node = self.program.nodes[entry.number - self.program.first_node]
        operands = [self._value(point, source, values) for source in sources(self.program, entry)]
        if entry.kind == "node":
            return backends.run(node.op, operands, node.attributes, self.backend)
        return self._maxima(node.op, entry, operands[0], node.operands, node.attributes)

    def _maxima(self, op: str, entry: TraceEntry, x: Array, operands: Sequence[int], attributes: Any) -> Array:
        # The scale groups of one operand do not depend on the values of the others: zeros of their types stand in.
        types = [self.program.types[operand] for operand in operands]
        inputs = [np.zeros(type_.shape, NUMPY_DTYPE[type_.dtype]) for type_ in types]
        inputs[entry.operand] = x
        backends.check_bits(op, entry.operand, x)
        first = entry_index(self.program)
        scaled = [i for i in range(len(operands)) if ("scale", entry.number, i) in first]
        return backends.load(self.backend).group_maxima(op, inputs, attributes)[scaled.index(entry.operand)]

    def _post_state(self, point: Point, entry: TraceEntry, values: dict[tuple[str, int], Array | bytes]) -> bytes:
        """The root of the state after the step, put together from the slots' roots."""
        roots = []
        for source in sources(self.program, entry):
            opened = values.get((source.kind, source.index))
            if source.kind == "step" and not source.layout and source.number < 0:
                roots.append(tensor_root(np.array(point.step + 1, np.int64), self.backend))
            elif isinstance(opened, bytes):
                roots.append(opened)
            else:
                roots.append(tensor_root(self._value(point, source, values), self.backend))
        return root_of([Slot(*slot, root).hash for slot, root in zip(self.slots, roots, strict=True)])

    def _batch(self, point: Point, entry: TraceEntry, content: list[Any]) -> bytes:
        """A loaded batch input, from the records that the law's order names."""
        require(len(content) == 2 and isinstance(content[1], list), Rule.WITNESS, "want [fields, leaves]")
        fields = fields_from_list(content[0])
        require(root_of([field.hash for field in fields]) == self.job.data, Rule.OPENING)
        value = self.program.inputs[entry.number]
        field = loadable(fields, self.job, value)
        if field is None:
            return FAULT_ROOT
        wanted, opened = record_leaves(field, self.job, point.step), content[1]
        require(len(opened) == len(wanted), Rule.WITNESS, f"got {len(opened)} leaves, want {len(wanted)}")
        leaves = {}
        for index, item in zip(wanted, opened, strict=True):
            leaf, proof = _pair(item)
            require_leaf(leaf, proof, field.root, index, field_bytes(field))
            leaves[index] = leaf
        return tensor_root(batch_of(field, self.job, point.step, leaves, value.type), self.backend)


def require_leaf(leaf: bytes, proof: tuple[bytes, ...], root: bytes, index: int, total: int) -> int:
    """Refuse unless a leaf stands at an index of a tensor of `total` bytes; the offset of its first byte."""
    start = index * LEAF_SIZE
    require(len(leaf) == min(LEAF_SIZE, total - start), Rule.WITNESS, "length of a leaf")
    require(verify_inclusion(root, leaf_hash(leaf), index, -(-total // LEAF_SIZE), proof), Rule.OPENING)
    return start


def _pair(item: Any) -> tuple[bytes, tuple[bytes, ...]]:
    require(isinstance(item, list) and len(item) == 2, Rule.WITNESS, "want [bytes, proof]")
    data, proof = item
    require(isinstance(data, bytes) and isinstance(proof, list), Rule.WITNESS, "want [bytes, proof]")
    require(all(isinstance(sibling, bytes) for sibling in proof), Rule.WITNESS, "want a proof of hashes")
    return data, tuple(proof)


def _root(data: bytes) -> bytes:
    require(len(data) == HASH_SIZE, Rule.WITNESS, "want a root of 32 bytes")
    return data


@lru_cache(maxsize=64)
def law_of(job: bytes, program: bytes, backend: str = "portable") -> ProgramLaw:
    """The law of a job's canonical bytes; a ValueError where job and program are invalid or do not belong together."""
    parsed, content = job_from_bytes(job), program_from_bytes(program)
    if program_hash(content) != parsed.program:
        raise ValueError(f"job: program is {program_hash(content).hex()}, want {parsed.program.hex()}")
    return ProgramLaw(parsed, content, backend)
