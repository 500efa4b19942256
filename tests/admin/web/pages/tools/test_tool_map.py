"""What the map of tools is drawn from."""

from __future__ import annotations

from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool

HERE = "/admin/t/default/map"


async def test_a_query_is_placed_among_the_tools_that_a_search_finds(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    empty = (await admin.http.get(f"{HERE}/query", params={"q": "invoice"})).json()
    assert empty == {"nearest": [], "found": False}
    tools = [
        tool("create_invoice", "Create an invoice for a customer."),
        tool("send_message", "Send a message to a channel."),
        tool("get_weather", "The weather of a city."),
        tool("list_issues", "List the issues of a repository."),
        tool("feed_cat", "Put food into the bowl of the cat."),
    ]
    await add_listed(gateway.parts, tmp_path, *tools, name="Shop")
    drawn = (await admin.http.get(f"{HERE}/points")).json()
    ids = {point[4]: point[3] for point in drawn["points"]}
    assert (drawn["servers"], len(ids)) == (["Shop"], 5)
    found = (await admin.http.get(f"{HERE}/query", params={"q": "create an invoice"})).json()
    assert found["found"] is True
    assert found["nearest"][0] == next(ids[name] for name in ids if "invoice" in name)
    assert {"x", "y"} <= set(found)
    # What finds nothing is told from what does, and shows where one might look.
    nothing = (await admin.http.get(f"{HERE}/query", params={"q": "zzqx vwkj"})).json()
    assert nothing["found"] is False
    assert len(nothing["nearest"]) <= 3
    assert (await admin.http.get(f"{HERE}/query", params={"q": " "})).json() == {}
    assert (await admin.http.get(f"{HERE}/query", params={"q": "x" * 5_000})).status_code == 422
