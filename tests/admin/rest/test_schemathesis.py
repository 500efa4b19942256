"""The whole REST API, fuzzed from its own description: unauthenticated, as a viewer, and as an admin."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.admin.accounts.account import Accounts, AdminRole
from gateway.admin.accounts.password import PasswordHasher
from gateway.admin.accounts.token import ApiTokens
from gateway.components import open_components
from gateway.settings import Settings
from tests.doubles.ollama_server import OllamaServer
from tests.support.gateway import RunningGateway, add_local_mcp, running_gateway

# To who may do less every operation answers alike, so one request to each tells as much as many.
_EXAMPLES: dict[AdminRole | None, int] = {"admin": 3, "viewer": 1, None: 1}
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    """One without models, so that the builtin embedder is in use."""
    with OllamaServer() as ollama:
        yield ollama


@pytest.fixture
async def fuzzed(settings: Settings, ollama: OllamaServer, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway on which made-up commands and addresses fail at once."""
    hasty = replace(
        settings,
        embedder=replace(settings.embedder, type="auto", base_url=ollama.url),
        guards=replace(settings.guards, commands=("there-is-no-such-command", sys.executable)),
        upstream=replace(settings.upstream, connect_timeout_seconds=0.3, list_timeout_seconds=2.0),
    )
    async with open_components(hasty) as parts, running_gateway(parts) as running:
        await add_local_mcp(parts, tmp_path, sync=False)
        yield running


@pytest.mark.parametrize("role", ["admin", "viewer", None])
async def test_no_request_breaks_the_api_or_gets_past_its_role(
    fuzzed: RunningGateway, role: AdminRole | None, tmp_path: Path
) -> None:
    before = await _state(fuzzed)
    token = await _token(fuzzed, role)
    report = tmp_path / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{fuzzed.url}/api/openapi.json"),
        *("--phases", "fuzzing", "--max-examples", str(_EXAMPLES[role]), "--seed", "20261121", "--no-shrink"),
        *("--continue-on-failure", "--suppress-health-check", "all", "--checks", ",".join(_CHECKS)),
        *("--request-timeout", "10", "--report-json-path", str(report), "--warnings", "off", "--workers", "1"),
    ]
    if token is not None:
        command += ["-H", f"Authorization: Bearer {token}"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode(errors="replace")[-20_000:]
    if role != "admin":
        assert await _state(fuzzed) == before


async def _token(gateway: RunningGateway, role: AdminRole | None) -> str | None:
    if role is None:
        return None
    account = await Accounts(gateway.parts.database, PasswordHasher()).create("fuzz", "only for this run", role)
    return (await ApiTokens(gateway.parts.database).create(account.id, "fuzz", role, None)).token


async def _state(gateway: RunningGateway) -> str:
    """What nobody but an admin may change."""
    tenant = await tenant_by_slug(gateway.parts.database)
    rows = {
        name: [str(row) for row in await gateway.parts.database.fetch(name, tenant.id)]
        for name in ("list_roles", "list_keys")
    }
    servers = [(server.name, server.enabled, server.url) for server in await gateway.parts.servers.list(tenant.id)]
    return json.dumps([rows, servers], default=str)
