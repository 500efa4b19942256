"""`modelgate profiles`: made, filled and deleted."""

from __future__ import annotations

import re

from tests.cli.shell import Shell


def test_a_profile_is_made_filled_and_deleted(shell: Shell) -> None:
    assert "/mcp/p/few" in shell.says("profiles", "create", "few", "--list", "chosen", "--description", "A few")
    assert shell.says("profiles", "list", "few") == "The profile few selects nothing yet.\n"
    shell.says("profiles", "set", "few", "in", "--server", "github")
    shell.says("profiles", "set", "few", "listed", "--tool", "github__create")
    shell.says("profiles", "set", "few", "out", "--pattern", "*delete*")
    assert re.search(r"^few +chosen +3 +A few$", shell.says("profiles", "list"), re.MULTILINE)
    assert re.search(r"server Github +SEARCH", shell.says("profiles", "list", "few"))
    shell.says("profiles", "unset", "few", "--pattern", "*delete*")
    shell.says("profiles", "update", "few", "--list", "all")
    assert re.search(r"^few +all +2 ", shell.says("profiles", "list"), re.MULTILINE)
    assert "few" not in shell.says("roles", "list")
    shell.says("profiles", "delete", "few")
    assert "There are no profiles yet" in shell.says("profiles", "list")
