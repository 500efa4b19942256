"""The example program, as it is started."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from gateway.access.tenants import tenant_by_slug
from tests.support.gateway import RunningGateway, add_local_mcp

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_tools.py"


async def test_a_tool_is_found_and_called_with_the_sdk_and_with_plain_http(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    tenant = await tenant_by_slug(gateway.parts.database)
    key = (await gateway.parts.keys.create(tenant.id, "example", ["all"])).key
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), gateway.mcp, "calculate math expressions", '{"expression": "6 * 7"}'),
        env={**os.environ, "MODELGATE_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert out.decode().count("local_mcp__calculator says") == 2
    assert out.decode().count("42") == 2


async def test_without_arguments_it_says_how_it_is_used() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert err.decode().startswith("Usage:\n")
    assert "python search_tools.py http://" in err.decode()
