"""What the gateway may start and where it may connect, for the sake of the machine and network that it stands in."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from gateway.errors import SettingsError, UpstreamUnavailableError
from gateway.settings import GuardSettings
from gateway.upstream.child_environment import refused_variables

IpAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
IpNetwork: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

# Where clouds hand out credentials to whoever asks from inside: AWS and most others by link-local addresses, which are
# closed as such; AWS over IPv6, Alibaba, Oracle and Azure by these.
_METADATA = {
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
}
_METADATA_NAMES = {"metadata.google.internal", "metadata.goog", "instance-data"}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class ConnectionPolicy:
    """`commands` are names, looked up in PATH, or absolute paths; empty: any, with any `variables`. For the rest see
    GuardSettings.

    Link-local, multicast and unspecified addresses, and those of cloud metadata services, are closed in any case.
    """

    commands: tuple[str, ...] = ()
    https_only: bool = False
    private_addresses: Literal["allow", "loopback", "deny"] = "allow"
    allowed_networks: tuple[IpNetwork, ...] = ()
    variables: tuple[str, ...] = ()

    def command_refusal(self, command: str, env: Mapping[str, str]) -> str | None:
        """Why `command` may not be started with the variables `env`; None where it may."""
        if not self.commands:
            return None
        if command not in self.commands:
            return f"the command {command!r} is not among guards.commands"
        refused = refused_variables(command, env.keys(), self.variables)
        if refused:
            return (
                f"its environment sets {', '.join(refused[:5])}, by which another program might run; where "
                "that is meant, name it in guards.variables"
            )
        return None

    def personal_variable_refusal(self, command: str, name: str) -> str | None:
        """Why persons may not say what the variable `name` of a server with this command is; None where they may.

        Whatever commands there may be: an admin trusts a server that they set up, and nobody has to trust every person.
        """
        if not refused_variables(command, [name], self.variables):
            return None
        return (
            f"by {name} another program might run; use a name such as NOTES_TOKEN, or, where it is harmless, name it "
            "in guards.variables"
        )

    def url_refusal(self, url: str) -> str | None:
        """Why `url` may not be requested, as far as it can be told without asking for its addresses."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".").lower()
        except ValueError:
            return "its URL cannot be read"
        if parts.scheme not in ("http", "https") or not host:
            return "its URL does not begin with http:// or https:// and a host"
        if self.https_only and parts.scheme != "https":
            return "its URL is not https://, which guards.https_only asks for"
        if host in _METADATA_NAMES:
            return f"{host} is where clouds hand out credentials"
        address = parse_address(host)
        if address is None and (host == "localhost" or host.endswith(".localhost")):
            address = ipaddress.IPv4Address("127.0.0.1")
        return None if address is None else self.address_refusal(address)

    def address_refusal(self, address: IpAddress) -> str | None:
        """Why `address` may not be connected to; None where it may."""
        address = _unwrap_ipv4(address)
        if address in _METADATA or address.is_link_local:
            return f"{address} is an address at which clouds hand out credentials, or reaches this network segment only"
        if address.is_unspecified or address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
            return f"{address} is no address of a server"
        if any(address.version == network.version and address in network for network in self.allowed_networks):
            return None
        if address.is_loopback:
            if self.private_addresses == "deny":
                return f"{address} is this machine, which guards.private_addresses closes"
            return None
        if not address.is_global and self.private_addresses != "allow":
            return f"{address} is in a private network, which guards.private_addresses closes"
        return None

    async def resolve(self, server: str, host: str, port: int) -> list[str]:
        """The addresses of `host`, each checked: connect to one of these, not to the name, which may change.

        Raises UpstreamUnavailableError in the name of `server` where one of them is closed, and OSError where there is
        none.
        """
        literal = parse_address(host)
        if literal is not None:
            found = [literal]
        else:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos))
        for address in found:
            reason = self.address_refusal(address)
            if reason is not None:
                leads = "" if literal is not None else f"{host} leads to a closed address: "
                raise UpstreamUnavailableError(
                    server, f"Server {server} is not connected: {leads}{reason}; correct its address or the guards."
                )
        return [str(address) for address in found]


def policy_from_settings(settings: GuardSettings) -> ConnectionPolicy:
    """The policy of the settings. Raises SettingsError for a network or a command that is none."""
    networks = []
    for text in settings.allowed_networks:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            raise SettingsError(
                f"guards.allowed_networks: {text!r} is no address or network; write it as 10.1.0.0/16."
            ) from None
    for command in settings.commands:
        if os.sep in command and not os.path.isabs(command):
            raise SettingsError(f"guards.commands: {command!r} has to be a name, or a path that begins with a slash.")
    return ConnectionPolicy(
        settings.commands, settings.https_only, settings.private_addresses, tuple(networks), settings.variables
    )


DEFAULT_POLICY = ConnectionPolicy()
"""What is in force where nothing is set."""


def parse_address(host: str) -> IpAddress | None:
    """The address that a host is, in whatever form resolvers take it; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        # Forms that resolvers take for IPv4: 2130706433, 0x7f.1, 127.1.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _unwrap_ipv4(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address leads to, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
