"""What the owner of a gateway may set, in `config.toml` and in the environment."""

from gateway.settings.loader import load_settings
from gateway.settings.sections import (
    AdminSettings,
    AuditSettings,
    DatabaseSettings,
    EmbedderSettings,
    GuardSettings,
    McpSettings,
    MetricsSettings,
    OauthSettings,
    RerankSettings,
    SearchSettings,
    ServerSettings,
    Settings,
    UpstreamSettings,
)
from gateway.settings.setting import mask_secrets

__all__ = [
    "AdminSettings",
    "AuditSettings",
    "DatabaseSettings",
    "EmbedderSettings",
    "GuardSettings",
    "McpSettings",
    "MetricsSettings",
    "OauthSettings",
    "RerankSettings",
    "SearchSettings",
    "ServerSettings",
    "Settings",
    "UpstreamSettings",
    "load_settings",
    "mask_secrets",
]
