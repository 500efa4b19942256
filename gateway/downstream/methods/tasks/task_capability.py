"""The tasks extension, as clients and servers say that they know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

_REQUIRED: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}}


def knows_tasks(capabilities: Mapping[str, Any]) -> bool:
    """Whether whoever says this of itself takes tasks in place of results."""
    extensions = capabilities.get("extensions")
    return isinstance(extensions, Mapping) and isinstance(extensions.get(TASKS_EXTENSION), Mapping)


def with_tasks(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """`capabilities`, and that tasks are taken."""
    extensions = capabilities.get("extensions")
    declared = dict(extensions) if isinstance(extensions, Mapping) else {}
    return {**capabilities, "extensions": {**declared, TASKS_EXTENSION: {}}}


def require_tasks(capabilities: Mapping[str, Any], asked: str) -> None:
    """Raise MCPError where the client has not said with its request, for what it `asked`, that it knows tasks."""
    if not knows_tasks(capabilities):
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message=f"{asked} takes a client that declares the extension {TASKS_EXTENSION}.",
            data=_REQUIRED,
        )
