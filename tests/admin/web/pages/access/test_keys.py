"""The page of keys."""

from __future__ import annotations

from gateway.catalog.client_config.client import CLIENTS
from tests.admin.conftest import Person

HERE = "/admin/t/default/keys"


async def test_a_key_is_given_the_right_to_have_texts_embedded(admin: Person) -> None:
    for name, rights in (("connector", {"rights": "embed"}), ("laptop", {})):
        made = await admin.http.post(HERE, data={"name": name, "roles": "all", **rights})
        assert made.status_code == 200
    keys = {key["name"]: key["rights"] for key in (await admin.get("/keys")).json()}
    assert (keys["connector"], keys["laptop"]) == (["embed"], [])
    assert (await admin.http.get(HERE)).text.count("may use the embedder") == 1


async def test_a_key_that_is_there_already_is_connected_as_a_new_one(admin: Person) -> None:
    made = (await admin.post("/keys", {"name": "laptop", "roles": ["all"]})).json()
    page = (await admin.http.get(f"{HERE}/{made['id']}/connect")).text
    assert made["key"] not in page
    for client in CLIENTS:
        assert f'<h2 id="{client.id}-title">{client.name}</h2>' in page
        assert f"modelgate setup {client.id}" in page
    assert f"{HERE}/{made['id']}/connect" in (await admin.http.get(HERE)).text
    assert (await admin.http.get(f"{HERE}/9999/connect")).status_code == 404


async def test_a_key_without_a_role_is_asked_for_one(admin: Person) -> None:
    refused = await admin.http.post(HERE, data={"name": "laptop"})
    assert refused.status_code == 422
    assert "Choose at least one role." in refused.text
    made = (await admin.post("/keys", {"name": "laptop", "roles": ["all"]})).json()
    assert "Choose at least one role." in (await admin.http.post(f"{HERE}/{made['id']}", data={"name": "laptop"})).text
