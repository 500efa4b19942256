"""The gateway as a registry of its own endpoints."""

from __future__ import annotations

from urllib.parse import quote

import httpx2

from gateway.access.profiles import Profiles
from gateway.catalog.registry.registry import RegistryEntry
from gateway.catalog.registry.server_json import propose_server
from gateway.downstream.protocol.server_registry import REGISTRY_PATH
from tests.support.gateway import RunningGateway


async def test_a_key_is_listed_the_endpoint_and_the_profiles_of_its_tenant(gateway: RunningGateway) -> None:
    await Profiles(gateway.parts.database).create(1, "coding", description="For code")
    async with httpx2.AsyncClient(base_url=gateway.url, headers={"X-API-Key": gateway.key}) as http:
        listed = (await http.get(REGISTRY_PATH)).json()
        assert [(entry["server"]["name"], entry["server"]["remotes"][0]["url"]) for entry in listed["servers"]] == [
            ("modelgate/all", f"{gateway.url}/mcp"),
            ("modelgate/coding", f"{gateway.url}/mcp/p/coding"),
        ]
        assert listed["metadata"] == {"count": 2}
        found = (await http.get(REGISTRY_PATH, params={"search": "CODE", "limit": 5})).json()
        assert found["servers"] == []
        found = (await http.get(REGISTRY_PATH, params={"search": "coding"})).json()
        assert [entry["server"]["description"] for entry in found["servers"]] == ["For code"]


async def test_an_entry_is_had_by_its_name(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url, headers={"X-API-Key": gateway.key}) as http:
        for name in ("modelgate/all", quote("modelgate/all", safe="")):
            entry = (await http.get(f"{REGISTRY_PATH}/{name}/versions/latest")).json()
            assert entry["server"]["name"] == "modelgate/all"
        assert (await http.get(f"{REGISTRY_PATH}/modelgate/all/versions")).json()["metadata"]["count"] == 1
        assert (await http.get(f"{REGISTRY_PATH}/modelgate/none/versions/latest")).status_code == 404
        assert (await http.get(f"{REGISTRY_PATH}/modelgate/all/versions/9")).status_code == 404


async def test_who_has_no_key_is_listed_nothing(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.get(REGISTRY_PATH)
        assert (response.status_code, response.headers["www-authenticate"].split()[0]) == (401, "Bearer")
        assert (await http.get(f"{REGISTRY_PATH}/modelgate/all/versions/latest")).status_code == 401


async def test_an_entry_can_be_read_as_any_registry_s(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url, headers={"X-API-Key": gateway.key}) as http:
        document = (await http.get(f"{REGISTRY_PATH}/modelgate/all/versions/latest")).json()["server"]
    listed = RegistryEntry(document["name"], document["version"], document["description"], document)
    definition = propose_server(listed, {"api_key": gateway.key}).definition
    assert (definition.url, definition.headers) == (gateway.mcp, {"Authorization": f"Bearer {gateway.key}"})
