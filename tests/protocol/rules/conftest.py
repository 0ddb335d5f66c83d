"""What every test of a rule begins with."""

from __future__ import annotations

import pytest

from tests.protocol.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
