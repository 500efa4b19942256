"""Asking a registry, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.catalog.registry.registry import Registry
from gateway.errors import NotFoundError, RegistryError
from tests.doubles.registry import RegistryDouble
from tests.support.serving import serving


@pytest.fixture
def double() -> RegistryDouble:
    return RegistryDouble()


@pytest.fixture
async def url(double: RegistryDouble) -> AsyncIterator[str]:
    async with serving(double.app()) as address:
        yield address


async def test_servers_are_found_by_words_in_their_newest_version(double: RegistryDouble, url: str) -> None:
    found = await Registry(f"{url}/").search("notes")
    assert [(server.name, server.version, server.description) for server in found] == [
        ("io.github.acme/notes", "1.2.3", "Keeps notes")
    ]
    assert double.queries[0] == {"search": "notes", "version": "latest", "limit": "30"}


async def test_a_server_is_had_by_name_and_version(url: str) -> None:
    registry = Registry(url)
    assert (await registry.get("io.github.acme/notes")).version == "1.2.3"
    assert (await registry.get("io.github.acme/notes", "1.2.3")).version == "1.2.3"
    for name, version in (("io.github.acme/none", "latest"), ("io.github.acme/notes", "9")):
        with pytest.raises(NotFoundError, match="no such server"):
            await registry.get(name, version)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("<html>"),
        PlainTextResponse("oops", 503),
        JSONResponse([]),
        JSONResponse({"servers": 5}),
        JSONResponse({"servers": "x" * 5_000_000}),
    ],
)
async def test_an_answer_that_is_none_is_told(double: RegistryDouble, url: str, answer: Response) -> None:
    double.raw = answer
    with pytest.raises(RegistryError, match=r"The registry at 127\.0\.0\.1"):
        await Registry(url).search("notes")


@pytest.mark.parametrize("address", ["", "registry.example", "ftp://registry.example", "file:///etc/passwd"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(RegistryError, match=r"registry\.url"):
        Registry(address)


async def test_a_registry_that_is_not_there_is_told() -> None:
    with pytest.raises(RegistryError, match="cannot be reached"):
        await Registry("http://127.0.0.1:1").search("notes")
