"""A tenant at a glance, and the settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from gateway.database.pool import Database
from gateway.settings import Settings, mask_secrets


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

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def get(self, tenant_id: int) -> Overview:
        """The numbers of a tenant."""
        row = await self._database.fetchrow("overview_counts", tenant_id)
        assert row is not None
        return Overview(**row)

    def settings(self) -> Mapping[str, Mapping[str, JsonValue]]:
        """The settings in force by section and key, secrets masked."""
        return {
            section: {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
            for section, values in mask_secrets(self._settings).items()
        }
