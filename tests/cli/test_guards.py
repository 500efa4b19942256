"""`modelgate guards`: set, listed, tried and removed."""

from __future__ import annotations

import json
import re

from tests.cli.shell import Shell


def test_a_guard_is_made_listed_changed_tried_and_removed(shell: Shell) -> None:
    assert "There are no guards yet" in shell.says("guards", "list")
    assert shell.fails("guards", "set", "keys") == "A new guard needs --guard and --action."
    shell.says("guards", "set", "keys", "--guard", "secrets", "--action", "observe", "--server", "github")
    paths = ("--option", "allowed=/srv/data", "--option", "allowed=/tmp")
    shell.says("guards", "set", "paths", "--guard", "path", "--action", "deny", "--position", "5", *paths)
    listed = shell.says("guards", "list")
    assert re.search(
        r'^5 +paths +path +deny +arguments +tools +closed +{"allowed": \["/srv/data", "/tmp"\]}', listed, re.MULTILINE
    )
    assert re.search(r"^100 +keys +secrets +observe +arguments, result +tools; server Github", listed, re.MULTILINE)
    shell.says("guards", "set", "keys", "--action", "mask", "--disabled")
    (_, keys) = json.loads(shell.says("guards", "list", "--json"))
    assert (keys["rule"]["action"], keys["rule"]["enabled"], keys["server"]) == ("mask", False, "Github")
    report = json.loads(shell.says("guards", "try", "keys", "--json"))
    assert (report["calls"], report["verdicts"]) == (0, {})
    tried = shell.says("guards", "try", "keys", "--last", "10")
    assert tried == 'The trace has nothing that keys looks at; audit.results = "all" keeps results.\n'
    shell.says("guards", "remove", "keys")
    assert shell.fails("guards", "remove", "keys").startswith("There is no guard 'keys'")


def test_what_cannot_be_is_refused_in_a_sentence_that_names_it(shell: Shell) -> None:
    def refused(*more: str, name: str = "one") -> str:
        return shell.fails("guards", "set", name, *more)

    assert "knows no action mask" in refused("--guard", "size", "--action", "mask", "--option", "max_bytes=5")
    assert "The guard size needs the option max_bytes." in refused("--guard", "size", "--action", "deny")
    assert "The option bytes" in refused("--guard", "secrets", "--action", "deny", "--option", "bytes=5")
    assert "knows no stages result" in refused(
        "--guard", "host", "--action", "deny", "--on", "result", "--option", "allowed=a"
    )
    assert "There is no plugin 'nothing' installed" in refused(
        "--guard", "plugin", "--action", "deny", "--option", "plugin=nothing"
    )
    assert "has to begin with http:// or https://" in refused(
        "--guard", "webhook", "--action", "deny", "--option", "url=https://me:secret@example.com"
    )
    assert "A secret is for a webhook" in refused("--guard", "secrets", "--action", "deny", "--secret", "12345678")
    assert "The name of a guard" in refused("--guard", "secrets", "--action", "deny", name="../x")
    assert "There is no role 'nobody'" in refused("--guard", "secrets", "--action", "deny", "--role", "nobody")


def test_a_webhook_gets_a_secret_that_is_shown_once(shell: Shell) -> None:
    webhook = (
        "guards",
        "set",
        "judge",
        "--guard",
        "webhook",
        "--action",
        "deny",
        "--option",
        "url=https://example.com",
    )
    assert "whsec_" in shell.says(*webhook)
    assert "whsec_" not in shell.says(*webhook)
    assert "whsec_" not in shell.says("guards", "list", "--json")
