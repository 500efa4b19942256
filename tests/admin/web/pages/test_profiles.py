"""Profiles by their forms, without a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp

HERE = "/admin/t/default/profiles"


async def test_a_profile_is_made_selects_what_its_rules_say_and_is_removed(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server = await add_local_mcp(gateway.parts, tmp_path)
    refused = await admin.http.post(HERE, data={"name": "Sales Team", "list_mode": "all"})
    assert (refused.status_code, 'id="name-error"' in refused.text) == (422, True)
    assert 'value="Sales Team"' in refused.text
    profile = (await admin.http.post(HERE, data={"name": "sales", "list_mode": "all"})).headers["location"]
    assert f"{gateway.mcp}/p/sales" in (await admin.http.get(profile)).text
    selection = {"server_id": str(server), "pattern": "", "category": "", "visibility": "SEARCH"}
    assert (await admin.http.post(f"{profile}/rules", data=selection)).headers["location"] == profile
    left_out = {"server_id": "", "pattern": "*weather*", "category": "", "visibility": "DENY"}
    await admin.http.post(f"{profile}/rules", data=left_out)

    async def listed() -> set[str]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"X-API-Key": gateway.key, "Content-Type": "application/json"}
        answer = await gateway.http.post("/mcp/p/sales", content=json.dumps(asked), headers=headers)
        return {tool["name"] for tool in answer.json()["result"]["tools"] if "__" in tool["name"]}

    assert "local_mcp__calculator" in await listed()
    assert "local_mcp__get_weather" not in await listed()
    page = (await admin.http.get(profile)).text
    (rule,) = re.findall(
        rf'action="({profile}/rules/\d+/remove)"', page.partition("*weather*")[2].partition("</tr>")[0]
    )
    assert (await admin.http.post(rule)).headers["location"] == profile
    assert "local_mcp__get_weather" in await listed()
    assert (await admin.http.post(f"{profile}/remove")).headers["location"] == HERE
    assert (await admin.http.get(profile)).status_code == 404


async def test_what_a_profile_cannot_be_is_said_at_the_form_that_was_sent(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    made = await admin.http.post(HERE, data={"name": "sales", "description": "What sales works with."})
    profile = made.headers["location"]
    both = {"server_id": str(server), "pattern": "*calc*", "category": "", "visibility": "ALLOW"}
    refused = await admin.http.post(f"{profile}/rules", data=both)
    assert refused.status_code == 422
    assert 'id="target-error">A rule is about exactly one of tool' in refused.text
    assert f'<option value="{server}" selected>' in refused.text
    change = {"version": "1", "name": "selling", "description": "", "list_mode": "chosen"}
    bad = await admin.http.post(profile, data={**change, "name": "Not so"})
    assert bad.status_code == 422
    # What was emptied stays so.
    assert 'name="description" value=""' in bad.text
    assert (await admin.http.post(profile, data=change)).headers["location"] == profile
    page = (await admin.http.get(profile)).text
    assert f"{gateway.mcp}/p/selling" in page
    assert "What sales works with." not in page
    stale = await admin.http.post(profile, data=change)
    assert (stale.status_code, 'role="alert">' in stale.text) == (409, True)
