"""`modelgate roles`: made, given rules, explained and deleted."""

from __future__ import annotations

import re

from tests.cli.shell import Shell


def test_a_role_is_made_ruled_explained_and_deleted(shell: Shell) -> None:
    assert "What no rule is about is DENY" in shell.says("roles", "create", "dev", "--description", "Developers")
    shell.says("roles", "set", "dev", "ALLOW", "--server", "Github")
    shell.says("roles", "set", "dev", "deny", "--pattern", "*delete*")
    shell.says("roles", "set", "dev", "SEARCH", "--tool", "Files/read")
    assert re.search(r"^dev +DENY +3 +0 +Developers$", shell.says("roles", "list"), re.MULTILINE)
    rules = shell.says("roles", "list", "dev")
    assert re.search(r"tool files__read +SEARCH", rules)
    assert re.search(r"pattern \*delete\* +DENY", rules)
    assert "What no rule is about is DENY." in rules
    told = shell.says("roles", "explain", "dev", "github__delete")
    assert told.startswith("github__delete: DENY: rule ")
    assert "about the pattern *delete* decides" in told
    shell.says("roles", "unset", "dev", "--pattern", "*delete*")
    assert "about the server Github decides" in shell.says("roles", "explain", "dev", "github/delete")
    assert shell.fails("roles", "unset", "dev", "--pattern", "*delete*") == "There is no rule about that."
    shell.says("roles", "default", "dev", "SEARCH")
    shell.says("roles", "unset", "dev", "--tool", "files__read")
    assert "the role's default SEARCH decides" in shell.says("roles", "explain", "dev", "files__read")
    shell.says("roles", "delete", "dev")
    assert shell.fails("roles", "list", "dev") == "There is no role 'dev'; there are: all."
