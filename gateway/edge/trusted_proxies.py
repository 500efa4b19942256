"""Proxies whose word counts for where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from gateway.errors import SettingsError

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

# A person or an office has a whole network of these.
_IPV6_PREFIX = 64


class TrustedProxies:
    """Addresses and networks of `server.trusted_proxies`."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Raises SettingsError for an entry that is neither an address nor a network."""
        try:
            self._networks = tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries)
        except ValueError as error:
            raise SettingsError(
                f"server.trusted_proxies: {error}; name addresses and networks of proxies, as 10.0.0.7 or 10.1.0.0/16."
            ) from None

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Whether a connection from `address` is one of a trusted proxy."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, peer: str, forwarded_for: str) -> str:
        """The address of the client behind the trusted proxy `peer`: the last one of X-Forwarded-For that is no trusted
        proxy itself, since whatever stands before it is the client's own word. `peer` where there is none.
        """
        client = peer
        for entry in reversed(forwarded_for.split(",")):
            address = parse_address(_without_port(entry.strip()))
            if address is None:
                return client
            client = str(address)
            if not self.trusts(client):
                return client
        return client


def parse_address(text: str) -> _Address | None:
    """An IP address, IPv4 where it is one that is mapped into IPv6; None for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def counted_address(text: str) -> str:
    """What limits by address are counted under: an IPv6 network of 64 bits is one client, which has all of it."""
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return text if address is None else str(address)


def _without_port(entry: str) -> str:
    """An address without the port that some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
