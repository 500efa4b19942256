"""A tenant at a glance, and the settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from gateway.database.pool import Database
from gateway.settings import LoadedSettings, Settings, mask_secrets


@dataclass(frozen=True, slots=True)
class Overview:
    """What there is in a tenant; keys are those in force, `expiring_keys` of them end within two weeks.

    `flagged_tools` have findings that nobody has dismissed, `changed_tools` are not as they were approved.
    `has_client`: a client has used a key.
    """

    servers: int
    failing_servers: int
    tools: int
    quarantined_tools: int
    flagged_tools: int
    changed_tools: int
    expiring_keys: int
    has_client: bool
    roles: int
    keys: int


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting in force, masked where it is a secret; `source` says where it was found, empty for the default."""

    section: str
    key: str
    value: JsonValue
    source: str


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

    def setting_views(self) -> list[SettingView]:
        """Every setting, and where each comes from."""
        sources = self._settings.sources if isinstance(self._settings, LoadedSettings) else {}
        return [
            SettingView(section, key, value, sources.get(f"{section}.{key}", ""))
            for section, values in self.settings().items()
            for key, value in values.items()
        ]

    def settings(self) -> Mapping[str, Mapping[str, JsonValue]]:
        """The settings in force by section and key, secrets masked."""
        return {
            section: {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
            for section, values in mask_secrets(self._settings).items()
        }
