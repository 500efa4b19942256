"""Whether there are clients to run."""

from __future__ import annotations

import os

import pytest

from tests.clients.install import absence


@pytest.fixture
def installed() -> None:
    """The clients are there; where they are not, the tests of them are skipped with the reason."""
    reason = absence()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
