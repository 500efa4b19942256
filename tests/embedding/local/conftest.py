"""Here the models themselves are tested."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def shared_model() -> None:
    """Each embedder loads its model."""
