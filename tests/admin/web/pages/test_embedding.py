"""What is done about spaces on the page of embedding, without a browser."""

from __future__ import annotations

from dataclasses import replace

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway

HERE = "/admin/t/default/embedding"


async def test_a_space_is_paused_resumed_given_searches_and_dropped(gateway: RunningGateway, admin: Person) -> None:
    spaces = gateway.parts.spaces
    active = await spaces.active_space()
    other = (await spaces.store.register(replace(active.space, model="another"))).id

    async def state() -> object:
        spaces = (await admin.get("/embedding")).json()["spaces"]
        return next(space["state"] for space in spaces if space["id"] == other)

    before = await state()
    for action, expected in (("pause", "paused"), ("resume", before)):
        assert (await admin.http.post(f"/admin/embedding/{other}/{action}")).headers["location"] == HERE
        assert await state() == expected
    # A share may be given before; to serve, the space has to hold every tool.
    assert (
        await admin.http.post("/admin/embedding/switch", data={"space": str(other), "share": "10"})
    ).status_code == 303
    shares = {space["id"]: space["share"] for space in (await admin.get("/embedding")).json()["spaces"]}
    assert shares == {active.id: 0, other: 10}
    early = await admin.http.post("/admin/embedding/switch", data={"space": str(other), "share": "100"})
    assert (early.status_code, f"Space {other} holds" in early.text) == (409, True)
    for share in ("", "0", "101", "ten"):
        refused = await admin.http.post("/admin/embedding/switch", data={"space": str(other), "share": share})
        assert (refused.status_code, "share has to be" in refused.text) == (422, True), share
    assert (await admin.http.post(f"/admin/embedding/{other}/drop")).headers["location"] == HERE
    gone = await admin.http.post(f"/admin/embedding/{other}/drop")
    assert (gone.status_code, f"There is no space {other}" in gone.text) == (404, True)
    assert (await admin.http.post("/admin/embedding/clear-cache")).headers["location"] == HERE


async def test_what_cannot_be_compared_is_said_beside_the_query(gateway: RunningGateway, admin: Person) -> None:
    active = await gateway.parts.spaces.active_space()
    await gateway.parts.spaces.store.register(replace(active.space, model="another"))
    for space, said in (("4711", "There is no space 4711"), ("x", "space has to be a whole number")):
        page = await admin.http.get(HERE, params={"compare": "feed <cats>", "space": space})
        assert page.status_code == 200
        assert said in page.text.partition('role="alert">')[2].partition("<")[0]
        assert 'value="feed &lt;cats&gt;"' in page.text
