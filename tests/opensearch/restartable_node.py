"""A node of OpenSearch that a test ends and starts again on the same files."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.opensearch.node import Node, start_node


class RestartableNode:
    """One of its own, with its files in `where`. It answers at another address each time."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._node: Node | None = None
        self.url = ""
        """Where it answers, or did when it ran last."""

    def start(self) -> None:
        """Start it, and return once it answers: its indexes may still be on their way."""
        self._node = start_node(self._where, is_brief=True)
        self.url = self._node.url

    def kill(self) -> None:
        """See `Node`."""
        if (node := self._ended()) is not None:
            node.kill()

    def stop(self) -> None:
        """See `Node`."""
        if (node := self._ended()) is not None:
            node.stop()

    def _ended(self) -> Node | None:
        """The one that runs, which is not known any more: another process may have its number by and by."""
        node, self._node = self._node, None
        return node


@contextlib.contextmanager
def restartable_node(where: Path) -> Iterator[RestartableNode]:
    """One that answers; its files are gone afterwards."""
    node = RestartableNode(where)
    try:
        node.start()
        yield node
    finally:
        node.kill()
        shutil.rmtree(where, ignore_errors=True)
