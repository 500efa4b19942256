"""Secrets at rest: what seals them, and the keys that it is done with."""

from gateway.vault.keys import KeyFile, KeyRing, open_keys
from gateway.vault.vault import Vault, fingerprints

__all__ = ["KeyFile", "KeyRing", "Vault", "fingerprints", "open_keys"]
