"""Decisions by keys and by a chat tool: asked for in one process, decided in another, carried out after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import role_by_name, update_role
from gateway.components import open_components
from gateway.errors import SettingsError
from gateway.guards.approval.approval_webhook import ApprovalWebhook
from gateway.guards.signature import is_signed, signed_headers
from gateway.settings import ApprovalSettings, Settings
from tests.support.gateway import RunningGateway, add_local_mcp, running_gateway
from tests.support.serving import serving
from tests.support.waiting import until

SECRET = "a secret of the chat tool"
ADD = {"expression": "6*7"}


@dataclass
class ChatTool:
    """What it was told, with the headers; `failures` of its first answers say that it is broken."""

    failures: int = 0
    told: list[tuple[dict[str, Any], dict[str, str], bytes]] = field(default_factory=list)

    async def hear(self, request: Request) -> Response:
        body = await request.body()
        if self.failures:
            self.failures -= 1
            return Response(status_code=500)
        self.told.append((json.loads(body), dict(request.headers), body))
        return Response(status_code=204)


@contextlib.asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[RunningGateway]:
    async with open_components(settings) as parts, running_gateway(parts) as gateway:
        yield gateway


async def every_call_waits(gateway: RunningGateway) -> None:
    role = await role_by_name(gateway.parts.database, 1, "all")
    await update_role(gateway.parts.database, 1, role.id, role.version, approve="all")


async def waiting(gateway: RunningGateway) -> str:
    """The id of the call that waits, as soon as there is one."""

    async def came() -> bool:
        return len(await gateway.parts.approvals.list(1, waiting=True)) == 1

    await until(came)
    return (await gateway.parts.approvals.list(1, waiting=True))[0].id


def answer(gateway: RunningGateway, approval_id: str, body: bytes, secret: str = SECRET, age: int = 0) -> Any:
    headers = signed_headers(secret, "msg_1", int(time.time()) - age, body)
    return gateway.http.post(f"/v1/approvals/{approval_id}/answer", content=body, headers=headers)


async def test_a_key_decides_in_another_process_than_the_one_in_which_the_call_waits(
    settings: Settings, tmp_path: Path
) -> None:
    async with served(settings) as here, served(settings) as there:
        await add_local_mcp(here.parts, tmp_path)
        await every_call_waits(here)
        calling = asyncio.create_task(here.call("local_mcp__calculator", ADD))
        approval_id = await waiting(there)
        approver = await there.parts.keys.create(1, "approver", ["all"], rights=["approve"])
        headers = {"Authorization": f"Bearer {approver.key}"}
        listed = (await there.http.get("/v1/approvals", headers=headers)).json()["approvals"]
        assert [(each["id"], each["state"], each["asked_by"]) for each in listed] == [(approval_id, "asked", "test")]
        shown = (await there.http.get(f"/v1/approvals/{approval_id}", headers=headers)).json()
        assert shown["arguments"] == ADD
        assert shown["changed"] is False
        assert "calculat" in shown["description"]

        path = f"/v1/approvals/{approval_id}"
        for key, status in ((here.key, 403), ("mg_" + "0" * 64, 401)):
            refused = await there.http.post(path, json={"decision": "approve"}, headers={"X-API-Key": key})
            assert refused.status_code == status
        for body in (b"", b"[]", b'{"decision": "maybe"}', b'{"decision": 1}', b'{"decision": "approve", "by": "me"}'):
            assert (await there.http.post(path, content=body, headers=headers)).status_code == 400
        assert (await there.http.post(path, content=b"x" * 20_000, headers=headers)).status_code == 400
        started = time.monotonic()
        decided = await there.http.post(path, json={"decision": "approve", "reason": "fine"}, headers=headers)
        assert decided.json()["decided_by"] == "approver"
        assert "42" in str(await calling)
        # It was told, and did not look now and then.
        assert time.monotonic() - started < 4
        again = await there.http.post(path, json={"decision": "deny"}, headers=headers)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "approval-decided")
        assert (await there.http.get("/v1/approvals/ap_0", headers=headers)).status_code == 404


async def test_a_gateway_that_ends_knows_afterwards_what_was_asked(settings: Settings, tmp_path: Path) -> None:
    admin = replace(settings.admin, public_url="https://gateway.example.com/")
    patient = replace(settings, approval=replace(settings.approval, wait_seconds=0), admin=admin)
    async with served(patient) as gateway:
        await add_local_mcp(gateway.parts, tmp_path)
        await every_call_waits(gateway)
        heard = await gateway.call("local_mcp__calculator", ADD)
        approval_id = await waiting(gateway)
        assert heard["isError"] is True
        assert f"https://gateway.example.com/admin/approvals/{approval_id}" in heard["content"][0]["text"]
        assert "make the same call again" in heard["content"][0]["text"]
        assert heard["_meta"]["modelgate/approval"]["state"] == "asked"
        key = gateway.key
    async with served(settings) as gateway:
        # The same call goes on waiting, and the gateway stops: its client is told at once.
        params = {"name": "local_mcp__calculator", "arguments": {"expression": "6*7"}}
        calling = asyncio.create_task(gateway.request("tools/call", params, **{"X-API-Key": key}))
        await until(lambda: gateway.parts.approval_watch.waiting == 1)
        gateway.parts.approval_watch.close()
        assert approval_id in str(await calling)
    async with served(settings) as gateway:
        calling = asyncio.create_task(gateway.request("tools/call", params, **{"X-API-Key": key}))
        assert await waiting(gateway) == approval_id
        approver = (await gateway.parts.keys.create(1, "approver", ["all"], rights=["approve"])).key
        headers = {"X-API-Key": approver}
        await gateway.http.post(f"/v1/approvals/{approval_id}", json={"decision": "approve"}, headers=headers)
        assert "42" in str(await calling)


async def test_a_chat_tool_is_told_and_answers(settings: Settings, tmp_path: Path) -> None:
    chat = ChatTool(failures=1)
    application = Starlette(routes=[Route("/hook", chat.hear, methods=["POST"])])
    async with serving(application) as url:
        told = ApprovalSettings(webhook_url=f"{url}/hook", webhook_secret=SECRET)
        admin = replace(settings.admin, public_url="https://gateway.example.com")
        async with served(replace(settings, approval=told, admin=admin)) as gateway:
            await add_local_mcp(gateway.parts, tmp_path)
            await every_call_waits(gateway)
            calling = asyncio.create_task(gateway.call("local_mcp__calculator", ADD))
            approval_id = await waiting(gateway)
            # It fails once, and is told again.
            await until(lambda: bool(chat.told))
            message, headers, body = chat.told[0]
            assert is_signed(SECRET, headers, body)
            assert headers["webhook-id"] == approval_id
            assert message["arguments"] == ADD
            assert message["approval"]["id"] == approval_id
            assert message["page_url"] == f"https://gateway.example.com/admin/t/default/approvals/{approval_id}"
            assert message["answer_url"] == f"https://gateway.example.com/v1/approvals/{approval_id}/answer"

            good = json.dumps({"id": approval_id, "decision": "approve", "by": "ada"}).encode()
            elsewhere = await answer(gateway, "ap_0123456789abcdef", good)
            assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (400, "invalid-input")
            forged = await answer(gateway, approval_id, good, secret="another secret of a stranger")
            assert (forged.status_code, forged.json()["error"]["code"]) == (401, "credential")
            assert (await answer(gateway, approval_id, good, age=1_000)).status_code == 401
            unsigned = await gateway.http.post(f"/v1/approvals/{approval_id}/answer", content=good)
            assert unsigned.status_code == 401
            assert (await answer(gateway, approval_id, b'{"decision": "approve"}')).status_code == 400
            own = await answer(gateway, approval_id, good.replace(b"ada", b"Test"))
            assert (own.status_code, own.json()["error"]["code"]) == (403, "approval-own")
            decided = await answer(gateway, approval_id, good)
            assert (decided.json()["state"], decided.json()["decided_via"]) == ("approved", "webhook")
            assert "42" in str(await calling)
            assert (await answer(gateway, approval_id, good)).status_code == 409
            assert len(chat.told) == 1


async def test_without_a_webhook_no_answer_is_taken(gateway: RunningGateway) -> None:
    body = b'{"decision": "approve", "by": "ada"}'
    assert (await answer(gateway, "ap_0123456789abcdef", body, secret="")).status_code == 401


@pytest.mark.parametrize(("url", "secret"), [("ftp://chat", SECRET), ("https://", SECRET), ("https://chat", "short")])
def test_a_webhook_that_cannot_be_stops_the_start(url: str, secret: str) -> None:
    with pytest.raises(SettingsError, match=r"approval\.webhook"):
        ApprovalWebhook(ApprovalSettings(webhook_url=url, webhook_secret=secret), "")


async def test_a_webhook_that_hangs_or_answers_endlessly_was_not_told(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(_: Request) -> Response:
        return Response(b"x" * 1_000_000)

    async with serving(Starlette(routes=[Route("/hook", endless, methods=["POST"])])) as url:
        webhook = ApprovalWebhook(ApprovalSettings(webhook_url=f"{url}/hook", webhook_secret=SECRET), "")
        monkeypatch.setattr(ApprovalWebhook, "build_message", lambda *_: b"{}")
        assert not await webhook.notify("default", _Nothing(), {})  # type: ignore[arg-type]
        await webhook.aclose()
    gone = ApprovalWebhook(ApprovalSettings(webhook_url=f"{url}/hook", webhook_secret=SECRET), "")
    assert not await gone.notify("default", _Nothing(), {})  # type: ignore[arg-type]
    await gone.aclose()


class _Nothing:
    id = "ap_0123456789abcdef"
