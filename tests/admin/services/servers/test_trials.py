"""Trying servers before they are saved, through the REST API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import LOCAL_MCP


def _local(root: Path, **more: Any) -> dict[str, Any]:
    args = [str(LOCAL_MCP), "--root", str(root)]
    return {"name": "Local MCP", "transport": "stdio", "command": sys.executable, "args": args, **more}


async def test_a_server_is_tried_before_it_is_saved(admin: Person, tmp_path: Path) -> None:
    tried = (await admin.post("/servers/test", {"server": _local(tmp_path)})).json()
    assert tried["ok"], tried
    assert "calculator" in tried["tools"]
    assert (await admin.get("/servers")).json() == []
    broken = {**_local(tmp_path), "args": ["-c", "import sys; sys.exit('it is broken')"]}
    tried = (await admin.post("/servers/test", {"server": broken})).json()
    assert (tried["ok"], "it is broken" in tried["log"] + tried["error"]) == (False, True)


async def test_a_changed_server_is_tried_with_its_stored_secrets(admin: Person, tmp_path: Path) -> None:
    made = (await admin.post("/servers", _local(tmp_path))).json()
    body = {"server_id": made["card"]["id"], "change": {"description": "x"}}
    assert (await admin.post("/servers/test", body)).json()["ok"]
    assert (await admin.post("/servers/test", {})).status_code == 422
