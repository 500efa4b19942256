"""The settings of a cluster without which it asks no model outside it: what they are, and what they have to be."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio

from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.remote_model import RemoteModel

TRUSTED_ENDPOINTS = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_ADDRESSES = "plugins.ml_commons.connector.private_ip_enabled"
ONLY_ML_NODES = "plugins.ml_commons.only_run_on_ml_node"
MEMORY = "plugins.ml_commons.memory_feature_enabled"

_LOOKUP_SECONDS = 5.0
_REMOTE_ROLES = "plugins.ml_commons.task_dispatcher.eligible_node_role.remote_model"


@dataclass(frozen=True, slots=True)
class NeededSetting:
    """A setting as it is, None where the cluster does not know it, and as it has to be; `reason` says why.

    `needed` is None where it may stay as it is.
    """

    name: str
    current: Any
    needed: Any
    reason: str

    @property
    def missing(self) -> bool:
        """Whether it has to be changed."""
        return self.needed is not None and self.needed != self.current


class NeededSettings:
    """Reads and sets what a model needs of its cluster."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    async def check(self, model: RemoteModel) -> list[NeededSetting]:
        """Each setting that matters for the model, those that have to be changed among them. Raises OpenSearchError."""
        settings = await self._read()
        known = [
            _trusted_endpoints(settings, model.url),
            await _private_addresses(settings, model.url),
            await self._only_ml_nodes(settings),
        ]
        if model.kind == "generate":
            reason = "conversations are kept, and agents may use the model, while it is true"
            known.append(NeededSetting(MEMORY, settings.get(MEMORY), None, reason))
        return known

    async def apply(self, settings: Sequence[NeededSetting]) -> None:
        """Set, for good, those that have to be changed. Raises OpenSearchError."""
        changed = {each.name: each.needed for each in settings if each.missing}
        if changed:
            await self._client.request("PUT", "/_cluster/settings", {"persistent": changed})

    async def _read(self) -> dict[str, Any]:
        """All settings of ML Commons by name, the defaults below what is set."""
        said = await self._client.request(
            "GET", "/_cluster/settings?include_defaults=true&filter_path=*.plugins.ml_commons"
        )
        settings: dict[str, Any] = {}
        for layer in ("defaults", "persistent", "transient"):
            settings |= _flat(said.get(layer) or {}, "")
        return settings

    async def _only_ml_nodes(self, settings: Mapping[str, Any]) -> NeededSetting:
        current = settings.get(ONLY_ML_NODES)
        if _REMOTE_ROLES in settings:
            return NeededSetting(ONLY_ML_NODES, current, None, "it is about models in the cluster itself only")
        said = await self._client.request("GET", "/_nodes?filter_path=nodes.*.roles")
        nodes = said.get("nodes")
        listed = nodes.values() if isinstance(nodes, dict) else ()
        if current is False or any("ml" in node.get("roles", ()) for node in listed):
            return NeededSetting(ONLY_ML_NODES, current, None, "a node runs models")
        return NeededSetting(ONLY_ML_NODES, current, False, "no node of the cluster has the role ml")


def _trusted_endpoints(settings: Mapping[str, Any], url: str) -> NeededSetting:
    current = settings.get(TRUSTED_ENDPOINTS)
    patterns = [each for each in current if isinstance(each, str)] if isinstance(current, list) else []
    reason = f"the cluster sends requests to {url} only if one of these patterns is for it"
    if any(_matches(pattern, url) for pattern in patterns):
        return NeededSetting(TRUSTED_ENDPOINTS, current, None, reason)
    parts = urlsplit(url)
    pattern = f"^{re.escape(f'{parts.scheme}://{parts.netloc}')}/.*$".replace(r"\-", "-")
    # What is set replaces the defaults, which others may use.
    return NeededSetting(TRUSTED_ENDPOINTS, current, [*patterns, pattern], reason)


async def _private_addresses(settings: Mapping[str, Any], url: str) -> NeededSetting:
    current = settings.get(PRIVATE_ADDRESSES)
    host = urlsplit(url).hostname or ""
    if current is True:
        return NeededSetting(PRIVATE_ADDRESSES, current, None, "requests may go to private addresses")
    addresses = await _addresses(host)
    if not addresses:
        # One of the wide world would be found here too.
        return NeededSetting(PRIVATE_ADDRESSES, current, True, f"{host} has no address that is known here")
    private = [each for each in addresses if not each.is_global]
    if not private:
        return NeededSetting(PRIVATE_ADDRESSES, current, None, f"{host} is no private address")
    named = host if str(private[0]) == host else f"{host} ({private[0]})"
    return NeededSetting(PRIVATE_ADDRESSES, current, True, f"{named} is a private address")


async def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Those of a host as they are known here; the cluster may know others."""
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    with contextlib.suppress(OSError, UnicodeError), anyio.move_on_after(_LOOKUP_SECONDS):
        found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(address[0]) for *_, address in found]
    return []


def _matches(pattern: str, url: str) -> bool:
    # The cluster's own, in Java's syntax: one that Python cannot read is not for this address.
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:
        return False


def _flat(value: Any, name: str) -> dict[str, Any]:
    """Nested settings by their whole names; booleans and numbers come as texts."""
    if not isinstance(value, Mapping):
        return {name: {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{name}.{key}" if name else str(key))
    return flat
