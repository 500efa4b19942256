"""An admin says which tool a search was meant for, and the next one finds it."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool
from tests.support.rows import value
from tests.support.waiting import until
from tests.ui.conftest import Person

TOOLS = [
    tool("charge_card", "Creates a payment for the given amount and currency.", amount="the amount"),
    tool("list_events", "Returns the events of a calendar between two dates.", start="the first day"),
    tool("send_message", "Posts a message to a channel.", channel="the channel"),
]
# Nobody would find it by its description.
SAID = "settle up with the plumber"


async def test_a_search_that_found_nothing_is_given_to_the_tool_that_was_meant(
    person: Person, gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_listed(gateway.parts, tmp_path, *TOOLS, name="Shop")
    await gateway.call("tool_search", {"query": SAID})

    async def is_recorded() -> bool:
        return bool(await value(gateway.parts.database.url, "SELECT count(*) FROM tool_calls"))

    await until(is_recorded)
    await person.go("/overview?window=1h")
    missed = person.page.get_by_role("region", name="Searches without results")
    # One click, beside the search itself.
    row = missed.get_by_role("row", name=SAID)
    await row.get_by_role("button", name="This is the tool: shop__charge_card").click()
    await expect(person.page.get_by_role("main").get_by_role("status")).to_contain_text(
        "shop__charge_card has it as an example now"
    )
    now = person.page.get_by_role("region", name="Now")
    first = now.get_by_role("row").nth(1)
    await expect(first).to_contain_text("shop__charge_card")
    await expect(first).to_contain_text("Raised by 1 example")
    await expect(person.page.get_by_role("region", name="Before")).not_to_contain_text("Raised")

    await person.page.get_by_role("main").get_by_role("status").get_by_role("link", name="shop__charge_card").click()
    examples = person.page.get_by_role("region", name="What people say when they mean it")
    await expect(examples.get_by_role("row", name=SAID)).to_contain_text("an admin")
    await examples.get_by_label("Another example").fill("?!")
    await examples.get_by_role("button", name="Add example").click()
    await expect(examples).to_contain_text("An example needs a letter or a digit")
    await examples.get_by_label("Another example").fill("pay the gardener")
    await examples.get_by_role("button", name="Add example").click()
    await expect(examples.get_by_role("row", name="pay the gardener")).to_be_visible()
    await examples.get_by_role("button", name=f"Remove “{SAID}”").click()
    await expect(examples.get_by_role("row", name=SAID)).to_have_count(0)


async def test_a_tool_that_is_not_near_is_named(person: Person, gateway: RunningGateway, tmp_path: Path) -> None:
    await add_listed(gateway.parts, tmp_path, *TOOLS, name="Shop")
    await gateway.call("tool_search", {"query": "tell the whole team"})

    async def is_recorded() -> bool:
        return bool(await value(gateway.parts.database.url, "SELECT count(*) FROM tool_calls"))

    await until(is_recorded)
    await person.go("/overview?window=1h")
    missed = person.page.get_by_role("region", name="Searches without results")
    await missed.get_by_role("link", name="Another tool for tell the whole team").click()
    await expect(person.page.get_by_role("heading", name="Which tool is meant?")).to_be_visible()
    await person.page.get_by_label("Name of the tool").fill("no_such_tool")
    await person.page.get_by_role("region", name="It is another tool").get_by_role("button").click()
    await expect(person.page.get_by_text("There is no one tool of this name")).to_be_visible()
    await person.page.get_by_label("Name of the tool").fill("shop__send_message")
    await person.page.get_by_role("region", name="It is another tool").get_by_role("button").click()
    await expect(person.page.get_by_role("main").get_by_role("status")).to_contain_text(
        "shop__send_message has it as an example now"
    )
