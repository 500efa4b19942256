"""`modelgate approvals`: listed, shown, approved and denied."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.components import open_components
from gateway.settings import load_settings
from tests.cli.shell import Shell
from tests.guards.approval.asked_calls import asked_tool, key_caller
from tests.support.cluster import Cluster


@pytest.fixture
def asked(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Shell, list[str]]]:
    """A shell on a database in which two calls wait, and their ids."""
    name = asyncio.run(cluster.create())
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_DATA_DIR": str(tmp_path),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
    }

    async def ask() -> list[str]:
        async with open_components(load_settings(environ=environ)) as parts:
            bank = await asked_tool(parts, tmp_path)
            return [
                (await bank.ask(parts.approvals, key_caller(1), {"to": f"Eve \x1b[31m{number}", "amount": number})).id
                for number in (1, 2)
            ]

    ids = asyncio.run(ask())
    yield Shell(environ), ids
    asyncio.run(cluster.drop(name))


def test_calls_are_listed_shown_and_decided(asked: tuple[Shell, list[str]]) -> None:
    shell, (first, second) = asked
    listed = shell.says("approvals", "list")
    assert re.search(rf"^{first} +asked +bank__pay +agent ", listed, re.MULTILINE)
    assert {each["id"] for each in json.loads(shell.says("approvals", "list", "--json"))} == {first, second}

    shown = shell.says("approvals", "show", first)
    assert "Tool: bank__pay of Bank" in shown
    assert "The tool says: Pays." in shown
    assert '"amount": 1' in shown
    assert "\x1b" not in shown
    assert json.loads(shell.says("approvals", "show", first, "--json"))["arguments"]["amount"] == 1

    assert "bank__pay may be called as it was asked" in shell.says("approvals", "approve", first)
    assert "is approved by" in shell.fails("approvals", "deny", first)
    shell.says("approvals", "deny", second, "--reason", "not today")
    assert shell.says("approvals", "list") == "No call waits for approval.\n"
    every = shell.says("approvals", "list", "--all")
    assert re.search(rf"^{second} +denied ", every, re.MULTILINE)
    assert "not today" in shell.says("approvals", "show", second)
    assert "There is no approval 'ap_1'" in shell.fails("approvals", "show", "ap_1")


def test_roles_say_which_calls_wait(shell: Shell, tmp_path: Path) -> None:
    shell.says("roles", "create", "dev", "--default", "SEARCH")
    assert "may destroy something wait" in shell.says("roles", "approve", "dev", "destructive")
    shell.says("roles", "set", "dev", "SEARCH", "--pattern", "*delete*", "--approve", "require")
    # What is said of approval stays where a rule is set anew without it.
    shell.says("roles", "set", "dev", "ALLOW", "--pattern", "*delete*")
    listed = shell.says("roles", "list", "dev")
    assert re.search(r"pattern \*delete\* +ALLOW +require", listed)
    assert "Calls of tools that may destroy something wait for approval." in listed
    document = shell.says("export")
    assert "approve: destructive" in document
    assert "approve: require" in document
    shell.says("roles", "approve", "dev", "none")
    shell.says("roles", "set", "dev", "ALLOW", "--pattern", "*delete*", "--approve", "waive")
    file = tmp_path / "exported.yaml"
    file.write_text(document, encoding="utf-8")
    assert "dev" in shell.says("apply", str(file))
    assert shell.says("export") == document
    shell.says("profiles", "create", "careful")
    shell.says("profiles", "set", "careful", "in", "--pattern", "github__*", "--approve", "require")
    assert re.search(r"pattern github__\* +SEARCH +require", shell.says("profiles", "list", "careful"))
    shell.says("keys", "create", "--right", "approve")
    assert re.search(r" approve ", shell.says("keys", "list"))
