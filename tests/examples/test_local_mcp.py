"""Local MCP over stdio, used by the SDK's client as any MCP client uses it."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from gateway.cli.demo.listing import examples_directory


@asynccontextmanager
async def local_mcp(root: Path, mode: str = "auto") -> AsyncIterator[Client]:
    script = str(examples_directory() / "local_mcp.py")
    server = StdioServerParameters(command=sys.executable, args=[script, "--root", str(root)])
    async with Client(stdio_client(server), mode=mode) as client:
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_both_protocol_eras_list_four_read_only_tools_with_described_parameters(
    mode: str, tmp_path: Path
) -> None:
    async with local_mcp(tmp_path, mode) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["calculator", "get_weather", "get_system_info", "search_files"]
        for tool in tools:
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True
            assert tool.description
            assert tool.output_schema
            assert all(parameter.get("description") for parameter in tool.input_schema["properties"].values())
        assert (await answer(client, "calculator", expression="6 * 7"))["result"] == 42


async def test_the_calculator_calculates(tmp_path: Path) -> None:
    expected = {
        "2 * (3 + 4) ** 2": 98,
        " -7 // 2 ": -4,
        "7 % 3 + 1.5": 2.5,
        "sqrt(2) ** 2": math.sqrt(2) ** 2,
        "round(pi, 2)": 3.14,
        "round(2.6)": 3,
        "max(3, min(9, 5), 4)": 5,
        "factorial(20)": math.factorial(20),
        "2 ** 200": 2**200,
        "2 ** -1": 0.5,
        "log(e)": 1,
        "+".join(["1"] * 200): 200,
    }
    async with local_mcp(tmp_path) as client:
        for expression, value in expected.items():
            assert (await answer(client, "calculator", expression=expression))["result"] == pytest.approx(value)


async def test_the_calculator_refuses_what_is_not_arithmetic_or_too_large(tmp_path: Path) -> None:
    expected = {
        "": "not an arithmetic expression",
        "2 +": "not an arithmetic expression",
        "1\x00": "not an arithmetic expression",
        "(" * 300: "not an arithmetic expression",
        "1 / 0": "divides by zero",
        "0 ** -1": "divides by zero",
        "9 ** 9 ** 9": "larger than 4096 bits",
        "10 ** (10 ** 300)": "larger than 4096 bits",
        "factorial(100000)": "from 0 to 400",
        "factorial(2.5)": "from 0 to 400",
        "round(5, -1000000000)": "from -300 to 300",
        "10.0 ** 400": "too large",
        "1e308 * 10": "not a finite number",
        "1e308 * 10 - 1e308 * 10": "not a finite number",
        "(-8) ** 0.5": "not a real number",
        "sqrt(-1)": "cannot be calculated",
        "sqrt(1, 2)": "cannot be calculated",
        "2 ^ 3": "**",
        "x + 1": "'x' is not known",
        "open('/etc/passwd')": "'open' is not a known function",
        "__import__('os').system('true')": "Only arithmetic",
        "(1).__class__": "Only arithmetic",
        "[1, 2]": "Only arithmetic",
        "'a' * 100": "Only arithmetic",
        "True + 1": "Only arithmetic",
        "2j": "Only arithmetic",
        "round(2.5, ndigits=1)": "Only arithmetic",
        "-" * 400 + "1": "nested more than",
        "1" * 501: "longer than 500",
    }
    async with local_mcp(tmp_path) as client:
        for expression, reason in expected.items():
            assert reason in await refusal(client, "calculator", expression=expression), expression
        assert "expression" in await refusal(client, "calculator")


async def test_weather_is_typical_for_a_month_and_says_that_it_is_no_forecast(tmp_path: Path) -> None:
    async with local_mcp(tmp_path) as client:
        summer = await answer(client, "get_weather", city="tokyo, Japan", month=8)
        winter = await answer(client, "get_weather", city="Tokyo", month=1)
        assert (summer["city"], summer["month"]) == ("Tokyo", "August")
        assert summer["typical_low_celsius"] > winter["typical_high_celsius"]
        assert "not a forecast" in summer["note"]
        assert (await answer(client, "get_weather", city="Sao Paulo"))["city"] == "São Paulo"
        assert "There are no figures for 'Atlantis'" in await refusal(client, "get_weather", city="Atlantis")
        assert "month" in await refusal(client, "get_weather", city="Tokyo", month=13)


async def test_every_city_has_twelve_months_with_highs_above_lows(tmp_path: Path) -> None:
    async with local_mcp(tmp_path) as client:
        cities = (await refusal(client, "get_weather", city="Atlantis")).split("has ")[1].rstrip(".").split(", ")
        assert len(cities) > 20
        for city in cities:
            for month in (1, 7, 12):
                typical = await answer(client, "get_weather", city=city, month=month)
                assert typical["typical_low_celsius"] < typical["typical_high_celsius"], city


async def test_system_information_is_this_machine(tmp_path: Path) -> None:
    async with local_mcp(tmp_path) as client:
        info = await answer(client, "get_system_info")
    assert info["operating_system"] == platform.system()
    assert info["cpu_count"] == os.cpu_count()
    assert info["disk_total_bytes"] > info["disk_free_bytes"] > 0
    assert info["memory_total_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert info["uptime_seconds"] > 0


async def test_files_are_found_by_part_of_the_name_by_glob_and_by_path(tmp_path: Path) -> None:
    for name in ("report.md", "docs/Report-2.txt", "docs/deep/er/notes.md", ".git/report", "data.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345", encoding="utf-8")
    expected = {
        "report": ["report.md", "docs/Report-2.txt"],
        "*.md": ["report.md", "docs/deep/er/notes.md"],
        "docs/*": ["docs/Report-2.txt"],
        "docs/**": ["docs/Report-2.txt", "docs/deep/er/notes.md"],
        "docs/**/*.md": ["docs/deep/er/notes.md"],
        "**/*.txt": ["docs/Report-2.txt"],
        "?ata.[c]sv": ["data.csv"],
        "nothing": [],
    }
    async with local_mcp(tmp_path) as client:
        for pattern, paths in expected.items():
            found = await answer(client, "search_files", pattern=pattern)
            assert [file["path"] for file in found["files"]] == paths, pattern
            assert found["truncated"] is False
            assert all(file["size_bytes"] == 5 for file in found["files"])
        first = await answer(client, "search_files", pattern="*", max_results=1)
        assert (len(first["files"]), first["truncated"]) == (1, True)
        assert "max_results" in await refusal(client, "search_files", pattern="*", max_results=201)


async def test_no_pattern_and_no_link_leads_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    async with local_mcp(root) as client:
        for pattern in ("../*", "/etc/*", "~/x", "inside/../../*", "", "/"):
            assert await refusal(client, "search_files", pattern=pattern)
        for pattern in ("**", "link/*", "secret*"):
            assert (await answer(client, "search_files", pattern=pattern))["files"] == []
