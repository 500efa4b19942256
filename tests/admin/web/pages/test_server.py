"""The list of servers and the page of one, without a browser."""

from __future__ import annotations

from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp

HERE = "/admin/t/default"


async def test_the_list_of_servers_counts_tools_in_quarantine(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    assert " quarantined" not in (await admin.http.get(f"{HERE}/servers")).text
    tools = (await admin.get("/tools")).json()["items"]
    for tool in tools[:2]:
        assert (await admin.post(f"/tools/{tool['id']}/quarantine")).status_code == 200
    assert (await admin.get("/servers")).json()[0]["quarantined"] == 2
    page = (await admin.http.get(f"{HERE}/servers")).text
    assert f"{HERE}/tools?server={server_id}&amp;state=quarantined" in page
    assert "2 quarantined" in page
    hidden = await admin.http.get(f"{HERE}/tools", params={"server": server_id, "state": "quarantined"})
    assert [tool["name"] for tool in tools if f">{tool['exposed_name']}<" in hidden.text] == [
        tool["name"] for tool in tools[:2]
    ]


async def test_the_page_of_a_server_tells_its_policy(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    for policy, words in (("quarantine", "is quarantined"), ("accept", "is accepted")):
        sent = await admin.http.post(f"{HERE}/servers/{server_id}/policy", data={"on_change": policy})
        assert sent.status_code == 303
        page = (await admin.http.get(f"{HERE}/servers/{server_id}")).text
        assert f'<option value="{policy}" selected>' in page
        assert f"<dd>{words}</dd>" in page
