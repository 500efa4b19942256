"""This process in the cluster: its membership, its links, and what goes over them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.cluster.hop_keys import HopKeys
from gateway.cluster.http_forwarder import HttpForwarder
from gateway.cluster.links.channel import connect, listening
from gateway.cluster.links.hop import Hop
from gateway.cluster.membership import Membership
from gateway.cluster.server_owners import ServerOwners
from gateway.cluster.store import PostgresClusterStore
from gateway.database.pool import Database
from gateway.errors import SettingsError
from gateway.settings import ClusterSettings
from gateway.vault import Vault

_LOOPBACK = "127.0.0.1"
_POSTGRES_PORT = 5432


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the rest of the gateway needs to work as one of several processes."""

    membership: Membership
    hop: Hop
    owners: ServerOwners
    forwarder: HttpForwarder
    listener: socket.socket

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be a member until the block ends; all services of the hop have to be there by then.

        Raises ClusterKeyError where another member has another encryption key, and DatabaseError.
        """
        async with self.hop.running(), listening(self.listener, self.hop.accept), self.membership.running():
            yield


def build_cluster(settings: ClusterSettings, database: Database, vault: Vault) -> Cluster:
    """The parts, of which none runs yet. Raises SettingsError where the address cannot be listened on, or the keys
    cannot be read.
    """

    keys = HopKeys(vault)
    host = settings.host or address_towards(database.url)
    listener = _listen(host, settings.port)
    address = f"{settings.advertised_host or host}:{listener.getsockname()[1]}"
    store = PostgresClusterStore(database)
    hop = Hop(keys.read, lambda: membership.id, connect)
    membership = Membership(store, keys.read_ids, address, hop.is_reachable)
    return Cluster(membership, hop, ServerOwners(membership, store), HttpForwarder(hop, membership), listener)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on for other processes of the gateway ({error.strerror or error}); set "
            "cluster.host and cluster.port."
        ) from None
    return listener


def address_towards(url: str) -> str:
    """The address of this machine from which the database is reached: other members can be expected to reach it."""
    parts = urlsplit(url)
    # Of several hosts, the first.
    parts = parts._replace(netloc=parts.netloc.partition(",")[0])
    host = parts.hostname
    if not host or "%2f" in host.lower():
        # A socket in the file system.
        return _LOOPBACK
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, parts.port or _POSTGRES_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            # Nothing is sent: the system only says from where it would be.
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return _LOOPBACK
