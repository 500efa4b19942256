"""Published clients, each as its makers ship it, in front of one gateway."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from gateway.access.roles import create_role
from tests.clients.install import NODE, PROGRAMS, PYTHON
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed

HERE = Path(__file__).parent
ODD = json.loads((HERE.parent / "cases" / "tools-odd.json").read_text(encoding="utf-8"))
# Two have no input schema that could be mended, and one has the name of another.
MENDABLE = len(ODD) - 3
TOOL = "listed__good"
ARGUMENTS = {"text": "grüß dich"}
CLIENTS_AT_ONCE = 2

Seen = tuple[Sequence[str], str]
"""The tools that a client was listed, and what one of them answered."""


class Clients:
    """Every client, with one key, in front of one gateway. `folder` is where they keep what they have to."""

    def __init__(self, gateway: RunningGateway, key: str, folder: Path) -> None:
        self._url = gateway.mcp
        self._sse_url = f"{gateway.url}/sse"
        self._key = key
        self._folder = folder
        # Where a module's imports are looked for, there is none but beside it.
        (folder / "node_modules").symlink_to(NODE / "node_modules")

    def all(self) -> Mapping[str, Callable[[], Awaitable[Seen]]]:
        """What lists and calls, by the client's name."""
        return {
            "Python SDK 2, modern": lambda: self._python_sdk_2("auto"),
            "Python SDK 2, handshake": lambda: self._python_sdk_2("legacy"),
            "Python SDK 1": lambda: self._script(PYTHON, "python_sdk_1.py", "http", self._url),
            "Python SDK 1, HTTP+SSE": lambda: self._script(PYTHON, "python_sdk_1.py", "sse", self._sse_url),
            "TypeScript SDK 1": lambda: self._script("node", "typescript_sdk_1.mjs", "http", self._url),
            "TypeScript SDK 1, HTTP+SSE": lambda: self._script("node", "typescript_sdk_1.mjs", "sse", self._sse_url),
            "TypeScript client, modern": lambda: self._script("node", "typescript_client.mjs", "auto", self._url),
            "TypeScript client, handshake": lambda: self._script("node", "typescript_client.mjs", "legacy", self._url),
            "mcp-remote": self._mcp_remote,
            "Inspector": self._inspector,
            "curl": self._curl,
        }

    async def _python_sdk_2(self, mode: Literal["auto", "legacy"]) -> Seen:
        async with (
            httpx2.AsyncClient(headers={"X-API-Key": self._key}, timeout=30) as http,
            Client(streamable_http_client(self._url, http_client=http), mode=mode) as client,
        ):
            return await self._list_and_call(client)

    async def _script(self, interpreter: Path | str, name: str, *arguments: str) -> Seen:
        script = self._folder / name
        script.write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
        answer = await self._run(str(interpreter), str(script), *arguments, self._key, TOOL, json.dumps(ARGUMENTS))
        return answer["tools"], answer["text"]

    async def _mcp_remote(self) -> Seen:
        arguments = [self._url, "--header", f"X-API-Key:{self._key}", "--allow-http"]
        env = {**os.environ, "MCP_REMOTE_CONFIG_DIR": str(self._folder)}
        bridge = StdioServerParameters(command=str(PROGRAMS / "mcp-remote"), args=arguments, env=env)
        async with Client(bridge, mode="legacy") as client:
            return await self._list_and_call(client)

    async def _inspector(self) -> Seen:
        command = [str(PROGRAMS / "mcp-inspector"), "--cli", self._url, "--transport", "http"]
        command += ["--header", f"X-API-Key: {self._key}"]
        listed = await self._run(*command, "--method", "tools/list")
        given = [f"{name}={value}" for name, value in ARGUMENTS.items()]
        called = await self._run(*command, "--method", "tools/call", "--tool-name", TOOL, "--tool-arg", *given)
        return [tool["name"] for tool in listed["tools"]], called["content"][0]["text"]

    async def _curl(self) -> Seen:
        listed = await self._post("tools/list", {})
        called = await self._post("tools/call", {"name": TOOL, "arguments": ARGUMENTS})
        return [tool["name"] for tool in listed["tools"]], called["content"][0]["text"]

    async def _post(self, method: str, params: Mapping[str, Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = ["-H", f"Authorization: Bearer {self._key}", "-H", "Content-Type: application/json"]
        return (await self._run("curl", "-sS", "-X", "POST", self._url, *headers, "-d", body))["result"]

    async def _run(self, *command: str) -> Any:
        ended = await anyio.run_process(command, check=False)
        assert ended.returncode == 0, ended.stderr.decode()[-2_000:]
        return json.loads(ended.stdout)

    async def _list_and_call(self, client: Client) -> Seen:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        answered = (await client.call_tool(TOOL, ARGUMENTS)).content[0]
        return listed, getattr(answered, "text", "")


@pytest.mark.usefixtures("installed")
async def test_every_client_is_listed_what_can_be_mended_and_calls_it(gateway: RunningGateway, tmp_path: Path) -> None:
    server = await add_listed(gateway.parts, tmp_path, *ODD)
    await create_role(gateway.parts.database, server.tenant_id, "everything", "ALLOW")
    key = (await gateway.parts.keys.create(server.tenant_id, "lister", ["everything"])).key
    clients = Clients(gateway, key, tmp_path).all()
    seen: dict[str, object] = {}
    limit = anyio.CapacityLimiter(CLIENTS_AT_ONCE)

    async def use(name: str) -> None:
        async with limit:
            try:
                with anyio.fail_after(60):
                    listed, text = await clients[name]()
            except Exception as error:  # noqa: BLE001 - one client's failure hides none of the others'.
                seen[name] = f"{type(error).__name__}: {error}"
            else:
                own = sum(name.startswith("listed__") for name in listed)
                seen[name] = (own, "tool_search" in listed, json.loads(text))

    async with anyio.create_task_group() as tasks:
        for name in clients:
            tasks.start_soon(use, name)
    assert seen == dict.fromkeys(clients, (MENDABLE, True, {"name": "good", "arguments": ARGUMENTS}))
