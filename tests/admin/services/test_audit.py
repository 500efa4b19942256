"""The audit log through the REST API."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway


async def _until(person: Person, action: str, count: int) -> list[dict[str, Any]]:
    """Rows of the audit log, which is written beside the requests."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        rows = (await person.get("/audit", action=action)).json()["items"]
    return rows


async def test_changes_are_in_the_trace_with_who_made_them(admin: Person) -> None:
    await admin.post("/roles", {"name": "ops"})
    [row] = await _until(admin, "role.added", 1)
    assert (row["actor_kind"], row["actor_name"], row["target"]) == ("admin", "ada", "ops")
    assert row["address"] == "127.0.0.1"


async def test_the_trace_is_paged_and_exported(gateway: RunningGateway, admin: Person) -> None:
    for number in range(5):
        await admin.post("/roles", {"name": f"role {number}"})
    page = (await admin.get("/audit", action="role.added", limit=2)).json()
    seen = [row["target"] for row in page["items"]]
    while page["next"]:
        page = (await admin.get("/audit", action="role.added", limit=2, cursor=page["next"])).json()
        seen += [row["target"] for row in page["items"]]
    assert seen == [f"role {number}" for number in reversed(range(5))]
    lines = (await admin.get("/audit/export")).text.splitlines()
    assert {json.loads(line)["target"] for line in lines} >= set(seen)
    table = await admin.get("/audit/export", format="csv")
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert {row["target"] for row in rows} >= set(seen)
    assert (await admin.get("/audit", cursor="nonsense")).json()["field"] == "cursor"
