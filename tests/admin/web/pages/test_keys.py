"""The page of keys."""

from __future__ import annotations

from tests.admin.conftest import Person

HERE = "/admin/t/default/keys"


async def test_a_key_is_given_the_right_to_have_texts_embedded(admin: Person) -> None:
    for name, rights in (("connector", {"rights": "embed"}), ("laptop", {})):
        made = await admin.http.post(HERE, data={"name": name, "roles": "all", **rights})
        assert made.status_code == 200
    keys = {key["name"]: key["rights"] for key in (await admin.get("/keys")).json()}
    assert (keys["connector"], keys["laptop"]) == (["embed"], [])
    assert (await admin.http.get(HERE)).text.count("may have texts embedded") == 1
