"""The keys of the hop, as the encryption keys are just now."""

from __future__ import annotations

import logging

from gateway.cluster.links.signed_channel import HopKey
from gateway.errors import SettingsError
from gateway.vault import Vault

logger = logging.getLogger(__name__)

_PURPOSE = b"modelgate hop between processes"


class HopKeys:
    """One of each encryption key, during a rotation two.

    While these cannot be read the last ones hold: a member that has lost sight of its key file is one all the same.
    """

    def __init__(self, vault: Vault) -> None:
        """Raises SettingsError where they cannot be read."""
        self._vault = vault
        self._keys = self._derive()
        self._is_readable = True

    def read(self) -> list[HopKey]:
        """The keys, the one in force first."""
        try:
            self._keys = self._derive()
            self._is_readable = True
        except SettingsError as error:
            if self._is_readable:
                logger.warning("The keys between processes stay as they are: %s", error)
            self._is_readable = False
        return self._keys

    def read_ids(self) -> list[str]:
        """By what the keys are known in the database."""
        return [key.id for key in self.read()]

    def _derive(self) -> list[HopKey]:
        return [HopKey.of(secret) for secret in self._vault.derive(_PURPOSE)]
