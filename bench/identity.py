"""What a credential of the person who calls costs a call, and what many persons with many connections cost the gateway.

    python -m bench.identity [--batches 20] [--persons 10000] [--servers 20]

A call goes from the parts of a gateway in this process to an HTTP server in another, with one credential that all share
and with one of the person, kept or exchanged before. CPU time is that of this process, the least of several batches;
the kinds take turns, so that other work on the machine meets all of them. Then a gateway starts on a database without
persons, and on one with `--persons` who have each connected `--servers`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import uvloop

from bench.figures import Figure, record
from bench.peers.raw_http import raw_http_server
from bench.scale import Place, place
from gateway.access.caller import Caller
from gateway.access.connections.connections import connection_owner
from gateway.access.persons import Identity
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.settings import OauthSettings, Settings
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalOAuth
from gateway.upstream.credentials.oauth_grant import OAuthClient, OAuthGrant
from gateway.upstream.credentials.personal import PersonalKind, PersonalSecret
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from gateway.vault import Vault, open_keys
from tests.doubles.token_provider import RegisteredClient, TokenProvider

ISSUER = "https://login.example"
_GROUP = "What the person behind a call costs"
_CALLS = 100
_TARGET_MS = 0.1

# Answers as an MCP server of 2026-07-28 does, at next to no cost of its own.
SERVER = raw_http_server("""
import json
RESULTS = {
    b"server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
    b"tools/call": {"content": [{"type": "text", "text": "hello"}]},
}
def answer(body):
    method = next(name for name in RESULTS if b'"' + name + b'"' in body)
    message = {"jsonrpc": "2.0", "id": json.loads(body)["id"]}
    message["result"] = {"resultType": "complete", **RESULTS[method]}
    return json.dumps(message).encode()
""")


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of being let in, and a call that goes it."""

    name: str
    call: Callable[[], Awaitable[object]]


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """The address of a server in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/mcp"
    finally:
        process.kill()
        await process.wait()


def settings_of(at: Place) -> Settings:
    """Those of the gateways that are started there: what one has sealed, the others open."""
    return replace(at.settings, server=replace(at.settings.server, data_dir=str(at.folder)))


async def add(parts: Components, name: str, url: str, kind: PersonalKind | None) -> ServerSpec:
    """A server at `url` that lets in by `kind`, or all by one token."""
    server_id = await parts.servers.add(1, ServerDefinition(name, "http", url=url, credential=Bearer("shared")))
    if kind is not None:
        await parts.servers.set_personal(1, server_id, kind)
    return await parts.servers.spec(1, server_id)


async def kinds(parts: Components, url: str, provider: TokenProvider) -> list[Kind]:
    """All of them, connected by one person."""
    provider.exchanges.clients["gateway"] = RegisteredClient("s3cret")
    provider.exchanges.audiences |= {"docs"}
    client = TokenClient("gateway", "client_secret_basic", "s3cret")
    person = await parts.persons.ensure(1, Identity(provider.url, "ada"), "ada")
    caller = Caller(1, 0, "ada", (), subject="ada", issuer=provider.url, token=provider.token())
    shared = await add(parts, "shared", url, None)
    secret = await add(parts, "secret", url, PersonalSecret())
    await parts.connections.connect(person, secret.id, "secret", {"secret": "own"})
    oauth = await add(parts, "oauth", url, PersonalOAuth())
    grant = OAuthGrant(OAuthClient(ISSUER, f"{ISSUER}/token", "gateway"), "access", "refresh", time.time() + 86_400)
    stored = {"grant": grant.to_dict(), "server_url": url, "revocation_endpoint": ""}
    await parts.connections.connect(person, oauth.id, "oauth", stored)
    exchange = await add(parts, "exchange", url, PersonalExchange(client, "docs"))
    specs = {"one for all": shared, "secret": secret, "oauth": oauth, "exchange": exchange}

    def call(spec: ServerSpec) -> Callable[[], Awaitable[object]]:
        request = UpstreamRequest("tools/call", {"name": "echo", "arguments": {"text": "hello"}})
        return lambda: parts.caller_requests.request(caller, spec, request)

    return [Kind(name, call(spec)) for name, spec in specs.items()]


async def measure_calls(at: Place, batches: int) -> None:
    """The CPU time and the time of a call of each kind."""
    async with upstream() as url, TokenProvider().running() as provider:
        settings = replace(settings_of(at), oauth=OauthSettings(issuer=provider.url, audience=("gateway",)))
        async with open_components(settings) as parts, parts.notices.listening():
            ways = await kinds(parts, url, provider)
            cpu: dict[str, list[float]] = {kind.name: [] for kind in ways}
            wall: dict[str, list[float]] = {kind.name: [] for kind in ways}
            for kind in ways:
                for _ in range(20):
                    await kind.call()
            for _ in range(batches):
                for kind in ways:
                    worked, began = time.process_time(), time.perf_counter()
                    for _ in range(_CALLS):
                        await kind.call()
                    cpu[kind.name].append((time.process_time() - worked) / _CALLS * 1000)
                    wall[kind.name].append((time.perf_counter() - began) / _CALLS * 1000)
    least = min(cpu["one for all"])
    print("let in by        CPU ms   more   of the clock (ms)")
    for name, times in cpu.items():
        more = min(times) - least
        print(f"{name:15} {min(times):7.3f} {more:+6.3f} {min(wall[name]):12.3f}")
        target = None if name == "one for all" else _TARGET_MS
        record(
            Figure(_GROUP, name, "CPU of a call", min(times), "ms"),
            Figure(_GROUP, name, "more than one for all", more, "ms", target=target),
        )


async def fill(at: Place, persons: int, servers: int) -> None:
    """Persons who have each connected each of the servers, straight into the database."""
    vault = Vault(open_keys("", "", at.folder))
    async with open_components(settings_of(at)) as parts:
        specs = [await add(parts, f"server {n}", "http://127.0.0.1:9/mcp", PersonalOAuth()) for n in range(servers)]
    grant = OAuthGrant(OAuthClient(ISSUER, f"{ISSUER}/token", "gateway"), "x" * 900, "y" * 60, time.time() + 3_600)
    secret = {"grant": grant.to_dict(), "server_url": "http://127.0.0.1:9/mcp", "revocation_endpoint": ""}
    async with at.connection() as connection:
        await connection.executemany(
            "INSERT INTO persons (tenant_id, issuer, subject, name) VALUES (1, $1, $2, $2)",
            [(ISSUER, f"person {number}") for number in range(persons)],
        )
        rows = await connection.fetch("SELECT id FROM persons WHERE tenant_id = 1 ORDER BY id")
        for start in range(0, len(rows), 500):
            records = []
            for row in rows[start : start + 500]:
                for spec in specs:
                    place_, id_ = (1, row["id"], spec.id), uuid.uuid4()
                    sealed = vault.seal(secret, connection_owner(place_, id_))
                    records.append((*place_, id_, "oauth", sealed, "somebody"))
            columns = ["tenant_id", "person_id", "server_id", "id", "kind", "sealed", "person_name"]
            await connection.copy_records_to_table("connections", records=records, columns=columns)
        await connection.execute("ANALYZE")


async def measure_persons(persons: int, servers: int) -> None:
    """Start and memory without persons, and with them."""
    print("\nconnections   ready (s)   resident (MiB)   on disk (MiB)")
    for count in (0, persons):
        async with place() as at:
            await fill(at, count, servers)
            # The first start on a database does what later ones need not.
            async with at.gateway():
                pass
            async with at.gateway() as (gateway, seconds):
                memory = gateway.resident_mib
            disk = await at.disk_mib()
        print(f"{count * servers:11,} {seconds:11.2f} {memory:16.0f} {disk:15.0f}")
        name = f"{count:,} persons × {servers} servers"
        record(
            Figure(_GROUP, name, "start", seconds, "s"),
            Figure(_GROUP, name, "memory at rest", memory, "MiB"),
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20, help="of a hundred calls, for each kind")
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--servers", type=int, default=20)
    options = parser.parse_args()
    async with place() as at:
        await measure_calls(at, options.batches)
    await measure_persons(options.persons, options.servers)


if __name__ == "__main__":
    uvloop.run(main())
