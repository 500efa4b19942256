"""What a search becomes that is given to the tool that was meant."""

from __future__ import annotations

from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool
from tests.support.rows import value


async def test_nothing_is_kept_of_a_secret_that_is_too_far_back_to_be_kept_whole(
    admin: Person, gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_listed(gateway.parts, tmp_path, tool("charge_card", "Creates a payment."), name="Shop")
    said = "settle up " * 28 + "ghp_" + "a1B2" * 9
    form = {"q": said, "name": "shop__charge_card"}
    assert (await admin.http.post("/admin/t/default/missed", data=form)).status_code == 200
    kept = await value(gateway.parts.database.url, "SELECT text FROM tool_examples")
    assert kept.startswith("settle up settle up")
    assert "ghp" not in kept
