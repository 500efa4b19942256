"""Hosts that arguments may name."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gateway.errors import InvalidInputError
from gateway.upstream.policy import parse_address

_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([/\\]*)(.*)", re.DOTALL)
_WITHOUT_SLASHES = ("http", "https", "ws", "wss", "ftp")
_HOST = re.compile(
    r"(?:\x5b(?P<address>[0-9A-Fa-f:.]+)(?:%[A-Za-z0-9._~-]+)?\x5d|(?P<name>[^:\x5b\x5d]+))(?::(?P<port>[0-9]{0,5}))?"
)
_LONGEST_NAME = 253
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
# What ends a sentence, or what stands around a URL, is in no name.
_AFTER = ".,;:!*~'\"(){}>|"
# Before 2010 these were other letters, or none, and parsers still differ: https://www.unicode.org/reports/tr46/#Deviations
_DEVIATIONS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where a URL leads: `host` in lower case, `port` None where neither it nor the scheme says."""

    host: str
    port: int | None


class HostAllowlist:
    """Names, domains and networks that URLs may lead to."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        """Raises InvalidInputError for an entry that is no host."""
        self._names: set[tuple[str, int | None]] = set()
        self._domains: set[tuple[str, int | None]] = set()
        self._networks: list[_Network] = []
        for entry in entries:
            self._add(entry.strip().lower())

    def allows(self, url: str) -> bool:
        """Whether the host of `url`, which may be all there is, is one of them.

        It is not where parsers may take another one for the host: with a backslash, too few or many slashes, an encoded
        letter, a number in place of an address, or what not all know the same letters by.
        """
        place = host_port(url)
        if place is None:
            return False
        host, port = place.host, place.port
        address = parse_address(host)
        if address is not None:
            if isinstance(address, ipaddress.IPv4Address):
                # In another form, as 010.1.2.3 or 167772161, it is not the same address for all.
                if str(address) != host:
                    return False
            elif address.ipv4_mapped is not None:
                # The system connects to that.
                address = address.ipv4_mapped
            return any(address.version == network.version and address in network for network in self._networks) or (
                _has(self._names, str(address), port)
            )
        if not _NAME.fullmatch(host):
            return False
        if _has(self._names, host, port):
            return True
        labels = host.split(".")
        return any(_has(self._domains, ".".join(labels[at:]), port) for at in range(1, len(labels)))

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(entry))
            return
        except ValueError:
            pass
        wide = entry.startswith("*.")
        place = host_port(f"//{_with_deviations(entry.removeprefix('*.'))}")
        if (
            place is None
            or any(sign in entry for sign in "/?#@\\ ")
            or not (_NAME.fullmatch(place.host) or parse_address(place.host))
        ):
            raise InvalidInputError(
                f"{entry[:200]!r} is no host; write it as api.example.com, *.example.com, api.example.com:443 or "
                "10.1.0.0/16.",
                "options.allowed",
            )
        (self._domains if wide else self._names).add((place.host, place.port))


def _has(hosts: set[tuple[str, int | None]], host: str, port: int | None) -> bool:
    return (host, None) in hosts or (port is not None and (host, port) in hosts)


def host_port(url: str) -> HostPort | None:
    """Where a URL leads for every parser; None where they may differ, or it leads nowhere."""
    scheme, slashes, rest = "", "//", url.removeprefix("//")
    whole = _URL.match(url)
    if whole is not None and (whole[2] or whole[1].lower() in _WITHOUT_SLASHES):
        scheme, slashes, rest = whole[1].lower(), whole[2], whole[3]
    before_path = rest.partition("/")[0]
    if slashes != "//" or "\\" in before_path:
        return None
    authority = re.split(r"[?#]", before_path, maxsplit=1)[0]
    user, _, place = authority.rpartition("@")
    if "@" in user or "@" in before_path[len(authority) :] or not user.isprintable() or " " in user:
        return None
    host = _HOST.fullmatch(place.rstrip(_AFTER))
    if host is None:
        return None
    port = int(host["port"]) if host["port"] else _PORTS.get(scheme)
    name = host["address"] or _ascii(host["name"])
    return HostPort(name.lower().rstrip("."), port) if 0 < len(name) <= _LONGEST_NAME else None


def _with_deviations(entry: str) -> str:
    """An entry whose letters mean what they mean by now, where they once meant others."""
    return ".".join(
        f"xn--{label.encode('punycode').decode()}" if _DEVIATIONS.intersection(label) else label
        for label in entry.split(".")
    )


def _ascii(host: str) -> str:
    """A name as it is asked for; empty where it cannot be, or not all parsers make the same of it."""
    if host.isascii():
        return host
    if _DEVIATIONS.intersection(host):
        return ""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ""
