"""`modelgate connections`, and the commands that let persons in as who they are."""

from __future__ import annotations

import re

from tests.cli.conftest import shell as shell
from tests.cli.shell import Shell

TOKEN = "t0ken-that-nobody-may-see"


def test_a_server_lets_persons_in_one_connects_is_listed_and_disconnected(shell: Shell) -> None:
    shell.says("servers", "set", "Files", "--credential", "per_user", "--kind", "secret", "--to", "header:X-Key")
    assert re.search(r"^Personal credentials: +secret$", shell.says("servers", "show", "Files"), re.MULTILINE)
    assert shell.says("connections", "list") == "Nobody has connected anything.\n"
    # Before anything is asked for.
    assert "There is no server" in shell.fails("connections", "connect", "Nowhere")
    key = shell.says("keys", "create", "--name", "agent").splitlines()[0]
    assert "is connected for agent" in shell.says("connections", "connect", "Files", typed=f"{key}\n{TOKEN}\n")
    listed = shell.says("connections", "list", "--server", "Files")
    assert re.search(r"^agent +\d+ +Files +secret", listed, re.MULTILINE)
    assert TOKEN not in listed + shell.says("connections", "list", "--json") + shell.says("audit", "list", "--json")
    assert "Nobody goes by" in shell.fails("connections", "disconnect", "Files", "--person", "nobody")
    shell.says("connections", "disconnect", "Files", "--person", "agent")
    assert shell.says("connections", "list") == "Nobody has connected anything.\n"
    shell.says("connections", "connect", "Files", typed=f"{key}\n{TOKEN}\n")
    shell.says("connections", "forget", "agent")
    assert shell.says("connections", "list") == "Nobody has connected anything.\n"
    shell.says("servers", "set", "Files", "--credential", "per_user", "--kind", "header", "--from", "X-User-Token")
    assert "by what the proxy adds; there is nothing" in shell.fails("connections", "connect", "Files")
    shell.says("servers", "set", "Files", "--credential", "shared")
    assert "by its own credential; there is nothing" in shell.fails("connections", "connect", "Files")
    assert "Personal credentials" not in shell.says("servers", "show", "Files")


def test_the_owner_of_a_key_is_shown_changed_and_taken_away(shell: Shell) -> None:
    said = shell.says("keys", "create", "--name", "agent", "--owner", "ada")
    assert "It acts for ada once they have accepted it" in said
    assert "ada (not accepted)" in shell.says("keys", "list")
    shell.says("keys", "update", "1", "--note", "hers")
    assert "ada (not accepted)" in shell.says("keys", "list")
    shell.says("keys", "update", "1", "--no-owner")
    assert "ada" not in shell.says("keys", "list")


def test_options_that_do_not_go_together_are_refused(shell: Shell) -> None:
    for options, said in (
        (("--kind", "secret"), "go with --credential per_user"),
        (("--credential", "per_user"), "takes a --kind"),
        (("--credential", "per_user", "--kind", "header"), "--from"),
        (("--credential", "per_user", "--kind", "secret", "--to", "nowhere"), "--to is written"),
        (("--list-as", "ada"), "--credential per_user"),
    ):
        assert said in shell.fails("servers", "set", "Files", *options)
