"""Tests that take a node are skipped where there is none to be had, or fail where it is said to be required."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.opensearch.install import REQUIRED, NotInstalledError


@contextlib.contextmanager
def skipping_without_node() -> Iterator[None]:
    """Around what installs or starts one."""
    try:
        yield
    except NotInstalledError as error:
        if os.environ.get(REQUIRED):
            pytest.fail(str(error))
        pytest.skip(str(error))
