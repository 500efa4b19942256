"""How long a change takes until it is in force in every process.

`python -m bench.changes` starts two `modelgate serve` on one catalogue and changes it in a third process, as the
command line does, or by the REST API of one of the two: both are asked without a pause, and of each kind the time is
printed from the end of the change to the first answer that shows it, of the process that is later.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

import asyncpg
import httpx2

from bench.figures import Figure, record
from bench.proxy import LEAN, ROOT
from gateway.access.roles import Visibility, create_role, update_role
from gateway.access.rules import set_rule
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.overrides.tool_switch import set_tool_enabled
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.tool_override import ToolOverride
from gateway.components import Components, open_components
from gateway.database.pool import Database
from gateway.settings import load_settings

_TARGET_MS = 200.0
_GIVE_UP_SECONDS = 30.0
_TENANT = 1
_TALKER = str(ROOT / "tests" / "downstream" / "talker.py")
_ACCEPT = {"Accept": "application/json, text/event-stream"}

Act: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Probe:
    """A request, and what its answer says when it is as it is to be; an answer is the status and the text."""

    method: str
    params: dict[str, Any]
    holds: Callable[[int, str], bool]
    key: str
    path: str = "/mcp"


@dataclass(frozen=True, slots=True)
class Change:
    """`act` makes it, after which `probe` holds everywhere."""

    name: str
    act: Act
    probe: Probe


async def seen(http: httpx2.AsyncClient, url: str, probe: Probe) -> bool:
    """Whether the process at `url` answers as it is to be."""
    body = {"jsonrpc": "2.0", "id": 1, "method": probe.method, "params": probe.params}
    headers = {**_ACCEPT, "X-API-Key": probe.key}
    response = await http.post(f"{url}{probe.path}", json=body, headers=headers)
    return probe.holds(response.status_code, response.text)


async def first_seen(http: httpx2.AsyncClient, url: str, probe: Probe) -> float:
    """When the process at `url` first answers so."""
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while not await seen(http, url, probe):
        if time.monotonic() > deadline:
            return float("inf")
    return time.monotonic()


async def delay(http: httpx2.AsyncClient, urls: Sequence[str], change: Change) -> float:
    """Milliseconds from the change to where the last process shows it."""
    before = [await seen(http, url, change.probe) for url in urls]
    assert not any(before), f"{change.name}: it was so before"
    watching = [asyncio.create_task(first_seen(http, url, change.probe)) for url in urls]
    await change.act()
    done = time.monotonic()
    return max(0.0, max(await asyncio.gather(*watching)) - done) * 1000


async def tool_named(database: Database, name: str) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        return int(await connection.fetchval("SELECT id FROM tools WHERE exposed_name = $1", name))
    finally:
        await connection.close()


def fails(_: int, text: str) -> bool:
    return '"error"' in text or '"isError":true' in text.replace(" ", "")


def succeeds(status: int, text: str) -> bool:
    return status == 200 and not fails(status, text)


async def changes(parts: Components, http: httpx2.AsyncClient, url: str, number: int) -> list[Change]:
    """One change of each kind, each of what no other one is about."""
    database = parts.database
    role = await create_role(database, _TENANT, f"role {number}", "ALLOW")
    lean = await parts.servers.add(_TENANT, ServerDefinition(f"Lean {number}", "stdio", LEAN[0], tuple(LEAN[1:])))
    await parts.sync.run(_TENANT, lean)
    tool_id = await tool_named(database, f"lean_{number}__echo")
    new_key = await parts.keys.create(_TENANT, f"key {number}", [role.name])
    rest_key = await parts.keys.create(_TENANT, f"for REST {number}", [role.name])
    key, all_key = new_key.key, (await parts.keys.create(_TENANT, f"all {number}", ["all"])).key
    profile = await parts.profiles.create(_TENANT, f"profile-{number}", "all")
    call = {"name": f"lean_{number}__echo", "arguments": {"text": "hello"}}

    def calling(holds: Callable[[int, str], bool], with_key: str = all_key) -> Probe:
        return Probe("tools/call", call, holds, with_key)

    async def revoke_by_rest() -> None:
        (await http.delete(f"{url}/api/v1/keys/{rest_key.id}")).raise_for_status()

    async def rule(visibility: Visibility) -> None:
        await set_rule(database, _TENANT, role.id, visibility, tool_id=tool_id)

    arguments = ("-I", "-S", _TALKER, "handshake", f"talker{number}", os.devnull)
    added: list[int] = []

    async def add() -> None:
        added.append(
            await parts.servers.add(_TENANT, ServerDefinition(f"Talker {number}", "stdio", sys.executable, arguments))
        )
        await parts.sync.run(_TENANT, added[0])

    talking = {"name": f"talker_{number}__echo", "arguments": {}}
    search = {"name": "tool_search", "arguments": {"query": f"unheard of {number}"}}
    at_profile = Probe(
        "tools/list", {}, lambda _, text: f"lean_{number}__echo" in text, all_key, f"/mcp/p/{profile.name}"
    )
    return [
        Change(
            "a role that denies by default",
            lambda: update_role(database, _TENANT, role.id, role.version, default="DENY"),
            calling(fails, key),
        ),
        Change("a rule that allows", lambda: rule("ALLOW"), calling(succeeds, key)),
        Change("a rule that denies", lambda: rule("DENY"), calling(fails, key)),
        Change(
            "a tool switched off",
            lambda: set_tool_enabled(database, _TENANT, tool_id, enabled=False),
            calling(fails),
        ),
        Change(
            "a tool switched on", lambda: set_tool_enabled(database, _TENANT, tool_id, enabled=True), calling(succeeds)
        ),
        Change(
            "an override",
            lambda: ToolOverrides(database, parts.spaces).set(
                _TENANT, tool_id, ToolOverride(description=f"Says unheard of {number}.")
            ),
            Probe("tools/call", search, lambda _, text: f"Says unheard of {number}" in text, all_key),
        ),
        Change(
            "a tool taken into a profile",
            lambda: set_rule(database, _TENANT, profile.id, "ALLOW", tool_id=tool_id),
            at_profile,
        ),
        Change(
            "a profile deleted",
            lambda: parts.profiles.delete(_TENANT, profile.id),
            Probe("tools/list", {}, lambda status, _: status == 404, all_key, f"/mcp/p/{profile.name}"),
        ),
        Change("a server switched off", lambda: parts.servers.set_enabled(_TENANT, lean, False), calling(fails)),
        Change("a server switched on", lambda: parts.servers.set_enabled(_TENANT, lean, True), calling(succeeds)),
        Change("a server added and synced", add, Probe("tools/call", talking, succeeds, all_key)),
        Change(
            "a server removed",
            lambda: parts.servers.remove(_TENANT, added[0]),
            Probe("tools/call", talking, fails, all_key),
        ),
        Change(
            "a key revoked",
            lambda: parts.keys.revoke(_TENANT, new_key.id),
            Probe("ping", {}, lambda status, _: status == 401, key),
        ),
        Change(
            "a key revoked by REST", revoke_by_rest, Probe("ping", {}, lambda status, _: status == 401, rest_key.key)
        ),
    ]


async def serve(environ: dict[str, str], stack: AsyncExitStack) -> str:
    """The address of one `modelgate serve`, which ends with `stack`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    stack.push_async_callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().split()[4]


async def sign_in(parts: Components, http: httpx2.AsyncClient, url: str) -> None:
    """Let `http` use the REST API at `url`."""
    password = secrets.token_hex()
    await Accounts(parts.database, PasswordHasher()).create("bench", password, "admin", None)
    signed_in = await http.post(f"{url}/api/v1/session", json={"name": "bench", "password": password})
    http.headers["X-CSRF-Token"] = signed_in.json()["csrf_token"]


async def run(rounds: int) -> None:
    delays: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")},
            "MODELGATE_DATA_DIR": folder,
            "MODELGATE_EMBEDDER_TYPE": "builtin",
            "MODELGATE_SERVER_PORT": "0",
            "MODELGATE_SERVER_LOG_LEVEL": "error",
            "MODELGATE_CONFIG": os.devnull,
            "PYTHONPATH": str(ROOT),
        }
        parts = await stack.enter_async_context(open_components(load_settings(environ=environ)))
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=60))
        urls = [await serve(environ, stack) for _ in range(2)]
        await sign_in(parts, http, urls[0])
        for number in range(rounds):
            for change in await changes(parts, http, urls[0], number):
                delays.setdefault(change.name, []).append(await delay(http, urls, change))
    print(f"{'in force in both processes after':36} {'median':>9} {'longest':>9}")
    for name, each in delays.items():
        print(f"{name:36} {median(each):6.0f} ms {max(each):6.0f} ms")
        record(Figure("Changes", name, "longest until in force", max(each), "ms", target=_TARGET_MS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    asyncio.run(run(parser.parse_args().rounds))
