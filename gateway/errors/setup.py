"""What keeps a gateway from starting."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class SettingsError(ModelGateError, code="settings"):
    """The settings cannot be used."""


class ClusterKeyError(SettingsError, code="cluster-key"):
    """Another process on this database has another encryption key; `address` is where it is reached."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"A process of the gateway that is running on this database ({address}) has another encryption key; give "
            "all of them the same, as server.encryption_key (MODELGATE_ENCRYPTION_KEY) or as the same key file."
        )
        self.address = address


class PlatformError(SettingsError, code="platform"):
    """The gateway does not run on Windows itself; install it in WSL 2, which is Linux (wsl --install)."""


class PortTakenError(SettingsError, code="port"):
    """The gateway cannot listen at its address."""


class InstallError(ModelGateError, code="demo-install"):
    """A server of the demo could not be installed."""
