"""Bringing the tools of real servers into the catalogue."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.category_proposal import CATEGORY_TEXTS
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.catalog.sync.server_sync import SyncProgress
from gateway.components import Components, open_components
from gateway.errors import ConflictError, ModelGateError, UpstreamError, UpstreamReplyError
from gateway.settings import Settings
from gateway.upstream.pool import UpstreamPool
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed, tool
from tests.support.rows import rows
from tests.support.waiting import until
from tests.upstream.conftest import raw


async def exposed(url: str) -> dict[str, str]:
    """Exposed names of the tools that are there, by their own."""
    found = await rows(url, "SELECT name, exposed_name FROM tools WHERE removed_at IS NULL")
    return {row["name"]: row["exposed_name"] for row in found}


async def test_tools_are_added_changed_removed_and_come_back(
    parts: Components, database_url: str, tmp_path: Path
) -> None:
    server = await add_listed(parts, tmp_path, tool("stays"), tool("changes", "one"), tool("goes"))
    before = {row["name"]: row["id"] for row in await rows(database_url, "SELECT id, name FROM tools")}
    names = await exposed(database_url)

    server.lists(tool("stays"), tool("changes", "two"), tool("new"))
    report = await server.sync()
    assert (report.added, report.changed, report.removed, report.unchanged) == (("new",), ("changes",), ("goes",), 1)
    assert "goes" not in await exposed(database_url)

    server.lists(tool("stays"), tool("changes", "two"), tool("new"), tool("goes"))
    report = await server.sync()
    assert (report.added, report.embedded) == (("goes",), 0)
    after = {row["name"]: row["id"] for row in await rows(database_url, "SELECT id, name FROM tools")}
    assert after["goes"] == before["goes"]
    assert (await exposed(database_url))["goes"] == names["goes"]


async def test_a_sync_that_does_not_know_what_a_server_said_of_itself_leaves_what_it_said_before(
    parts: Components, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = (await tenant_by_slug(parts.database)).id
    spec = raw("handshake")
    new = ServerDefinition("Raw", "stdio", command=spec.command, args=spec.args)
    server_id = await parts.servers.add(tenant_id, new)
    said = "SELECT instructions, server_info, protocol_version, capabilities FROM servers"
    offered = "SELECT kind, definition, listed FROM offerings"
    await parts.sync.run(tenant_id, server_id)
    before = [dict(row) for row in [*await rows(database_url, said), *await rows(database_url, offered)]]
    assert "tools" in before[0]["capabilities"]
    monkeypatch.setattr(UpstreamPool, "session_info", lambda *_: None)
    await parts.sync.run(tenant_id, server_id)
    assert [dict(row) for row in [*await rows(database_url, said), *await rows(database_url, offered)]] == before


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_server_that_says_that_it_has_no_tools_is_synced_without_any(parts: Components, era: str) -> None:
    tenant_id = (await tenant_by_slug(parts.database)).id
    spec = raw(era)
    args = (*spec.args, "without-tools", "tools-refused")
    server_id = await parts.servers.add(
        tenant_id, ServerDefinition("Prompts", "stdio", command=spec.command, args=args)
    )
    report = await parts.sync.run(tenant_id, server_id)
    assert (report.added, report.skipped) == ((), ())
    (server,) = await parts.servers.list(tenant_id)
    assert (server.state, server.tool_count, server.sync_error) == ("synced", 0, None)


async def test_a_server_that_says_that_it_has_tools_and_does_not_list_them_fails(parts: Components) -> None:
    tenant_id = (await tenant_by_slug(parts.database)).id
    spec = raw("handshake")
    new = ServerDefinition("Broken", "stdio", command=spec.command, args=(*spec.args, "tools-refused"))
    server_id = await parts.servers.add(tenant_id, new)
    with pytest.raises(UpstreamReplyError):
        await parts.sync.run(tenant_id, server_id)


async def test_a_listing_whose_pages_repeat_is_taken_and_said_to_be_odd(parts: Components) -> None:
    tenant_id = (await tenant_by_slug(parts.database)).id
    spec = raw("circle")
    server_id = await parts.servers.add(
        tenant_id, ServerDefinition("Circle", "stdio", command=spec.command, args=spec.args)
    )
    result = await parts.sync.run(tenant_id, server_id)
    assert result.added == ("echo",)
    assert "repeat themselves" in result.notice


async def test_tools_that_are_listed_without_being_announced_are_taken(parts: Components) -> None:
    tenant_id = (await tenant_by_slug(parts.database)).id
    spec = raw("handshake")
    new = ServerDefinition("Shy", "stdio", command=spec.command, args=(*spec.args, "without-tools"))
    report = await parts.sync.run(tenant_id, await parts.servers.add(tenant_id, new))
    assert report.added == ("echo",)


async def test_a_tool_that_comes_back_has_its_rules(parts: Components, database_url: str, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("a"), tool("b"))
    await rows(
        database_url,
        """INSERT INTO role_rules (tenant_id, role_id, tool_id, visibility)
           SELECT t.tenant_id, r.id, t.id, 'ALLOW' FROM tools t, roles r WHERE t.name = 'a' AND r.name = 'all'""",
    )
    seen = "SELECT v.visibility::text FROM role_tools v JOIN tools t ON t.id = v.tool_id WHERE t.name = 'a'"
    server.lists(tool("b"))
    await server.sync()
    assert await rows(database_url, seen) == []
    server.lists(tool("a"), tool("b"))
    await server.sync()
    assert [row["visibility"] for row in await rows(database_url, seen)] == ["ALLOW"]


async def test_every_kind_of_tool_name_gets_a_name_for_clients(
    parts: Components, database_url: str, tmp_path: Path
) -> None:
    odd = ["getWeather", "files.read", "files/read", "a__b", "ümlaut", "x" * 128, "with space", "日本"]
    server = await add_listed(parts, tmp_path, *(tool(name) for name in odd))
    names = await exposed(database_url)
    assert set(names) == set(odd)
    assert len(set(names.values())) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names.values())
    assert names["getWeather"] == "listed__getWeather"
    assert names["files.read"] == "listed__files_read"
    assert re.fullmatch(r"listed__files_read_[0-9a-f]{6}", names["files/read"])
    await server.sync()
    assert await exposed(database_url) == names


async def test_two_servers_never_share_an_exposed_name(parts: Components, database_url: str, tmp_path: Path) -> None:
    await add_listed(parts, tmp_path, tool("b__c"), name="a")
    await add_listed(parts, tmp_path, tool("c"), name="a b")
    await add_listed(parts, tmp_path, tool("c"), name="A-B")
    found = await rows(database_url, "SELECT exposed_name FROM tools ORDER BY id")
    assert [row["exposed_name"] for row in found] == ["a__b__c", "a_b__c", "a_b_2__c"]


async def test_a_malformed_tool_is_left_out_and_told_on_the_record(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(
        parts, tmp_path, tool("good"), {"name": "bad", "inputSchema": {"type": "string"}}, 7, tool("fine")
    )
    record = await server.record()
    assert (record.tool_count, record.state) == (2, "synced")
    assert [skipped["name"] for skipped in record.skipped_tools] == ["bad", "(number 3)"]
    server.lists(tool("good"), tool("fine"))
    await server.sync()
    assert (await server.record()).skipped_tools == ()


async def test_a_tool_that_cannot_be_read_costs_itself_and_not_its_servers_list(
    parts: Components, tmp_path: Path
) -> None:
    server = await add_listed(parts, tmp_path)
    deep, steep = ('{"a":' * levels + "1" + "}" * levels for levels in (10_000, 150))
    number = "9" * 5_000
    tools = (
        json.dumps(tool("fine")),
        f'{{"name":"deep","inputSchema":{{"type":"object","properties":{deep}}}}}',
        f'{{"name":"long","inputSchema":{{"type":"object","maximum":{number}}}}}',
        f'{{"name":"steep","inputSchema":{{"type":"object","properties":{steep}}}}}',
        json.dumps(tool("good")),
    )
    server.lists(line=f'{{"jsonrpc":"2.0","id":$id,"result":{{"tools":[{",".join(tools)}]}}}}')
    report = await server.sync()
    assert report.added == ("fine", "good")
    assert [(skipped.name, skipped.reason) for skipped in report.skipped] == [
        ("deep", "its definition is nested too deeply"),
        ("long", "it holds a number of thousands of digits"),
        ("steep", "its definition is nested too deeply"),
    ]


async def test_every_page_is_read(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, *(tool(f"tool{n}") for n in range(25)), page=10)
    assert (await server.record()).tool_count == 25


@pytest.mark.parametrize("line", ["this is no JSON", '{"jsonrpc": "2.0", "id": 1, "result": {"tools": 5}}', "[]", "{}"])
async def test_a_reply_that_cannot_be_read_is_a_failure_and_not_zero_tools(
    parts: Components, tmp_path: Path, line: str
) -> None:
    server = await add_listed(parts, tmp_path, tool("kept"))
    server.lists(line=line)
    await rows(parts.database.url, """UPDATE servers SET limits = '{"list_timeout_seconds": 0.5}'""")
    await parts.database.execute("bump_catalogue_version", server.tenant_id)
    with pytest.raises(UpstreamError):
        await server.sync()
    record = await server.record()
    assert (record.tool_count, record.state) == (1, "failing")
    assert record.sync_error


async def test_a_listing_that_is_truly_empty_removes_the_tools(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("gone"))
    server.lists()
    assert (await server.sync()).removed == ("gone",)
    assert (await server.record()).state == "synced"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("exit", "exited with code 7"),
        ("silent", "did not answer within 3 s"),
        ("noise", "does not speak MCP; it says 'Server is up and running!'"),
        ("missing", "there is no command '/no/such/command'"),
    ],
)
async def test_a_server_that_does_not_work_says_so_and_the_others_do(
    parts: Components, tmp_path: Path, mode: str, said: str
) -> None:
    good = await add_listed(parts, tmp_path, tool("a"))
    spec = raw(mode)
    tenant = await tenant_by_slug(parts.database)
    command = "/no/such/command" if mode == "missing" else spec.command
    bad = await parts.servers.add(tenant.id, ServerDefinition("Bad", "stdio", command=command, args=spec.args))
    await parts.servers.set_tuning(tenant.id, bad, Tuning(start_timeout_seconds=3.0))
    outcomes = await asyncio.gather(good.sync(), parts.sync.run(tenant.id, bad), return_exceptions=True)
    assert not isinstance(outcomes[0], BaseException)
    assert isinstance(outcomes[1], UpstreamError)
    record = await parts.servers.get_by_name(tenant.id, "Bad")
    assert record.state == "failing"
    assert said in str(record.sync_error)
    assert (await good.record()).state == "synced"


async def test_a_failure_is_forgotten_after_a_sync_that_goes_well(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("a"))
    server.file.write_text("no JSON")
    with pytest.raises(ModelGateError):
        await server.sync()
    assert (await server.record()).state == "failing"
    server.lists(tool("a"))
    await server.sync()
    assert (await server.record()).state == "synced"


async def test_each_text_is_embedded_once_and_nothing_twice(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    same = [tool("search", "Find things", q="what to find"), tool("list", "Find things")]
    server = await add_listed(served, tmp_path, *same)
    documents = [text.removeprefix("search_document: ") for text in embedder.embedded if "search_document: " in text]
    assert sorted(documents) == sorted(set(documents))
    assert set(CATEGORY_TEXTS) <= set(documents)
    # Two names, two combined texts, and the description that both share.
    assert len(documents) == 5 + len(CATEGORY_TEXTS)

    embedder.clear()
    report = await server.sync()
    assert (report.embedded, embedder.requests) == (0, [])

    server.lists(*same, tool("list_all", "Find everything"))
    await server.sync()
    assert len(embedder.embedded) == 3


async def test_each_step_of_a_sync_is_told(served: Components, tmp_path: Path) -> None:
    server = await add_listed(served, tmp_path, tool("a"))
    server.lists(*(tool(f"tool_{number}", f"Does number {number}") for number in range(5)))
    heard: list[SyncProgress] = []
    await served.sync.run((await tenant_by_slug(served.database)).id, server.id, heard.append)
    # A server that takes its time to start says so in between.
    steps = [(progress.step, progress.done, progress.total) for progress in heard if progress.step != "start"]
    assert steps == [("list", 0, 0), ("compare", 0, 0), ("embed", 0, 15), ("store", 15, 15), ("done", 0, 0)]


async def test_another_process_that_syncs_what_has_not_changed_asks_the_embedder_nothing(
    served_settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    server = await add_listed(served, tmp_path, tool("search", "Find things"))
    embedder.clear()
    async with open_components(served_settings) as parts:
        report = await parts.sync.run((await tenant_by_slug(parts.database)).id, server.id)
    assert (report.embedded, embedder.embedded) == (0, [])


async def test_a_server_is_synced_once_at_a_time(parts: Components, settings: Settings) -> None:
    tenant = await tenant_by_slug(parts.database)
    spec = raw("silent")
    server_id = await parts.servers.add(
        tenant.id, ServerDefinition("Silent", "stdio", command=spec.command, args=spec.args)
    )
    first = asyncio.create_task(parts.sync.run(tenant.id, server_id))
    await until(lambda: parts.pool.status(server_id).state == "starting")
    async with open_components(settings) as others:
        for each in (parts, others):
            with pytest.raises(ConflictError, match="Silent is being synced already; wait"):
                await each.sync.run(tenant.id, server_id)
    await parts.pool.close_server(server_id)
    with pytest.raises(UpstreamError):
        await first


async def test_more_syncs_than_connections_leave_some_for_requests(parts: Components, tmp_path: Path) -> None:
    tenant = await tenant_by_slug(parts.database)
    spec = raw("silent")
    for number in range(6):
        new = ServerDefinition(f"Silent {number}", "stdio", command=spec.command, args=spec.args)
        await parts.servers.add(tenant.id, new)
    servers = await parts.servers.list(tenant.id)
    syncs = [asyncio.create_task(parts.sync.run(tenant.id, server.id)) for server in servers]
    await until(lambda: all(parts.pool.status(server.id).state == "starting" for server in servers))
    answers = await asyncio.gather(*(parts.database.fetch("applied_migrations") for _ in range(4)))
    assert all(answers)
    assert not any(sync.done() for sync in syncs)
    for server in servers:
        await parts.pool.close_server(server.id)
    outcomes = await asyncio.gather(*syncs, return_exceptions=True)
    assert all(isinstance(outcome, UpstreamError) for outcome in outcomes)


async def test_what_an_upstream_says_of_itself_may_hold_any_character(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("a"))
    error = r'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "bad \u0000 \ud800 end"}}'
    server.lists(line=error.replace('"id": 1', '"id": %d'))
    await rows(parts.database.url, """UPDATE servers SET limits = '{"list_timeout_seconds": 0.5}'""")
    with pytest.raises(ModelGateError):
        await server.sync()
    assert (await server.record()).state == "failing"
