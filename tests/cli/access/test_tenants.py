"""`modelgate tenants`: made, renamed, suspended and deleted."""

from __future__ import annotations

import re

from tests.cli.shell import Shell


def test_a_tenant_is_deleted_only_when_its_slug_is_typed(shell: Shell) -> None:
    shell.says("tenants", "create", "acme", "--name", "Acme")
    shell.says("roles", "create", "dev", "--tenant", "acme")
    shell.says("keys", "create", "--role", "dev", "--tenant", "acme")
    shell.says("tenants", "rename", "acme", "Acme & Sons")
    shell.says("tenants", "suspend", "acme")
    assert re.search(r"^acme +Acme & Sons +suspended$", shell.says("tenants", "list"), re.MULTILINE)
    shell.says("tenants", "resume", "acme")
    assert "Nothing is deleted" in shell.fails("tenants", "delete", "acme", typed="default\n")
    assert "Nothing is deleted" in shell.fails("tenants", "delete", "acme", typed="\n")
    assert "is deleted" in shell.says("tenants", "delete", "acme", typed="acme\n")
    assert shell.says("tenants", "list").count("\n") == 2
