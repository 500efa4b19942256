"""Which searches led to a tool, told apart by who made them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.access.caller import Caller
from gateway.access.tool_names import tool_by_name
from gateway.admin.services.tools.examples import ExampleService
from gateway.audit.call_log import CallLog
from gateway.components import Components
from gateway.telemetry.metrics import Metrics
from tests.support.gateway import add_local_mcp
from tests.support.waiting import until


def key(number: int) -> Caller:
    return Caller(1, number, "build", (1,))


def person(subject: str) -> Caller:
    return Caller(1, 0, "Anna", (1,), subject=subject, issuer="https://login.example")


CASES = {
    "the same key": (key(5), key(5), "this"),
    "a key that got another name meanwhile": (key(6), replace(key(6), key_name="build of today"), "this"),
    "another key of the same name": (key(7), key(8), "nothing"),
    "the same person": (person("anna"), person("anna"), "this"),
    "another person of the same name": (person("ann"), person("anne"), "nothing"),
    "another person of the same subject": (
        person("anni"),
        replace(person("anni"), issuer="https://another.example"),
        "nothing",
    ),
}


async def test_a_search_led_to_what_its_own_searcher_called(parts: Components, tmp_path: Path) -> None:
    await add_local_mcp(parts, tmp_path)
    tool = await tool_by_name(parts.database, 1, "local_mcp__calculator")
    log = CallLog(parts.recorder, Metrics())
    for query, (searcher, caller, _) in CASES.items():
        async with log.search(searcher) as search:
            search.set_queries([query])
            search.set_results(1, [tool.id])
        async with log.call(caller, tool.exposed_name, {}) as call:
            call.set_tool(tool.id, tool.server_id, "Local MCP")
            call.set_outcome("ok")
    service = ExampleService(parts.database, parts.examples, parts.learner)

    async def are_written() -> bool:
        return parts.recorder.state().waiting == 0

    await until(are_written)
    found = {each.query: each.led_to for each in await service.searches(1, tool.id)}
    assert found == {query: led_to for query, (_, _, led_to) in CASES.items()}
