"""`modelgate keys`: made, listed, changed, rotated and revoked."""

from __future__ import annotations

import re

from tests.cli.process import CommandLine
from tests.cli.shell import Shell

KEY = re.compile(r"^mg_[0-9a-f]{64}$", re.MULTILINE)


async def test_keys_are_made_once_listed_without_themselves_and_revoked(modelgate: CommandLine) -> None:
    made = await modelgate("keys", "create", "--name", "mine", "--expires", "30d")
    key = made.out.strip()
    assert re.fullmatch(r"mg_[0-9a-f]{64}", key)
    assert made.err == "Keep this key: it is not shown again.\n"
    shown = await modelgate("keys", "list")
    assert key not in shown.out
    assert key[:9] in shown.out
    number = re.search(r"^(\d+) ", shown.out, re.MULTILINE)
    assert number is not None
    assert (await modelgate("keys", "revoke", number[1])).out == f"Key {number[1]} is revoked.\n"
    assert "revoked" in (await modelgate("keys", "list")).out
    assert (await modelgate("keys", "revoke", number[1])).code == 1


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


def test_a_right_is_given_shown_kept_and_taken_away(shell: Shell) -> None:
    shell.says("keys", "create", "--name", "connector", "--right", "embed")
    listed = re.compile(r"connector +all +in force .* embed +none$", re.MULTILINE)
    assert listed.search(shell.says("keys", "list"))
    shell.says("keys", "update", "1", "--note", "")
    assert listed.search(shell.says("keys", "list"))
    shell.says("keys", "update", "1", "--no-rights")
    assert re.search(r"connector +all +in force .* none +none$", shell.says("keys", "list"), re.MULTILINE)
