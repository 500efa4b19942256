"""Where operations are requested, and where secrets go."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec
from gateway.upstream.unusable_tool import UNUSABLE_META_KEY
from tests.doubles.http_api import HttpApi
from tests.upstream.conftest import serving
from tests.upstream.openapi.test_transport import call, pets

OPS = (Path(__file__).parents[2] / "cases" / "ops.yaml").read_text()


@pytest.fixture
def api() -> HttpApi:
    return HttpApi()


@pytest.fixture
async def base(api: HttpApi) -> AsyncIterator[str]:
    async with serving(api.app()) as url:
        yield url


@pytest.fixture
def other_api() -> HttpApi:
    return HttpApi()


@pytest.fixture
async def other(other_api: HttpApi) -> AsyncIterator[str]:
    async with serving(other_api.app()) as url:
        yield url


def spread(document: str | None, path: str | None, operation: str | None) -> dict[str, Any]:
    """A document whose one operation `get` may be at any of three addresses, and `plain` where the document says."""

    def at(url: str | None) -> dict[str, Any]:
        return {} if url is None else {"servers": [{"url": url}]}

    get = {"operationId": "get", "responses": {}, **at(operation)}
    return {
        "openapi": "3.0.3",
        **at(document),
        "paths": {"/get": {"get": get, **at(path)}, "/plain": {"get": {"operationId": "plain"}}},
    }


async def listed(pool: UpstreamPool, spec: ServerSpec) -> dict[str, str | None]:
    """Every listed operation, with the reason why it cannot be used."""
    tools = await pool.list_all(spec, "tools/list", "tools")
    return {tool["name"]: tool.get("_meta", {}).get(UNUSABLE_META_KEY) for tool in tools}


@pytest.mark.parametrize(
    ("path", "operation", "expected"),
    [(None, None, "/doc/get"), ("/path", None, "/path/get"), ("/path", "/operation", "/operation/get")],
)
async def test_the_nearest_address_counts(
    api: HttpApi, base: str, pool: UpstreamPool, path: str | None, operation: str | None, expected: str
) -> None:
    api.document = spread("/doc", path, operation)
    assert (await call(pool, pets(base), "get"))["structuredContent"]["path"] == expected
    assert (await call(pool, pets(base), "plain"))["structuredContent"]["path"] == "/doc/plain"


async def test_an_operation_at_an_address_of_its_own_is_requested_there(
    api: HttpApi, other_api: HttpApi, base: str, other: str, pool: UpstreamPool
) -> None:
    text = OPS.replace("http://127.0.0.1:9300", base).replace("http://127.0.0.1:9301", other)
    spec = pets(base, document=text, document_url=None)
    await call(pool, spec, "listWidgets")
    await call(pool, spec, "plain")
    assert [each["path"] for each in other_api.requests] == ["/v2/widgets"]
    assert [each["path"] for each in api.requests] == ["/v1/plain"]


@pytest.mark.parametrize("level", ["path", "operation"])
@pytest.mark.parametrize("source", ["document", "document_url", "by hand"])
async def test_an_operation_elsewhere_is_left_out_where_there_are_secrets(
    api: HttpApi, other_api: HttpApi, base: str, other: str, pool: UpstreamPool, level: str, source: str
) -> None:
    where = {"path": None, "operation": None, level: f"{other}/v2"}
    api.document = spread(f"{base}/api", where["path"], where["operation"])
    changes: dict[str, Any] = {"credential": Bearer("s3cret-token")}
    if source == "document":
        changes |= {"document": json.dumps(api.document), "document_url": None}
    elif source == "by hand":
        changes |= {"url": f"{base}/v3"}
    spec = pets(base, **changes)
    reasons = await listed(pool, spec)
    assert reasons["plain"] is None
    assert "so that secrets go nowhere else" in (reasons["get"] or "")
    await call(pool, spec, "plain")
    assert api.requests[-1]["headers"]["authorization"] == "Bearer s3cret-token"
    assert other_api.requests == []


async def test_an_operation_with_an_address_needs_none_of_the_document(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    text = json.dumps(spread(None, None, f"{base}/v2"))
    spec = pets(base, document=text, document_url=None)
    reasons = await listed(pool, spec)
    assert reasons["get"] is None
    assert "set its address by hand" in (reasons["plain"] or "")
    assert (await call(pool, spec, "get"))["structuredContent"]["path"] == "/v2/get"


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "mailto:a", "http://{region}.example", "https://[::"])
async def test_an_address_that_is_none_costs_its_operation_alone(
    api: HttpApi, base: str, pool: UpstreamPool, address: str
) -> None:
    api.document = spread("/api", None, address)
    reasons = await listed(pool, pets(base))
    assert reasons["plain"] is None
    assert reasons["get"] is not None


async def test_an_address_that_no_server_may_have_is_requested_by_no_operation(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    api.document = spread("/api", None, "http://169.254.169.254/latest")
    assert "clouds hand out credentials" in ((await listed(pool, pets(base)))["get"] or "")


async def test_a_variable_of_an_address_has_its_default(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    api.document = spread("/api", None, None)
    api.document["servers"] = [
        {"url": "/{stage}/v{n}", "variables": {"stage": {"default": "test"}, "n": {"default": 2}}}
    ]
    assert (await call(pool, pets(base), "get"))["structuredContent"]["path"] == "/test/v2/get"


@pytest.mark.parametrize("servers", [5, ["x"], [{"url": None}], {"url": "/"}])
async def test_a_document_whose_address_is_broken_says_so(
    api: HttpApi, base: str, pool: UpstreamPool, servers: Any
) -> None:
    api.document = {**spread(None, None, None), "servers": servers}
    with pytest.raises(UpstreamUnavailableError, match="servers do not begin"):
        await listed(pool, pets(base))
