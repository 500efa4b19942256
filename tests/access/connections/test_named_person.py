"""Many people behind one key: whom a trusted proxy names has what they asked for, and nobody else has it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.access.caller import Caller
from gateway.access.connections.named_person import (
    identity_at,
    named_in,
    named_person,
    names_at,
    names_in,
    shown_person,
)
from gateway.access.persons import Identity
from gateway.access.roles import role_by_name
from gateway.access.rules import set_rule
from gateway.admin.accounts.account import admin_from_row, insert_account
from gateway.admin.accounts.principal import Principal
from gateway.admin.services.approvals import ApprovalReason, ApprovalService
from gateway.components import open_components
from gateway.errors import ApprovalOwnError
from gateway.settings import Settings
from gateway.upstream.credentials.personal import PersonalHeader, PersonalKind, PersonalSecret
from gateway.upstream.spec import ServerSpec
from tests.access.connections.conftest import PersonalWorld, add_personal_server
from tests.doubles.personal_server import PersonalServer
from tests.downstream.methods.tasks.test_tasks import modern_request
from tests.support.audit import audit_rows
from tests.support.gateway import running_gateway

EXTENSION = "io.modelcontextprotocol/tasks"


def spec(kind: PersonalKind | None) -> ServerSpec:
    return ServerSpec(5, 1, "Tracker", "tracker", "http", url="http://127.0.0.1:9/mcp", personal=kind)


BY_HEADER = spec(PersonalHeader("X-Sso-Token", "X-User-Token"))


def behind(value: str, header: str = "x-sso-token", key_id: int = 7) -> Caller:
    return Caller(1, key_id, "proxy", (1,), proxy_headers={header: value} if value else {})


def fresh_token(issuer: str, subject: object, issued_at: int = 0) -> str:
    """A token as proxies make a new one for each request."""
    parts = ({"alg": "ES256"}, {"iss": issuer, "sub": subject, "iat": issued_at})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{'.'.join(encoded)}.c2ln"


def test_a_fresh_token_names_the_same_person_and_each_person_is_another() -> None:
    ada = named_person(behind(fresh_token("https://idp.example", "ada")), BY_HEADER)
    same = [fresh_token("https://idp.example", "ada", 60), f"Bearer {fresh_token('https://idp.example', 'ada', 61)}"]
    assert {named_person(behind(value), BY_HEADER) for value in same} == {ada}
    others = [
        fresh_token("https://idp.example", "bob"),
        fresh_token("https://other.example", "ada"),
        *("ada", "bob", "Bearer ada", "a.b.c", "a.e30.c", "https://idp.example"),
        *(fresh_token("https://idp.example", subject) for subject in ("", "  ", None, 5, ["ada"])),
        f"a.{'W' * 20_000}.c",
        "é.é.é",
    ]
    assert len({ada, *(named_person(behind(value), BY_HEADER) for value in others)}) == len(others) + 1
    assert named_person(behind("ada", "x-other"), BY_HEADER) == ""


def test_who_signs_in_here_is_known_by_what_the_header_may_say_of_them() -> None:
    ada = Identity("https://idp.example", "ada-5")
    names = names_at(BY_HEADER, ada, "ada@example.com")
    for value in (fresh_token("https://idp.example", "ada-5"), "ada@example.com", "ada-5"):
        assert named_person(behind(value), BY_HEADER) in names
    for value in (fresh_token("https://other.example", "ada-5"), "bob", ""):
        assert named_person(behind(value), BY_HEADER) not in names
    assert names_at(spec(PersonalSecret()), ada, "ada") == frozenset()


def test_people_are_told_whom_the_proxy_names_and_no_secret() -> None:
    token = fresh_token("https://idp.example", "ada\u202e-5")
    assert shown_person(behind(token), BY_HEADER) == "ada-5 behind proxy"
    assert names_in("ada-5 behind proxy") == {"ada-5", "proxy", "ada-5 behind proxy"}
    opaque = shown_person(behind("s3cret-value"), BY_HEADER)
    assert re.fullmatch(r"person [0-9a-f]{8} behind proxy", opaque)
    assert opaque != shown_person(behind("s3cret-other"), BY_HEADER)
    assert [shown_person(behind(value), spec(None)) for value in ("ada", "")] == ["proxy"] * 2


def test_what_is_at_a_server_belongs_to_whom_the_header_names_and_to_the_key() -> None:
    callers = [behind("ada"), behind("bob"), behind(""), behind("ada", key_id=8)]
    identities = [identity_at(caller, BY_HEADER) for caller in callers]
    assert len(set(identities)) == len(callers)
    assert [named_in(identity) for identity in identities] == [named_person(caller, BY_HEADER) for caller in callers]
    assert not any("ada" in identity for identity in identities)
    for other in (spec(None), spec(PersonalSecret())):
        assert {identity_at(caller, other) for caller in callers} == {"key-7", "key-8"}
    # Nobody is taken for somebody else's, whatever they are called.
    called = Caller(1, 0, "eve", (1,), subject=identities[0], issuer="https://idp.example")
    assert named_in(called.identity) == ""


@pytest.fixture
async def server() -> AsyncIterator[PersonalServer]:
    async with PersonalServer(header="x-user-token", scheme="").running() as running:
        running.answers["server/discover"] = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "extensions": {EXTENSION: {}}},
        }
        yield running


@pytest.fixture
async def world(settings: Settings, server: PersonalServer) -> AsyncIterator[PersonalWorld]:
    """A gateway behind a proxy that names Ada and Bob, who have one key together."""
    trusting = replace(settings, server=replace(settings.server, trusted_proxies=("127.0.0.1",)))
    async with open_components(trusting) as parts, running_gateway(parts) as gateway:
        yield await add_personal_server(gateway, server, PersonalHeader("X-Sso-Token", "X-User-Token"))


class Behind:
    """One person behind the key of all, with a fresh token at each request."""

    def __init__(self, world: PersonalWorld, name: str) -> None:
        self.world = world
        self.name = name
        self.requests = 0

    def headers(self) -> dict[str, str]:
        self.requests += 1
        token = fresh_token("https://idp.example", self.name, self.requests)
        self.world.server.persons[token] = self.name
        return {"X-Sso-Token": token}

    async def asks(self, method: str, *, tasks: bool = True, **params: Any) -> Any:
        body, headers = modern_request(method, tasks=tasks, key=self.world.gateway.key, **params)
        answer = (await self.world.gateway.post(body, **headers, **self.headers())).json()
        return answer["result"] if "result" in answer else answer["error"]


async def test_one_person_behind_a_key_has_no_part_in_the_approvals_of_another(world: PersonalWorld) -> None:
    gateway, parts = world.gateway, world.gateway.parts
    role = await role_by_name(parts.database, 1, "all")
    await set_rule(parts.database, 1, role.id, "ALLOW", pattern="tracker__whoami", approve="require")
    ada, bob = Behind(world, "ada"), Behind(world, "bob")
    call: Any = {"name": "tracker__whoami", "arguments": {}}
    hers = await ada.asks("tools/call", **call)
    assert hers["status"] == "working"
    assert (await ada.asks("tools/call", **call))["taskId"] == hers["taskId"]
    his = await bob.asks("tools/call", **call)
    asked_by = {approval.asked_by for approval in await parts.approvals.list(1, waiting=True)}
    assert asked_by == {"ada behind test", "bob behind test"}
    assert his["taskId"] != hers["taskId"]
    assert (await bob.asks("tasks/get", taskId=hers["taskId"]))["code"] == -32602
    assert (await bob.asks("tasks/cancel", taskId=hers["taskId"]))["code"] == -32602

    # By another key she is still who asks, and Bob is not.
    made = await parts.keys.create(1, "deciders", ["all"], rights=["approve"])
    path, decision = f"/v1/approvals/{hers['taskId']}", {"decision": "approve"}
    refused = await gateway.http.post(path, json=decision, headers={"X-API-Key": made.key, **ada.headers()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "approval-own")
    # Nor where she has signed in as an admin.
    async with parts.database.transaction() as transaction:
        admin_id = await insert_account(transaction, "Ada", None, "admin", None, "https://idp.example", "ada")
        row = await transaction.fetchrow("admin_by_id", admin_id)
    assert row is not None
    service = ApprovalService(parts.database, parts.servers, parts.approvals, parts.approval_watch)
    herself = Principal(admin_from_row(row), "session", "admin")
    with pytest.raises(ApprovalOwnError):
        await service.decide(1, hers["taskId"], herself, "approved", ApprovalReason())
    decided = await gateway.http.post(path, json=decision, headers={"X-API-Key": made.key, **bob.headers()})
    assert decided.status_code == 200

    assert (await bob.asks("tools/call", **call))["taskId"] == his["taskId"]
    assert (await bob.asks("tasks/get", taskId=his["taskId"]))["status"] == "working"
    assert world.server.calls_of("listing-token") == 0
    done = await ada.asks("tasks/get", taskId=hers["taskId"])
    while done["status"] == "working":
        done = await ada.asks("tasks/get", taskId=hers["taskId"])
    assert done["result"]["content"][0]["text"] == "whoami as ada"
    assert (await bob.asks("tasks/get", taskId=hers["taskId"]))["code"] == -32602


async def test_one_person_behind_a_key_has_neither_task_nor_cut_result_of_another(world: PersonalWorld) -> None:
    server = world.server
    ada, bob = Behind(world, "ada"), Behind(world, "bob")
    state = {"taskId": "t-1", "status": "working", "createdAt": "2026-01-01T00:00:00Z", "ttlMs": 60_000}
    server.answers |= {"tools/call": {"resultType": "task", **state}, "tasks/get": {"resultType": "complete", **state}}
    call: Any = {"name": "tracker__whoami", "arguments": {}}
    task_id = (await ada.asks("tools/call", **call))["taskId"]
    assert (await ada.asks("tasks/get", taskId=task_id))["status"] == "working"
    assert (await bob.asks("tasks/get", taskId=task_id))["code"] == -32602

    # The audit log says whose it was.
    rows = await audit_rows(world.gateway.parts.database, action="tool.call", wanted=2)
    assert {row["details"].get("person") for row in rows} == {"ada of https://idp.example, by X-Sso-Token"}

    long = {"type": "text", "text": "x" * 1_300_000}
    server.answers["tools/call"] = {"resultType": "complete", "content": [long], "isError": False}
    cut = await ada.asks("tools/call", tasks=False, **call)
    found = re.search(r"read on with read_result, arguments (\{.*\})", cut["content"][-1]["text"])
    assert found is not None
    rest: Any = {"name": "read_result", "arguments": json.loads(found[1])}
    assert "no such result" in (await bob.asks("tools/call", tasks=False, **rest))["content"][0]["text"]
    assert (await ada.asks("tools/call", tasks=False, **rest))["content"][0]["text"].startswith("xxx")
