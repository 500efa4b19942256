"""Plugins that are installed beside the gateway."""

from __future__ import annotations

from importlib.metadata import entry_points

GROUP = "modelgate.guards"
"""The group of entry points that guards are found in."""


def installed_plugins() -> tuple[str, ...]:
    """The names of the plugins that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))
