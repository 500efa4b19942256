"""A node with ML Commons for all of these tests, which only `make opensearch-ml` runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.opensearch_ml import node

collect_ignore_glob = [] if os.environ.get("OPENSEARCH_ML") else ["test_*.py"]


@pytest.fixture(scope="session")
def ml_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node without any model."""
    node.install()
    folder: Path = tmp_path_factory.mktemp("ml-node")
    with node.running_node(folder) as url:
        yield url
