"""Guards around calls of tools, as clients, servers and the trace see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.access.roles import create_role, role_by_name
from gateway.guards.rule import GuardRule
from gateway.masking import MASK
from tests.downstream.conftest import AddTalker
from tests.guards.webhook.judge import SECRET, Judge
from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway
from tests.support.listed import ListedServer, add_listed

TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cD1fG3iJ5"
MAIL = "anna@example.org"
TOOLS = (
    {"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}},
    {
        "name": "look",
        "description": "Looks it up",
        "inputSchema": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "outputSchema": {
            "type": "object",
            "properties": {"owner": {"type": "string"}, "number": {"type": "integer"}},
            "required": ["owner"],
        },
    },
)


@pytest.fixture
async def server(gateway: RunningGateway, tmp_path: Path) -> ListedServer:
    return await add_listed(gateway.parts, tmp_path, *TOOLS)


async def guard(server: ListedServer, name: str, kind: Any, action: Any, **more: Any) -> None:
    await server.parts.guards.rules.set(server.tenant_id, GuardRule(name, kind, action, **more))


def first_text(result: Any) -> str:
    return str(result["content"][0]["text"])


def arrived(result: Any) -> Any:
    """The arguments that the server was given."""
    return json.loads(first_text(result))["arguments"]


async def last_call(gateway: RunningGateway, calls: int) -> Any:
    """The newest of so many calls in the trace."""
    return (await audit_rows(gateway.parts.database, action="tool.call", wanted=calls))[0]


async def test_secrets_in_arguments_are_seen_masked_or_refused_as_the_rule_says_and_none_is_in_the_trace(
    gateway: RunningGateway, server: ListedServer
) -> None:
    given = {"text": f"use {TOKEN}", "deep": [{TOKEN: 1}]}
    assert arrived(await gateway.call("listed__echo", given)) == given

    await guard(server, "keys", "secrets", "observe", stages=("arguments",))
    assert arrived(await gateway.call("listed__echo", given)) == given
    row = await last_call(gateway, 2)
    assert row["details"]["guards"] == [
        {"rule": "keys", "guard": "secrets", "stage": "arguments", "verdict": "observed", "count": 2}
    ]

    await guard(server, "keys", "secrets", "mask", stages=("arguments",))
    assert arrived(await gateway.call("listed__echo", given)) == {"text": f"use {MASK}", "deep": [{MASK: 1}]}

    await guard(server, "keys", "secrets", "deny", stages=("arguments",))
    refused = await gateway.call("tool_call", {"name": "Listed/echo", "arguments": given})
    assert refused["isError"]
    assert first_text(refused) == (
        "The guard keys has refused the call: the arguments hold 2 tokens; change them and call again."
    )
    row = await last_call(gateway, 4)
    assert row["outcome"] == "denied"
    assert row["details"]["guards"][0]["verdict"] == "denied"
    assert "guard keys" in row["details"]["error"]
    for each in await audit_rows(gateway.parts.database, action="tool.call"):
        assert TOKEN not in json.dumps(each["details"])
    assert arrived(await gateway.call("listed__echo", {"text": "plain"})) == {"text": "plain"}


async def test_personal_data_in_arguments_is_in_the_trace_no_more_than_it_is_sent(
    gateway: RunningGateway, server: ListedServer
) -> None:
    await guard(server, "people", "personal", "observe", stages=("arguments",), position=1)
    await guard(server, "keys", "secrets", "mask", stages=("arguments",), position=2)
    assert arrived(await gateway.call("listed__echo", {"to": MAIL, "key": TOKEN})) == {"to": MAIL, "key": MASK}
    row = await last_call(gateway, 1)
    assert row["details"]["arguments"] == {"to": MASK, "key": MASK}
    assert [(each["rule"], each["verdict"]) for each in row["details"]["guards"]] == [
        ("people", "observed"),
        ("keys", "masked"),
    ]


async def test_a_masked_result_says_the_same_in_its_text_and_in_its_structured_content(
    gateway: RunningGateway, server: ListedServer
) -> None:
    value = {"owner": f"{MAIL} of 4111 1111 1111 1111", "number": 5}
    text = json.dumps(value, indent=2)
    blocks = [{"type": "text", "text": text}, {"type": "text", "text": f"Ask {MAIL}."}]
    server.lists(*TOOLS, result={"content": blocks, "structuredContent": value})
    await guard(server, "people", "personal", "mask", stages=("result",))
    result = await gateway.call("listed__look", {"id": 1})
    assert result["structuredContent"] == {"owner": f"{MASK} of {MASK}", "number": 5}
    assert first_text(result) == json.dumps(result["structuredContent"], indent=2)
    assert result["content"][1]["text"] == f"Ask {MASK}."
    assert (await last_call(gateway, 1))["details"]["guards"][0]["verdict"] == "masked"


async def test_what_structured_content_calls_as_the_protocol_calls_files_and_types_is_text_as_any_other(
    gateway: RunningGateway, server: ListedServer
) -> None:
    await guard(server, "keys", "secrets", "mask", stages=("result",))
    for value in (
        {"owner": "a", "mimeType": TOKEN},
        {"owner": "a", "requestState": TOKEN},
        {"owner": "a", "blob": TOKEN},
        {"owner": "a", "of": {"type": "image", "data": TOKEN}},
    ):
        text = {"type": "text", "text": json.dumps(value)}
        server.lists(*TOOLS, result={"content": [text], "structuredContent": value, "_meta": {"blob": TOKEN}})
        result = await gateway.call("listed__look", {"id": 1})
        assert TOKEN not in json.dumps(result)
        assert json.loads(first_text(result)) == result["structuredContent"]
    picture = {"type": "image", "data": TOKEN, "mimeType": "image/png"}
    server.lists(*TOOLS, result={"content": [picture]})
    assert (await gateway.call("listed__echo"))["content"] == [picture]


async def test_a_result_that_would_no_longer_fit_its_output_schema_is_an_error_that_says_so(
    gateway: RunningGateway, server: ListedServer
) -> None:
    value = {"owner": "nobody", "number": 4111111111111111}
    server.lists(*TOOLS, result={"content": [{"type": "text", "text": json.dumps(value)}], "structuredContent": value})
    await guard(server, "people", "personal", "mask", stages=("result",), fail="open")
    result = await gateway.call("listed__look", {"id": 1})
    assert result["isError"]
    assert "structuredContent" not in result
    assert "were changed by it, and then do not fit the tool's outputSchema" in first_text(result)
    assert "/number" in first_text(result)
    assert "4111" not in json.dumps(result)
    assert (await last_call(gateway, 1))["outcome"] == "denied"


async def test_arguments_and_results_are_held_against_what_the_tool_says_of_them(
    gateway: RunningGateway, server: ListedServer
) -> None:
    await guard(server, "shape", "schema", "deny")
    wrong = await gateway.call("listed__look", {"id": "secret value"})
    assert wrong["isError"]
    assert "the arguments do not fit what the tool says of them: /id does not fit its type" in first_text(wrong)
    assert "secret value" not in first_text(wrong)
    server.lists(*TOOLS, result={"content": [], "structuredContent": {"number": 1}})
    assert "required" in first_text(await gateway.call("listed__look", {"id": 1}))
    server.lists(*TOOLS, result={"content": [], "structuredContent": {"owner": "a"}})
    assert (await gateway.call("listed__look", {"id": 1}))["structuredContent"] == {"owner": "a"}
    server.lists(*TOOLS, result={"content": [{"type": "text", "text": "not found"}], "isError": True})
    assert first_text(await gateway.call("listed__look", {"id": 1})) == "not found"


async def test_a_rule_holds_for_its_role_server_pattern_and_category_only_and_a_change_holds_at_once(
    gateway: RunningGateway, server: ListedServer
) -> None:
    given = {"text": TOKEN}
    rules, tenant_id = gateway.parts.guards.rules, server.tenant_id
    await create_role(gateway.parts.database, tenant_id, "others")
    others = (await role_by_name(gateway.parts.database, tenant_id, "others")).id
    everyone = (await role_by_name(gateway.parts.database, tenant_id, "all")).id
    for narrowed, holds in (
        ({"role_id": others}, False),
        ({"role_id": everyone}, True),
        ({"server_id": server.id}, True),
        ({"pattern": "*__look"}, False),
        ({"pattern": "LISTED__e*"}, True),
        ({"category": "messaging"}, False),
        ({"subjects": ("prompts", "resources")}, False),
        ({"enabled": False}, False),
    ):
        await guard(server, "keys", "secrets", "deny", **narrowed)
        assert (await gateway.call("listed__echo", given)).get("isError", False) is holds, narrowed
    await guard(server, "keys", "secrets", "deny")
    assert (await gateway.call("listed__echo", given))["isError"]
    await rules.remove(tenant_id, "keys")
    assert arrived(await gateway.call("listed__echo", given)) == given


async def test_prompts_and_resources_are_guarded_by_rules_that_name_them(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    rules = gateway.parts.guards.rules
    asked = {"name": "talker__greet", "arguments": {"who": MAIL}}
    uri = f"note://Talker/{MAIL}"

    async def set_action(action: Any, **more: Any) -> None:
        await rules.set(1, GuardRule("people", "personal", action, subjects=("prompts", "resources"), **more))

    await set_action("mask")
    prompt = await gateway.request("prompts/get", asked)
    assert MASK in prompt["result"]["messages"][0]["content"]["text"]
    assert MAIL not in json.dumps(prompt)
    error = (await gateway.request("resources/read", {"uri": uri}))["error"]
    assert (error["code"], "would change the address" in error["message"]) == (-31422, True)
    await set_action("mask", stages=("result",))
    contents = (await gateway.request("resources/read", {"uri": uri}))["result"]["contents"]
    assert contents == [{"uri": uri, "text": f"Talker has note://Talker/{MASK}"}]
    await set_action("deny")
    for method, params in (("prompts/get", asked), ("resources/read", {"uri": uri})):
        error = (await gateway.request(method, params))["error"]
        assert error["code"] == -31422
        assert error["message"].startswith("The guard people has refused the call: the arguments hold 1 mail;")
    rows = await audit_rows(gateway.parts.database, action="resource.read", wanted=3)
    assert rows[0]["details"]["guards"][0] == {
        "rule": "people",
        "guard": "personal",
        "stage": "arguments",
        "verdict": "denied",
        "count": 1,
    }
    rows += await audit_rows(gateway.parts.database, action="prompt.get", wanted=2)
    assert [row for row in rows if row["outcome"] == "denied" and MAIL in str([row["target"], row["details"]])] == []


async def test_an_error_of_the_server_is_guarded_as_a_result_is(
    gateway: RunningGateway, add_talker: AddTalker, server: ListedServer
) -> None:
    await add_talker()
    answered = (await gateway.request("tools/call", {"name": "talker__refuse"}))["error"]
    await guard(server, "small", "size", "deny", stages=("result",), options={"max_bytes": 20})
    withheld = (await gateway.request("tools/call", {"name": "talker__refuse"}))["result"]
    assert "The guard small withholds what the server answered" in first_text(withheld)
    await guard(server, "small", "size", "observe", stages=("result",), options={"max_bytes": 20})
    assert (await gateway.request("tools/call", {"name": "talker__refuse"}))["error"] == answered


async def test_no_error_of_a_server_goes_past_the_guards_whatever_was_asked_for(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    misfit = {"name": "talker__misfit", "arguments": {"code": -31999, "message": f"it is {TOKEN}", "data": TOKEN}}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("tools/call", misfit),
        # As a client comes back with an answer, which nobody has asked for.
        ("tools/call", {**misfit, "inputResponses": {}}),
        ("prompts/get", {"name": "talker__greet", "arguments": {"who": f"refuse {TOKEN}"}}),
        ("resources/read", {"uri": f"note://Talker/refuse/{TOKEN}"}),
    ]
    subjects: Any = ("tools", "prompts", "resources")
    for action, left in (("mask", -31999), ("deny", -31422)):
        rule = GuardRule("keys", "secrets", action, stages=("result",), subjects=subjects)  # type: ignore[arg-type]
        await gateway.parts.guards.rules.set(1, rule)
        for method, params in asked:
            answer = await gateway.request(method, params)
            assert TOKEN not in json.dumps(answer)
            assert answer["result"]["isError"] if "result" in answer else answer["error"]["code"] == left


async def test_arguments_of_a_prompt_that_are_no_object_go_nowhere(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    error = (await gateway.request("prompts/get", {"name": "talker__greet", "arguments": [TOKEN]}))["error"]
    assert error["message"] == "params.arguments has to be an object."


async def test_a_webhook_judges_calls_by_the_rule_that_names_it(gateway: RunningGateway, server: ListedServer) -> None:
    async with Judge().running() as judge:
        rule = GuardRule("judge", "webhook", "mask", stages=("arguments",), budget_ms=5_000, options={"url": judge.url})
        await gateway.parts.guards.rules.set(server.tenant_id, rule, secret=SECRET)
        judge.answer = {"verdict": "change", "content": {"text": "changed"}}
        assert arrived(await gateway.call("listed__echo", {"text": "given"})) == {"text": "changed"}
        judge.answer = {"verdict": "allow", "name": "listed__look"}
        assert "which it cannot say" in first_text(await gateway.call("listed__echo", {"text": "given"}))
        judge.answer = {"verdict": "deny", "reason": "not today"}
        assert "(not today)" in first_text(await gateway.call("listed__echo", {"text": "given"}))
        assert [asked["name"] for asked in judge.asked] == ["listed__echo"] * 3
        rows = await audit_rows(gateway.parts.database, action="tool.call", wanted=3)
        verdicts = [row["details"]["guards"][0]["verdict"] for row in rows]
        assert verdicts == ["denied", "failed", "masked"]
        metrics = gateway.parts.metrics.exposition().decode()
        assert 'modelgate_guard_seconds_count{guard="webhook",verdict="masked"} 1.0' in metrics


async def test_what_a_webhook_takes_out_is_not_in_the_trace_either_where_a_guard_before_it_observes(
    gateway: RunningGateway, server: ListedServer
) -> None:
    async with Judge().running() as judge:
        await guard(server, "people", "personal", "observe", stages=("arguments",), position=1)
        rule = GuardRule(
            "judge", "webhook", "mask", stages=("arguments",), budget_ms=5_000, position=2, options={"url": judge.url}
        )
        await gateway.parts.guards.rules.set(server.tenant_id, rule, secret=SECRET)
        judge.answer = {"verdict": "change", "content": {"to": MAIL, "text": "somebody"}}
        given = {"to": MAIL, "text": "patient Smith"}
        assert arrived(await gateway.call("listed__echo", given)) == {"to": MAIL, "text": "somebody"}
        assert (await last_call(gateway, 1))["details"]["arguments"] == {"to": MASK, "text": "somebody"}


async def test_what_is_too_large_or_leads_elsewhere_is_refused(gateway: RunningGateway, server: ListedServer) -> None:
    await guard(server, "size", "size", "deny", options={"max_bytes": 1_000})
    await guard(server, "path", "path", "deny", stages=("arguments",), options={"allowed": ["/srv/data"]})
    await guard(server, "host", "host", "deny", stages=("arguments",), options={"allowed": ["*.example.com"]})
    for given, refusal in (
        ({"text": "a" * 2_000}, "the arguments have 2,011 bytes, more than the 1,000 they may have"),
        ({"path": "/srv/data/../../etc/passwd"}, "the arguments name 1 path outside of what is allowed"),
        ({"links": ["https://api.example.com/x", "http://evil.test/?q=1"]}, "the arguments name 1 host outside"),
    ):
        assert refusal in first_text(await gateway.call("listed__echo", given))
    fine = {"path": "/srv/data/a.txt", "url": "https://api.example.com"}
    assert arrived(await gateway.call("listed__echo", fine)) == fine
    server.lists(*TOOLS, result={"content": [{"type": "text", "text": "b" * 2_000}]})
    large = await gateway.call("listed__echo")
    assert first_text(large).startswith("The guard size withholds what the server answered: the contents of the result")
