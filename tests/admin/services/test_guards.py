"""Guards over the REST API, and what one would have done about the last calls."""

from __future__ import annotations

from pathlib import Path

from gateway.guards.rule import GuardRule
from tests.admin.conftest import Person
from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool


async def test_a_guard_is_made_shown_changed_and_removed_and_a_viewer_only_looks(
    gateway: RunningGateway, admin: Person, viewer: Person
) -> None:
    body = {"guard": "personal", "action": "mask", "options": {"kinds": ["mail"]}}
    made = await admin.put("/guards/no mail", body)
    assert made.status_code == 200, made.text
    assert made.json()["stages"] == ["arguments", "result"]
    assert (await viewer.get("/guards")).json() == [made.json()]
    assert (await viewer.put("/guards/other", body)).status_code == 403
    again = await admin.put("/guards/no mail", {**body, "action": "deny", "version": made.json()["version"]})
    assert (again.json()["action"], again.json()["version"]) == ("deny", 2)
    assert (await admin.put("/guards/no mail", {**body, "version": 1})).status_code == 409
    wrong = await admin.put("/guards/no mail", {**body, "options": {"kinds": ["shoes"]}})
    assert (wrong.status_code, "kinds" in wrong.json()["detail"]) == (422, True)
    url = "http://a.test/judge?token=whsec_query"
    hook = await admin.put("/guards/hook", {"guard": "webhook", "action": "deny", "options": {"url": url}})
    assert hook.json()["new_secret"].startswith("whsec_")
    assert (await admin.get("/guards/hook")).json()["options"] == {"url": url}
    assert (await viewer.get("/guards/hook")).json()["options"] == {"url": "http://a.test/judge"}
    assert (await admin.get("/guards/hook")).json()["new_secret"] is None
    assert (await admin.delete("/guards/hook")).status_code == 204
    assert (await admin.get("/guards/hook")).status_code == 404
    rows = await audit_rows(gateway.parts.database, action="guard.", wanted=4)
    assert [row["action"] for row in rows] == ["guard.removed", "guard.added", "guard.changed", "guard.added"]
    assert "whsec_" not in str(rows)


async def test_a_dry_run_says_what_a_guard_would_have_done_and_does_nothing(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    await add_listed(gateway.parts, tmp_path, tool("send", "Sends it", to="To whom"))
    for to in ("anna@example.org", "nobody", "password=correcthorsebattery"):
        assert not (await gateway.call("listed__send", {"to": to})).get("isError")
    await audit_rows(gateway.parts.database, action="tool.call", wanted=3)
    rule = GuardRule("no mail", "personal", "deny", enabled=False)
    await gateway.parts.guards.rules.set(1, rule)
    report = (await admin.post("/guards/no mail/dry-run", calls=50)).json()
    example = report["examples"][0]
    assert (example.pop("target"), example.pop("key")) == ("listed__send", "test")
    assert (example["stage"], example["verdict"], example["count"]) == ("arguments", "denied", 1)
    assert (report["calls"], report["arguments"], report["results"], report["masked"]) == (3, 3, 0, 1)
    assert report["verdicts"] == {"denied": 1}
    assert "anna" not in str(report)
    await gateway.parts.guards.rules.set(1, GuardRule("elsewhere", "personal", "deny", pattern="*nothing*"))
    elsewhere = (await admin.post("/guards/elsewhere/dry-run")).json()
    assert (elsewhere["arguments"], elsewhere["verdicts"]) == (0, {})
