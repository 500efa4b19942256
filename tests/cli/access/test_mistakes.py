"""What commands about access refuse, and the sentence that says so."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["roles", "set", "all", "ALLOW"], "exactly one of --tool"),
        (["roles", "set", "all", "ALLOW", "--tool", "a", "--server", "b"], "exactly one of --tool"),
        (["roles", "set", "all", "ALLOW", "--tool", "nothing"], "There is no tool 'nothing'"),
        (["roles", "set", "all", "ALLOW", "--server", "nobody"], "There is no server 'nobody'"),
        (["roles", "set", "all", "MAYBE", "--tool", "a"], "'MAYBE' is not one of"),
        (["roles", "create", "all"], "There is a role 'all' already"),
        (["roles", "list", "--tenant", "acme"], "There is no tenant 'acme'."),
        (["profiles", "create", "Not A Slug"], "it stands in a URL"),
        (["profiles", "delete", "none"], "There is no profile 'none'"),
        (["keys", "create", "--role", "nobody"], "There is no role 'nobody'"),
        (["keys", "create", "--requests-per-minute", "0"], "0 is not in the range"),
        (["keys", "rotate", "7", "--overlap", "soon"], "no time span"),
        (["keys", "rotate", "7"], "There is no key 7 in force"),
        (["tenants", "create", "default"], "There is a tenant 'default' already"),
        (["tenants", "delete", "default", "--confirm", "default"], "The default tenant cannot be deleted"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(shell: Shell, arguments: list[str], told: str) -> None:
    assert told in shell.fails(*arguments)
