"""No call of the conformance cases, and no altered one, touches memory or arithmetic that C++ forbids."""

from __future__ import annotations

import shutil

import pytest

from tests.kernels import sanitize


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="a machine with g++ and its sanitizers would run this")
def test_the_c_abi_runs_clean_under_the_sanitizers() -> None:
    assert sanitize.main() == 0
