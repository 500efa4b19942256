"""Two gateways behind a real nginx as it is deployed, restarted one after the other under load."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.acceptance.test_rolling_restart import MODERN, MODERN_HEADERS, Replicas, counts_members, replicas
from tests.support.serving import spare_port
from tests.support.waiting import until

__all__ = ["replicas"]

NGINX = os.environ.get("TEST_NGINX") or shutil.which("nginx")
CONFIG = Path(__file__).parents[2] / "deploy" / "compose" / "nginx.conf"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def deployed_config(folder: Path, port: int, gateways: list[int]) -> Path:
    """What is deployed, for other addresses and files below `folder`."""
    text = CONFIG.read_text(encoding="utf-8")
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8080", f"127.0.0.1:{gateway}")
    text = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", text)
    places = "".join(
        f"    {name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{places}", 1)
    text = f"daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'errors'} warn;\n{text}"
    if os.geteuid() == 0:
        text = f"user root;\n{text}"
    file = folder / "nginx.conf"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
async def behind(replicas: Replicas, tmp_path: Path) -> AsyncIterator[tuple[str, list[int]]]:
    """The URL of nginx, and the ports at which the gateways are."""
    port, first, second = spare_port(), spare_port(), spare_port()
    file = deployed_config(tmp_path, port, [first, second])
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(NGINX, "-c", str(file), stderr=asyncio.subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}", [first, second]
    process.terminate()
    await process.wait()


async def _is_used(url: str) -> bool:
    async with httpx2.AsyncClient(timeout=30) as http:
        return "modelgate_request_seconds_count" in (await http.get(f"{url}/metrics")).text


async def test_a_rolling_restart_behind_nginx_fails_no_call(
    replicas: Replicas, behind: tuple[str, list[int]], tmp_path: Path
) -> None:
    url, ports = behind
    urls = [await replicas.start(port) for port in ports]
    calls, failed, is_over = 0, [], False

    async def load(meta: dict[str, Any], headers: dict[str, str]) -> None:
        nonlocal calls
        params = {"name": "talker__echo", "arguments": {"text": "hello"}, **({"_meta": meta} if meta else {})}
        body = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
        async with httpx2.AsyncClient(timeout=30) as http:
            while not is_over:
                answer = await http.post(f"{url}/mcp", json=body, headers={"X-API-Key": replicas.key, **headers})
                calls += 1
                if answer.status_code != 200 or "hello" not in answer.text:
                    failed.append((answer.status_code, answer.text[:200]))
                await anyio.sleep(0.005)

    async def more_calls(number: int) -> None:
        wanted = calls + number
        await until(lambda: calls >= wanted, 60)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(load, {}, {})
            tasks.start_soon(load, MODERN, MODERN_HEADERS)
        await more_calls(50)
        for old, port in zip(urls, ports, strict=True):
            await replicas.stop(old)
            await more_calls(50)
            new = await replicas.start(port)
            await until(lambda new=new: counts_members(new, 2))  # type: ignore[misc]
            # Until a second has passed nginx takes it for gone, and has nobody to ask once the other one stops.
            await until(lambda new=new: _is_used(new), 60)  # type: ignore[misc]
        is_over = True
    assert failed == [], (tmp_path / "errors").read_text()
