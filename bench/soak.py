"""Hours of mixed use in minutes: does the gateway answer rightly to the last, and take no more than at the beginning?

`python -m bench.soak` starts a gateway and for 30 minutes searches, calls, lists, opens and ends sessions, changes
keys, syncs, and kills upstream servers under it. It ends with 1 where an answer was wrong, where resident memory grew
by 5% or more after the first third, or where files or children have become more. `make soak` runs three minutes of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from bench.proxy import LEAN, UPSTREAM, free_port, settings_in, started
from gateway.access.roles import create_role
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings

_SAMPLE_SECONDS = 2.0
_MAX_GROWTH = 0.05
# Connections come and go with the load.
_FILES_MARGIN = 24
_TOOLS = 200
_STILL_GOING = ("exited", "was ended", "is not connected", "try again", "left alone", "busy")

QUERIES = tuple(f"work number {number} on a repository" for number in range(60))


@dataclass
class Tally:
    """What was done, and what came out wrong; errors that a killed server explains are counted apart."""

    done: Counter[str] = field(default_factory=Counter)
    explained: int = 0
    wrong: list[str] = field(default_factory=list)

    def expect(self, what: str, is_right: bool, answer: object) -> None:
        """Count an answer."""
        self.done[what] += 1
        if is_right:
            return
        text = str(answer)
        if what == "call of a killed server" and any(word in text for word in _STILL_GOING):
            self.explained += 1
        else:
            self.wrong.append(f"{what}: {text[:300]}")


@dataclass(frozen=True)
class Sample:
    """Of the gateway's process: resident memory in MiB, open files, and children."""

    mib: float
    files: int
    children: int


def sample(process: int) -> Sample:
    """How it is now."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return Sample(kib / 1024, len(os.listdir(f"/proc/{process}/fd")), len(children(process)))


def children(process: int) -> list[int]:
    """The process ids of its children."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(each) for each in (task / "children").read_text().split()]
    return found


async def prepare(settings: Settings) -> str:
    """A catalogue to use; returns a key."""
    async with open_components(settings, connections=4) as parts:
        tenant = await tenant_by_slug(parts.database)
        for server in (
            ServerDefinition("Lean", "stdio", command=LEAN[0], args=tuple(LEAN[1:])),
            ServerDefinition("Mortal", "stdio", command=LEAN[0], args=(*LEAN[1:], "mortal")),
            ServerDefinition("Many", "stdio", command=UPSTREAM[0], args=(*UPSTREAM[1:], "--tools", str(_TOOLS))),
        ):
            await parts.sync.run(tenant.id, await parts.servers.add(tenant.id, server))
        await create_role(parts.database, tenant.id, "lists", "ALLOW")
        return (await parts.keys.create(tenant.id, "soak", ["lists"])).key


class Soak:
    """The load, in as many loops as there are kinds of it."""

    def __init__(self, url: str, key: str, process: int, settings: Settings) -> None:
        self._url = url
        self._key = key
        self._process = process
        self._settings = settings
        self._is_over = False
        self.tally = Tally()
        self.samples: list[Sample] = []

    async def run(self, seconds: float) -> None:
        """Use the gateway for so long."""
        loops = [
            self._forever(act, pause)
            for act, pause in (
                (self._search, 0.01),
                (self._search, 0.01),
                (self._call, 0.005),
                (self._call, 0.005),
                (self._call_mortal, 0.02),
                (self._list, 0.1),
                (self._session, 0.05),
                (self._kill, 5.0),
            )
        ]
        tasks = [asyncio.create_task(loop) for loop in [*loops, self._administer(), self._watch()]]
        await asyncio.sleep(seconds)
        self._is_over = True
        await asyncio.gather(*tasks)

    async def _forever(self, act: Callable[[httpx2.AsyncClient], Awaitable[None]], pause: float) -> None:
        async with httpx2.AsyncClient(headers={"X-API-Key": self._key}, timeout=60) as http:
            while not self._is_over:
                try:
                    await act(http)
                except httpx2.HTTPError as error:
                    self.tally.expect("request", False, repr(error))
                await asyncio.sleep(pause)

    async def _ask(self, http: httpx2.AsyncClient, method: str, params: Any, **headers: str) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response = await http.post(self._url, json=message, headers=headers)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return json.loads(response.text.rpartition("\ndata: ")[2].splitlines()[0])
        return response.json()

    async def _search(self, http: httpx2.AsyncClient) -> None:
        number = random.randrange(len(QUERIES))
        arguments = {"query": f"tool_{number:03}"} if number % 2 else {"query": QUERIES[number]}
        answer = await self._ask(http, "tools/call", {"name": "tool_search", "arguments": arguments})
        first = f"many__tool_{number:03}" if number % 2 else "many__tool_"
        self.tally.expect("search", first in str(answer.get("result", "")), answer)

    async def _call(self, http: httpx2.AsyncClient) -> None:
        text = f"hello {random.random()}"
        answer = await self._ask(http, "tools/call", {"name": "lean__echo", "arguments": {"text": text}})
        self.tally.expect("call", answer.get("result", {}).get("content") == [{"type": "text", "text": text}], answer)

    async def _call_mortal(self, http: httpx2.AsyncClient) -> None:
        text = f"hello {random.random()}"
        answer = await self._ask(http, "tools/call", {"name": "mortal__echo", "arguments": {"text": text}})
        is_right = answer.get("result", {}).get("content") == [{"type": "text", "text": text}]
        self.tally.expect("call of a killed server", is_right, answer)

    async def _list(self, http: httpx2.AsyncClient) -> None:
        answer = await self._ask(http, "tools/list", {})
        self.tally.expect("list", len(answer.get("result", {}).get("tools", ())) >= 100, answer)

    async def _session(self, http: httpx2.AsyncClient) -> None:
        client = {"name": "soak", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        headers = {"Accept": "application/json, text/event-stream"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        opened = await http.post(self._url, json=message, headers=headers)
        headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
        call = {"name": "lean__echo", "arguments": {"text": "in a session"}}
        for _ in range(5):
            answer = await self._ask(http, "tools/call", call, **headers)
            self.tally.expect("call in a session", "in a session" in str(answer.get("result", "")), answer)
        ended = await http.delete(self._url, headers=headers)
        self.tally.expect("end of a session", ended.is_success, ended.status_code)

    async def _kill(self, _: httpx2.AsyncClient) -> None:
        for child in children(self._process):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_bytes().rstrip(b"\0").endswith(b"mortal"):
                    os.kill(child, signal.SIGKILL)
                    self.tally.done["kill"] += 1

    async def _administer(self) -> None:
        """Syncs, and keys that come and go, as another process makes them."""
        async with open_components(self._settings, connections=2) as parts, httpx2.AsyncClient(timeout=60) as http:
            tenant = await tenant_by_slug(parts.database)
            servers = await parts.servers.list(tenant.id)
            while not self._is_over:
                new = await parts.keys.create(tenant.id, "passing", ["lists"])
                headers = {"X-API-Key": new.key}
                answer = await self._ask(http, "ping", {}, **headers)
                self.tally.expect("new key", answer.get("result") == {}, answer)
                await parts.keys.revoke(tenant.id, new.id)
                # It holds within 200 ms.
                await asyncio.sleep(0.5)
                refused = await http.post(self._url, json={}, headers=headers)
                self.tally.expect("revoked key", refused.status_code == 401, refused.status_code)
                result = await parts.sync.run(tenant.id, random.choice(servers).id)
                self.tally.expect("sync", not (result.added or result.removed or result.changed), result)
                await asyncio.sleep(1)

    async def _watch(self) -> None:
        while not self._is_over:
            self.samples.append(sample(self._process))
            await asyncio.sleep(_SAMPLE_SECONDS)


def verdict(samples: list[Sample], tally: Tally) -> list[str]:
    """What is wrong; nothing where all is well."""
    third = len(samples) // 3
    # The median of a part: single samples stand in the midst of a burst.
    before, after = samples[third : third + max(3, third // 3)], samples[-max(3, third // 3) :]
    said = [f"{len(tally.wrong)} wrong answers, the first: {tally.wrong[0]}"] if tally.wrong else []
    grown = statistics.median(each.mib for each in after) / statistics.median(each.mib for each in before) - 1
    if grown >= _MAX_GROWTH:
        said.append(f"resident memory grew by {grown:.1%} after the first third")
    if max(each.files for each in after) > max(each.files for each in before) + _FILES_MARGIN:
        said.append(f"open files went from {max(s.files for s in before)} to {max(s.files for s in after)}")
    if max(each.children for each in after) > max(each.children for each in samples[: third + 1]):
        said.append(f"children became {max(each.children for each in after)}")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelgate-soak-")))
        port = free_port()
        config = folder / "config.toml"
        config.touch()
        settings, environ = settings_in(folder / "data", config, port)
        key = asyncio.run(prepare(settings))
        serve = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
        process = stack.enter_context(started(serve, f"http://127.0.0.1:{port}/ready", environ))
        soak = Soak(f"http://127.0.0.1:{port}/mcp", key, process.pid, settings)
        begun = time.monotonic()
        asyncio.run(soak.run(given.minutes * 60))
        minutes = (time.monotonic() - begun) / 60
    first, last = soak.samples[len(soak.samples) // 3], soak.samples[-1]
    print(
        f"{minutes:.1f} minutes: " + ", ".join(f"{count} × {what}" for what, count in sorted(soak.tally.done.items()))
    )
    print(f"{soak.tally.explained} calls fell on a server that had been killed")
    for name, each in (("after a third", first), ("at the end", last)):
        print(f"{name:14} {each.mib:6.0f} MiB  {each.files:4} files  {each.children:3} children")
    wrong = verdict(soak.samples, soak.tally)
    print("\n".join(wrong) or "All is well.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
