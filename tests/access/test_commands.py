"""Access on the command line: tenants, roles, profiles, keys."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.database.pool import open_database
from gateway.errors import ModelGateError
from gateway.settings import load_settings
from tests.support.catalogue import add_tools
from tests.support.cluster import Cluster

KEY = re.compile(r"^mg_[0-9a-f]{64}$", re.MULTILINE)


class Shell:
    """Runs commands on a database of its own that has three tools."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner(env=self._environ).invoke(cli, arguments, input=typed)

    def says(self, *arguments: str, typed: str = "") -> str:
        """What a command that goes well says."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def fails(self, *arguments: str, typed: str = "") -> str:
        """The sentence of a command that fails."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code != 0
        if isinstance(result.exception, ModelGateError):
            return result.exception.message
        assert isinstance(result.exception, SystemExit)
        return result.output


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    name = asyncio.run(cluster.create())
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_DATA_DIR": str(tmp_path),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
    }

    async def fill() -> None:
        async with open_database(load_settings(environ=environ), size=2) as database:
            await add_tools(
                database, 1, [("github", "create", "git"), ("github", "delete", "git"), ("files", "read", "other")]
            )

    asyncio.run(fill())
    yield Shell(environ)
    asyncio.run(cluster.drop(name))


def test_a_role_is_made_ruled_explained_and_deleted(shell: Shell) -> None:
    assert "by default it sees DENY" in shell.says("roles", "create", "dev", "--description", "Developers")
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


def test_a_key_is_shown_once_changed_rotated_and_revoked(shell: Shell) -> None:
    shell.says("roles", "create", "dev")
    said = shell.says(
        *("keys", "create", "--name", "ci", "--role", "dev", "--role", "all", "--expires", "30d", "--note", "build"),
        *("--requests-per-minute", "60", "--calls-per-day", "500"),
    )
    (key,) = KEY.findall(said)
    listed = shell.says("keys", "list")
    assert key not in listed
    assert re.search(r"ci +all, dev +in force .* 60 requests/min, 0 of 500 calls today +build$", listed, re.MULTILINE)
    shell.says("keys", "update", "1", "--no-limits", "--concurrent-calls", "2", "--role", "dev", "--note", "")
    assert re.search(r"ci +dev +in force .* 2 calls at once$", shell.says("keys", "list"), re.MULTILINE)
    rotated = shell.says("keys", "rotate", "1", "--overlap", "1h")
    assert len(KEY.findall(rotated)) == 1
    assert "Key 2 takes over from key 1, which ends in 1:00:00." in rotated
    assert shell.says("keys", "revoke", "1") == "Key 1 is revoked.\n"
    assert re.search(r"^1 .* revoked ", shell.says("keys", "list"), re.MULTILINE)


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
