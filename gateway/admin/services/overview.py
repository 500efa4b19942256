"""A tenant at a glance, and the settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from gateway.admin.components import Parts
from gateway.settings import mask_secrets


@dataclass(frozen=True, slots=True)
class Overview:
    """What there is in a tenant; keys are those in force."""

    servers: int
    failing_servers: int
    tools: int
    roles: int
    keys: int


class OverviewService:
    """Numbers and settings."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def get(self, tenant_id: int) -> Overview:
        """The numbers of a tenant."""
        row = await self._parts.database.fetchrow("overview_counts", tenant_id)
        assert row is not None
        return Overview(**row)

    def settings(self) -> Mapping[str, Mapping[str, JsonValue]]:
        """The settings in force by section and key, secrets masked."""
        return {
            section: {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
            for section, values in mask_secrets(self._parts.settings).items()
        }
