"""Canonical CBOR (RFC 8949, section 4.2): one value, one byte string, in both directions."""

from __future__ import annotations

from typing import Any

import cbor2


def to_canonical(value: Any) -> bytes:
    """The canonical bytes of ints, strings, bytes, bools, None, lists and maps with string keys. Floats are refused."""
    _refuse_floats(value)
    return cbor2.dumps(value, canonical=True)


def from_canonical(data: bytes, what: str) -> Any:
    """The value of canonical bytes; a ValueError that names `what` for any other bytes."""
    try:
        value = cbor2.loads(data)
        again = to_canonical(value)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"{what}: not canonical CBOR: {error}") from None
    if again != data:
        raise ValueError(f"{what}: CBOR is not canonical (another encoding of the same value, or trailing bytes)")
    return value


def _refuse_floats(value: Any) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"got a key {key!r}, want a string")
            _refuse_floats(item)
    elif value is not None and not isinstance(value, int | str | bytes | bool):
        raise TypeError(f"got a {type(value).__name__}, want an int, string, bytes, bool, None, list or map")
