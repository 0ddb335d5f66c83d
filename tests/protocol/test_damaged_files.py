"""A keystore or a database that is damaged, or made to be costly, is refused in a sentence that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.identity import Identity
from protocol.service.coordinator import Coordinator
from tests.protocol.scene import Scene
from tests.protocol.toy import SOLVER, toy_params

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("key") / "key.json"
    SOLVER.save(path, PASSWORD)
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    "changed",
    [
        lambda key: [],
        lambda key: {},
        lambda key: {**key, "version": 9},
        lambda key: {**key, "crypto": None},
        lambda key: {**key, "crypto": {**key["crypto"], "kdf": None}},
        lambda key: {**key, "crypto": {**key["crypto"], "ciphertext": 5}},
        lambda key: {**key, "crypto": {**key["crypto"], "mac": "00" * 32}},
        lambda key: with_work(key, n=None),
        lambda key: with_work(key, salt=7),
    ],
)
def test_a_damaged_keystore_is_refused(
    tmp_path: Path, keystore: dict[str, Any], changed: Callable[[dict[str, Any]], Any]
) -> None:
    (tmp_path / "key").write_text(json.dumps(changed(keystore)))
    with pytest.raises(ValueError, match=r"key: .*key is no keystore file of this password: "):
        Identity.load(tmp_path / "key", PASSWORD)


@pytest.mark.parametrize("work", [{"n": 2**40}, {"r": 2**30}, {"p": 2**30}, {"dklen": 2**40}, {"c": 2**40}], ids=str)
def test_a_keystore_that_asks_for_days_of_work_is_refused_at_once(
    tmp_path: Path, keystore: dict[str, Any], work: dict[str, int]
) -> None:
    (tmp_path / "key").write_text(json.dumps(with_work(keystore, **work)))
    with pytest.raises(ValueError, match="want a key of 32 bytes and n"):
        Identity.load(tmp_path / "key", PASSWORD)


def with_work(key: dict[str, Any], **work: Any) -> dict[str, Any]:
    crypto = key["crypto"]
    return {**key, "crypto": {**crypto, "kdfparams": {**crypto["kdfparams"], **work}}}


def test_bytes_that_are_no_keystore_are_refused(tmp_path: Path) -> None:
    for data in (b"", b"\xff\xfe", b"{", b"5", b"[" * 10_000):
        (tmp_path / "key").write_bytes(data)
        with pytest.raises(ValueError, match="is no keystore file"):
            Identity.load(tmp_path / "key", PASSWORD)
    with pytest.raises(ValueError, match="key: cannot read"):
        Identity.load(tmp_path / "none", PASSWORD)


@pytest.mark.parametrize("damage", ["junk", "cut", "schema", "pages"])
def test_a_damaged_database_is_not_opened(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "log.sqlite"
    scene = Scene(path=path)
    scene.coordinator.close()
    data = path.read_bytes()
    changed = {
        "junk": b"no database at all " * 200,
        "cut": data[: len(data) // 2],
        "schema": data.replace(b"CREATE TABLE log", b"CREATE TABLE lag"),
        "pages": data[:4096] + b"\xa5" * (len(data) - 4096),
    }
    path.write_bytes(changed[damage])
    with pytest.raises(ValueError, match=r"coordinator: .*log\.sqlite (is damaged, or no database|cannot be opened)"):
        Coordinator(path, toy_params())
