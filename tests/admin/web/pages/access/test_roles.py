"""Roles by their forms, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp

HERE = "/admin/t/default/roles"


async def _role(admin: Person, name: str = "support", **more: str) -> str:
    made = await admin.http.post(HERE, data={"name": name, **more})
    assert made.status_code == 303, made.text
    return made.headers["location"]


def _chosen(page: str, select: str) -> list[str]:
    """What is selected in the element of that id."""
    inner = page.partition(f'<select id="{select}"')[2].partition("</select>")[0]
    return re.findall(r'value="([^"]*)" selected', inner)


async def test_a_role_is_made_changed_and_removed(admin: Person) -> None:
    role = await _role(admin, description="Who answers customers.", default_visibility="SEARCH")
    again = await admin.http.post(HERE, data={"name": "support", "description": "Others."})
    assert again.status_code == 409
    assert 'value="Others."' in again.text
    change = {"version": "1", "name": "support", "description": "", "default_visibility": "ALLOW", "approve": "all"}
    assert (await admin.http.post(role, data=change)).status_code == 303
    page = (await admin.http.get(role)).text
    assert "Who answers customers." not in page
    assert (_chosen(page, "default_visibility"), _chosen(page, "approve")) == (["ALLOW"], ["all"])
    # Another has changed it since; what was typed stays in the form, what was emptied, too.
    refused = await admin.http.post(role, data={**change, "name": "helpers"})
    assert refused.status_code == 409
    assert 'value="helpers"' in refused.text
    await admin.http.post(role, data={**change, "version": "2", "description": "Kept."})
    emptied = await admin.http.post(role, data={**change, "version": "3", "name": " "})
    assert emptied.status_code == 422
    assert 'name="description" value=""' in emptied.text
    assert (await admin.http.post(f"{role}/remove")).headers["location"] == HERE
    assert (await admin.http.get(role)).status_code == 404


async def test_a_form_that_names_no_visibility_takes_no_rule_away(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    tool = (await admin.get("/tools", text="calculator")).json()["items"][0]["id"]
    role = await _role(admin, default_visibility="ALLOW")
    await admin.http.post(f"{role}/rules", data={"tool_id": str(tool), "visibility": "DENY"})
    by_tool = f"/admin/t/default/tools/{tool}/roles/{role.rpartition('/')[2]}"
    rules = f"/roles/{role.rpartition('/')[2]}/rules"
    for path, form in ((f"{role}/rules", {"tool_id": str(tool)}), (by_tool, {})):
        refused = await admin.http.post(path, data=form)
        assert refused.status_code == 422
        assert "visibility is missing" in refused.text
        assert [rule["visibility"] for rule in (await admin.get(rules)).json()] == ["DENY"]
    assert (await admin.http.post(by_tool, data={"visibility": ""})).status_code == 303
    assert (await admin.get(rules)).json() == []


async def test_rules_are_set_explained_and_removed(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    tool = (await admin.get("/tools", text="calculator")).json()["items"][0]["id"]
    role = await _role(admin)
    rule = {"pattern": " *calc* ", "category": "", "visibility": "ALLOW", "approve": "require"}
    assert (await admin.http.post(f"{role}/rules", data=rule)).headers["location"] == role
    page = (await admin.http.get(role)).text
    assert "<bdi>*calc*</bdi>" in page
    assert "with approval" in page
    assert "*calc*" in (await admin.http.get(f"{role}/tools/{tool}")).text
    htmx = {"HX-Request": "true"}
    row = await admin.http.post(f"{role}/rules", data={"tool_id": str(tool), "visibility": "DENY"}, headers=htmx)
    assert row.text.startswith(f'<tr id="tool-{tool}">')
    assert "v-deny" in row.text
    for rule_id in re.findall(rf"{role}/rules/(\d+)/remove", (await admin.http.get(role)).text):
        assert (await admin.http.post(f"{role}/rules/{rule_id}/remove")).headers["location"] == role
    assert "No rules: the default applies to every tool." in (await admin.http.get(role)).text
    refused = await admin.http.post(f"{role}/rules", data={"tool_id": "4711", "visibility": "DENY"}, headers=htmx)
    assert (refused.status_code, "One of the rules is about a tool" in refused.text) == (404, True)


async def test_a_refused_rule_leaves_the_form_of_the_role_as_the_role_is(admin: Person) -> None:
    role = await _role(admin)
    await admin.http.post(role, data={"version": "1", "approve": "all"})
    rule = {"pattern": "*calc*", "category": "other", "visibility": "ALLOW", "approve": "waive"}
    refused = await admin.http.post(f"{role}/rules", data=rule)
    assert refused.status_code == 422
    assert "A rule is about exactly one of tool, pattern, server and category." in refused.text
    assert (_chosen(refused.text, "rule-approve"), _chosen(refused.text, "visibility")) == (["waive"], ["ALLOW"])
    # Whoever saves the role now does not take its approval away.
    assert _chosen(refused.text, "approve") == ["all"]
    assert '<select id="rule-approve" name="approve"' in refused.text
