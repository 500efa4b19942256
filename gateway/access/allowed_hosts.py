"""Which Host headers name this gateway: a page of another site must not reach it under a name of its own."""

from __future__ import annotations

import ipaddress
import re

from gateway.settings import ServerSettings

# A name or address and a port (RFC 9110, section 7.2): no user, no path, nothing that others may read as one.
_HOST = re.compile(r"(?:(?P<name>[a-z0-9_.-]{1,255})|\[(?P<address>[0-9a-f:.]{2,45})\])(?::[0-9]{1,5})?", re.ASCII)
_LOOPBACK_NAMES = {"localhost"}


class AllowedHosts:
    """Loopback, the address listened on, and what `server.allowed_hosts` names; `*` there is any."""

    def __init__(self, settings: ServerSettings) -> None:
        self._hosts = {host.lower() for host in settings.allowed_hosts} | {settings.host.lower()}

    def allows(self, host: str) -> bool:
        """Whether `host`, in lower case and with a port or without, is a name of this gateway."""
        if "*" in self._hosts or host in self._hosts:
            return True
        form = _HOST.fullmatch(host)
        if form is None:
            return False
        name = form["name"] or form["address"]
        return name in self._hosts or name in _LOOPBACK_NAMES or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
