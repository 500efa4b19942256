"""The settings in force, and an empty gateway, through the REST API."""

from __future__ import annotations

from tests.admin.conftest import Person


async def test_settings_are_shown_with_secrets_masked(admin: Person) -> None:
    settings = (await admin.get("/settings")).json()
    assert settings["database"]["url"] == "********"
    assert settings["search"]["threshold"] == 0.5


async def test_an_empty_gateway_has_an_overview(viewer: Person) -> None:
    for span in ("1h", "24h", "30d"):
        usage = (await viewer.get("/usage", span=span)).json()
        assert usage["totals"]["calls"] == 0
        assert usage["totals"]["call_p95_ms"] is None
    assert (await viewer.get("/overview")).json()["tools"] == 0
    assert (await viewer.get("/map")).json()["points"] == []
    assert (await viewer.get("/embedding")).json()["embedder"]["ok"]
