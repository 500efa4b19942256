"""What holds for every fault: once its test is over, nothing of it is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.upstream import processes

# What is opened once for all tests: random numbers, the model.
_OPENED_ONCE = 16
_SECONDS = 10.0


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: Cluster) -> Iterator[None]:
    """No process, and no more open files than before."""
    children, files = processes.children(), _open_files()
    yield

    def left() -> set[int]:
        return {child for child in processes.children() - children if processes.alive(child)}

    deadline = time.monotonic() + _SECONDS
    while (left() or _open_files() > files + _OPENED_ONCE) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() == set()
    assert _open_files() <= files + _OPENED_ONCE


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
