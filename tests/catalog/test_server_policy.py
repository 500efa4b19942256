"""What the gateway may start and where it may connect."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.app import open_components
from gateway.catalog.new_server import NewServer
from gateway.errors import InvalidInputError, SettingsError, UpstreamUnavailableError
from gateway.settings import GuardSettings, Settings
from gateway.upstream.http.guarded_backend import guard_connections
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy, policy_from_settings
from tests.support.gateway import LOCAL_MCP
from tests.support.listed import SCRIPT

CLOSED = ConnectionPolicy(private_addresses="deny")
LOOPBACK = ConnectionPolicy(private_addresses="loopback")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_of_metadata_and_of_nobody_are_closed_whatever_is_set(address: str) -> None:
    everything = ConnectionPolicy(allowed_networks=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    for policy in (DEFAULT_POLICY, LOOPBACK, CLOSED, everything):
        assert policy.address_refusal(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "ordinary", "loopback", "deny"),
    [
        ("127.0.0.1", True, True, False),
        ("::1", True, True, False),
        ("::ffff:127.0.0.1", True, True, False),
        ("10.1.2.3", True, False, False),
        ("192.168.1.1", True, False, False),
        ("fd12::1", True, False, False),
        ("100.64.0.1", True, False, False),
        ("93.184.216.34", True, True, True),
        ("2606:2800:220:1:248:1893:25c8:1946", True, True, True),
    ],
)
def test_private_addresses_are_open_as_the_settings_say(
    address: str, ordinary: bool, loopback: bool, deny: bool
) -> None:
    for policy, opened in ((DEFAULT_POLICY, ordinary), (LOOPBACK, loopback), (CLOSED, deny)):
        assert (policy.address_refusal(ipaddress.ip_address(address)) is None) is opened


def test_a_network_that_is_allowed_is_open_in_a_closed_gateway() -> None:
    policy = policy_from_settings(GuardSettings(private_addresses="deny", allowed_networks=("10.1.0.0/16",)))
    assert policy.address_refusal(ipaddress.ip_address("10.1.2.3")) is None
    assert policy.address_refusal(ipaddress.ip_address("10.2.2.3"))
    with pytest.raises(SettingsError, match="no address or network"):
        policy_from_settings(GuardSettings(allowed_networks=("10.1.0.0/33",)))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
    ],
)
def test_urls_that_lead_to_metadata_or_nowhere_are_refused_in_every_spelling(url: str) -> None:
    assert DEFAULT_POLICY.url_refusal(url)


def test_only_https_is_taken_where_that_is_set() -> None:
    policy = ConnectionPolicy(https_only=True)
    assert policy.url_refusal("http://example.com/mcp")
    assert policy.url_refusal("https://example.com/mcp") is None


def test_a_command_is_started_only_as_the_list_names_it() -> None:
    policy = policy_from_settings(GuardSettings(commands=("npx", "/opt/tools/server")))
    assert policy.command_refusal("npx", {}) is None
    assert policy.command_refusal("/opt/tools/server", {}) is None
    assert policy.command_refusal("server", {})
    assert policy.command_refusal("/tmp/npx", {})
    assert policy.command_refusal("./npx", {})
    assert policy.command_refusal("npx", {"PATH": "/tmp"})
    assert policy.command_refusal("npx", {"LD_PRELOAD": "/tmp/x.so"})
    assert DEFAULT_POLICY.command_refusal("anything", {"PATH": "/tmp"}) is None


async def test_servers_outside_of_the_guards_cannot_be_added(settings: Settings) -> None:
    guards = GuardSettings(commands=("npx",), private_addresses="deny")
    async with open_components(replace(settings, guards=guards)) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        for server in (
            NewServer("One", "stdio", command="bash", args=("-c", "true")),
            NewServer("Two", "http", url="http://127.0.0.1:1/mcp"),
            NewServer("Three", "http", url="http://169.254.169.254/mcp"),
        ):
            with pytest.raises(InvalidInputError, match="may not be"):
                await parts.servers.add(tenant, server)
        await parts.servers.add(tenant, NewServer("Four", "stdio", command="npx"))


async def test_a_server_added_before_the_guards_is_not_started(settings: Settings, tmp_path: Path) -> None:
    new = NewServer("Local", "stdio", command=sys.executable, args=(str(LOCAL_MCP), "--root", str(tmp_path)))
    async with open_components(settings) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        server = await parts.servers.add(tenant, new)
    async with open_components(replace(settings, guards=GuardSettings(commands=("npx",)))) as parts:
        with pytest.raises(UpstreamUnavailableError, match=r"not among guards\.commands"):
            await parts.sync.run(tenant, server)


async def test_a_child_has_the_environment_it_was_given_and_nothing_of_the_gateways(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "s3cret")
    seen = tmp_path / "environment"
    listing = tmp_path / "tools.json"
    listing.write_text('{"tools": []}')
    program = f"import os,runpy,sys; open({str(seen)!r},'w').write(repr(dict(os.environ))); sys.argv=sys.argv[1:]; "
    program += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    new = NewServer(
        "Seen", "stdio", command=sys.executable, args=("-c", program, str(SCRIPT), str(listing)), env={"GIVEN": "yes"}
    )
    async with open_components(settings) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        await parts.sync.run(tenant, await parts.servers.add(tenant, new))
    environment = seen.read_text()
    assert "'GIVEN': 'yes'" in environment
    assert "s3cret" not in environment
    assert "MODELGATE" not in environment


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A web server on loopback that gives one answer; its port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive())
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port), asked
        tasks.cancel_scope.cancel()


def leading(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Have names lead to these addresses, one after the other as they are asked for; the names that were asked for."""
    left = list(addresses)
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def given(*arguments: Any, **named: Any) -> list[Any]:
        host, port = arguments[-2:]
        return await getaddrinfo(host, port)

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", given)
    return asked


async def test_a_name_that_leads_to_a_closed_address_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    leading(monkeypatch, "169.254.169.254")
    async with httpx2.AsyncClient(trust_env=False) as client:
        guard_connections(client, DEFAULT_POLICY, "Docs")
        with pytest.raises(UpstreamUnavailableError, match=r"docs\.example leads to a closed address"):
            await client.get("https://docs.example/mcp")


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, asked):
        names = leading(monkeypatch, "127.0.0.1", "169.254.169.254")
        async with httpx2.AsyncClient(trust_env=False) as client:
            guard_connections(client, DEFAULT_POLICY, "Docs")
            assert (await client.get(f"http://docs.example:{port}/mcp")).text == "hi"
        assert names == ["docs.example"]
        assert b"host: docs.example" in asked[0].lower()


async def test_a_redirect_is_checked_as_any_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
    async with listening(answer) as (port, _), httpx2.AsyncClient(trust_env=False, follow_redirects=True) as client:
        guard_connections(client, DEFAULT_POLICY, "Docs")
        with pytest.raises(UpstreamUnavailableError, match="hand out credentials"):
            await client.get(f"http://127.0.0.1:{port}/mcp")


async def test_a_server_whose_name_leads_inside_is_refused_at_its_sync(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_components(replace(settings, guards=GuardSettings(private_addresses="deny"))) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        server = await parts.servers.add(tenant, NewServer("Docs", "http", url="http://docs.example:9/mcp"))
        leading(monkeypatch, "10.0.0.7")
        with pytest.raises(UpstreamUnavailableError, match="leads to a closed address"):
            await parts.sync.run(tenant, server)
