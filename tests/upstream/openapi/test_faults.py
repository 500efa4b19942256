"""HTTP APIs that cannot be asked, answer what cannot be read, or repeat what is secret."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from gateway.upstream.credentials.credential import Basic, Bearer
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec
from tests.doubles.http_api import DOCUMENT, HttpApi
from tests.upstream.conftest import serving
from tests.upstream.openapi.test_transport import call, pets

OK = {"200": {"description": "ok"}}


@pytest.fixture
def api() -> HttpApi:
    return HttpApi()


@pytest.fixture
async def base(api: HttpApi) -> AsyncIterator[str]:
    async with serving(api.app()) as url:
        yield url


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def offering(*names: str) -> dict[str, Any]:
    """A document with an operation `name` at `/name` for each."""
    return {**DOCUMENT, "paths": {f"/{name}": {"get": {"operationId": name, "responses": OK}} for name in names}}


async def _others_are_served(pool: UpstreamPool, api: HttpApi, spec: ServerSpec, tool: str, arguments: Any) -> Any:
    """The result of `tool`, called more often than the breaker lets fail while another caller waits."""
    answers: list[dict[str, Any]] = []

    async def other() -> None:
        answers.append(await call(pool, spec, "wait"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await api.wait_started.wait()
        for _ in range(6):
            result = await call(pool, spec, tool, **arguments)
        api.wait_may_end.set()
    assert answers[0]["content"][0]["text"] == "waited"
    assert pool.status(1).restarts == 0
    return result


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("id", "x" * 70_000, "too long"),
        ("tags", "x" * 70_000, "too long"),
        ("id", deep(50_000), "nested too deeply"),
        ("tags", deep(50_000), "nested too deeply"),
        ("X-Trace", deep(50_000), "nested too deeply"),
    ],
    ids=["a long path", "a long query", "a deep path", "a deep query", "a deep header"],
)
async def test_arguments_that_cannot_be_sent_are_the_callers_alone(
    api: HttpApi, base: str, pool: UpstreamPool, name: str, value: Any, said: str
) -> None:
    api.document = {**DOCUMENT, "paths": {**DOCUMENT["paths"], **offering("wait")["paths"]}}
    arguments = {"id": "1", name: value}
    result = await _others_are_served(pool, api, pets(base), "getPet", arguments)
    assert result["isError"] is True
    assert said in result["content"][0]["text"]


@pytest.mark.parametrize("name", ["base64", "idna", "undefined", "no-such"])
async def test_an_answer_in_a_charset_that_is_none_is_read_as_utf8(
    api: HttpApi, base: str, pool: UpstreamPool, name: str
) -> None:
    api.document = offering("wait", "charset")
    api.charset = name
    result = await _others_are_served(pool, api, pets(base), "charset", {})
    assert result["content"][0]["text"] == "grüße"


SECRETS: list[tuple[dict[str, Any], list[str]]] = [
    ({"credential": Bearer("t0ken+with/signs")}, ["t0ken+with/signs"]),
    (
        {"credential": Basic("somebody", "pass-word-1")},
        ["pass-word-1", base64.b64encode(b"somebody:pass-word-1").decode()],
    ),
    ({"headers": {"X-Api-Key": 'a"secret"value'}}, ['a\\"secret\\"value', 'a"secret"value']),
    ({"headers": {"Authorization": "Token abcdefgh123"}}, ["abcdefgh123"]),
    ({"headers": {"Cookie": "session=abcdefgh123; theme=dark"}}, ["abcdefgh123"]),
]


@pytest.mark.parametrize(("changes", "secrets"), SECRETS)
async def test_what_lets_the_gateway_in_is_hidden_in_answers(
    api: HttpApi, base: str, pool: UpstreamPool, changes: dict[str, Any], secrets: list[str]
) -> None:
    api.document = {**DOCUMENT, "paths": {**DOCUMENT["paths"], **offering("repeated")["paths"]}}
    spec = pets(base, **changes)
    for tool in ("getPet", "repeated"):
        arguments = {"id": "1"} if tool == "getPet" else {}
        result = await call(pool, spec, tool, **arguments)
        (block,) = result["content"]
        assert json.loads(block["text"]) == result["structuredContent"]
        shown = json.dumps(result["structuredContent"], ensure_ascii=False)
        assert "********" in shown
        for secret in secrets:
            assert secret not in shown
            assert secret not in block["text"]
    sent = [value for asked in api.requests for value in asked["headers"].values()]
    assert any(secrets[-1] in value for value in sent)


async def test_a_secret_in_another_charset_is_hidden_too(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    api.document = offering("utf16")
    result = await call(pool, pets(base, credential=Bearer("t0ken-t0ken")), "utf16")
    assert result["content"][0]["text"] == "You are ********."


async def test_headers_that_are_no_secret_are_not_hidden(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    spec = pets(base, headers={"User-Agent": "modelgate-tests", "X-Api-Version": "2024-01-31", "X-Short": "dark"})
    sent = (await call(pool, spec, "getPet", id="1"))["structuredContent"]["headers"]
    assert (sent["user-agent"], sent["x-api-version"], sent["x-short"]) == ("modelgate-tests", "2024-01-31", "dark")
