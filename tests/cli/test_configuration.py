"""`modelgate export` and `modelgate apply`: one document, from one gateway into another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gateway.database.pool import open_database
from gateway.settings import load_settings
from tests.cli.shell import Shell
from tests.support.catalogue import add_tools
from tests.support.cluster import Cluster

SECRETS = ("s3cret-token", "header-secret", "bearer-secret", "arg-secret", "query-secret")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of its own, on the command line."""

    environ: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "", **values: str) -> str:
        return Shell({**self.environ, **values}).says(*arguments, typed=stdin)

    def fill(self, tools: Sequence[tuple[str, str, str]]) -> None:
        """Put tools into its catalogue."""

        async def work() -> None:
            async with open_database(load_settings(environ=self.environ), size=2) as database:
                await add_tools(database, 1, tools)

        asyncio.run(work())


@pytest.fixture
def gateways(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways, each with a database of its own."""
    names = [asyncio.run(cluster.create()) for _ in range(2)]
    yield tuple(
        Gateway(
            {
                "MODELGATE_DATABASE_URL": cluster.url(name),
                "MODELGATE_DATA_DIR": str(tmp_path / name),
                "MODELGATE_EMBEDDER_TYPE": "builtin",
                "MODELGATE_CONFIG": "/dev/null",
            }
        )
        for name in names
    )  # type: ignore[misc]
    for name in names:
        asyncio.run(cluster.drop(name))


@pytest.fixture
def gateway(gateways: tuple[Gateway, Gateway]) -> Gateway:
    return gateways[0]


def test_a_configuration_goes_from_one_gateway_into_another(gateways: tuple[Gateway, Gateway], tmp_path: Path) -> None:
    gateway, elsewhere = gateways
    gateway.fill([("plain", "read", "other"), ("plain", "write", "other")])
    gateway(
        "servers", "add", "Local", "--env", "TOKEN=s3cret-token", "--", "x", "--api-key", "arg-secret", "--root", "/"
    )
    gateway("servers", "add", "Web", "http://127.0.0.1:1/mcp?k=query-secret", "--header", "X: header-secret")
    gateway("servers", "set", "Web", "--call-timeout", "7")
    gateway("roles", "create", "office", "--description", "works here")
    gateway("roles", "set", "office", "ALLOW", "--server", "Local")
    gateway("roles", "set", "office", "DENY", "--pattern", "*delete*")
    gateway("roles", "set", "office", "SEARCH", "--tool", "plain/read")
    gateway("profiles", "create", "few", "--list", "chosen")
    gateway("profiles", "set", "few", "listed", "--category", "git")

    gateway("tools", "override", "plain/read", "--name", "look", "--description", "Looks at things.")
    gateway("tools", "override", "plain/write", "--profile", "few", "--title", "Write")
    gateway("tools", "disable", "plain/write")

    exported = gateway("export")
    assert not any(secret in exported for secret in SECRETS)
    document = yaml.safe_load(exported)
    assert document["modelgate"] == 1
    assert [server["name"] for server in document["servers"]] == ["Local", "Plain", "Web"]
    assert document["servers"][0]["args"] == ["--api-key", "${LOCAL_ARG_2}", "--root", "/"]
    assert document["servers"][0]["env"] == {"TOKEN": "${LOCAL_TOKEN}"}
    assert document["servers"][2]["limits"] == {"call_timeout_seconds": 7.0}
    assert document["overrides"] == [
        {"tool": "Plain/read", "name": "look", "description": "Looks at things."},
        {"tool": "Plain/write", "profile": "few", "title": "Write"},
    ]
    assert document["disabled_tools"] == ["Plain/write"]
    (tmp_path / "gate.yaml").write_text(exported)
    # At home everything is as the document has it, with the secrets that are stored.
    assert gateway("apply", f"{tmp_path}/gate.yaml", "--prune") == "Nothing is to be changed.\n"

    shown = elsewhere("apply", f"{tmp_path}/gate.yaml", "--dry-run")
    assert shown.endswith("would be changed.\n")
    assert elsewhere("servers", "list") == "There are no servers yet; add one with modelgate servers add.\n"

    done = elsewhere("apply", f"{tmp_path}/gate.yaml", "--json", LOCAL_TOKEN="s3cret-token", LOCAL_ARG_2="arg-secret")
    changes = {(each["section"], each["name"]): each for each in json.loads(done)}
    assert changes["server", "Local"] == {"section": "server", "name": "Local", "change": "added", "note": None}
    assert "there is no value for WEB_URL_QUERY, WEB_X" in changes["server", "Web"]["note"]
    assert changes["rule", "office: ALLOW server Local"]["change"] == "added"
    assert changes["rule", "office: SEARCH tool Plain/read"]["change"] == "skipped"
    assert changes["role", "all"]["change"] == "unchanged"
    listed = (elsewhere("servers", "list")).splitlines()
    assert ["disabled" in line for line in listed[1:4]] == [False, False, True]
    again = json.loads(elsewhere("apply", f"{tmp_path}/gate.yaml", "--json"))
    assert {each["change"] for each in again} == {"unchanged", "skipped"}
    # Once its tools are there, it says the same but for what waits for its secrets.
    assert changes["override", "Plain/write at few"]["change"] == "skipped"
    elsewhere("servers", "remove", "Plain", stdin="y\n")
    elsewhere.fill([("plain", "read", "other"), ("plain", "write", "other")])
    synced = {
        (each["section"], each["name"]): each
        for each in json.loads(elsewhere("apply", f"{tmp_path}/gate.yaml", "--json"))
    }
    assert synced["rule", "office: SEARCH tool Plain/read"]["change"] == "added"
    taken_over = yaml.safe_load(elsewhere("export"))
    assert taken_over["servers"][0] == document["servers"][0]
    sections = ("roles", "profiles", "overrides", "disabled_tools")
    assert [taken_over[section] for section in sections] == [document[section] for section in sections]
    assert elsewhere("apply", f"{tmp_path}/gate.yaml").endswith("Nothing is to be changed.\n")
    without = exported.replace("overrides:", "overrides: []\nx:").partition("x:")[0] + "disabled_tools: []\n"
    (tmp_path / "without.yaml").write_text(without)
    pruned = elsewhere("apply", f"{tmp_path}/without.yaml", "--prune", "--yes")
    assert pruned.count("- override") == 2
    assert "- disabled tool Plain/write" in pruned
    given = elsewhere("apply", f"{tmp_path}/gate.yaml", WEB_URL_QUERY="k=query-secret", WEB_X="header-secret")
    assert "~ server Web" in given
    assert "disabled" not in elsewhere("servers", "list")


def test_what_the_file_lacks_stays_unless_it_is_pruned(gateway: Gateway, tmp_path: Path) -> None:
    gateway("servers", "add", "Old", "http://127.0.0.1:1/mcp")
    gateway("roles", "create", "old")
    gateway("roles", "set", "old", "DENY", "--pattern", "*")
    document = "modelgate: 1\nservers: []\nroles:\n- name: all\n  default: SEARCH\n- {name: old, description: still}\n"
    (tmp_path / "gate.yaml").write_text(document)
    assert "~ role old" in gateway("apply", f"{tmp_path}/gate.yaml")
    assert "Old" in gateway("servers", "list")
    assert "pattern" in gateway("roles", "list", "old")
    assert "- server Old" in Shell(gateway.environ).fails("apply", f"{tmp_path}/gate.yaml", "--prune", typed="n\n")
    assert "Old" in gateway("servers", "list")
    pruned = gateway("apply", "-", "--prune", "--yes", stdin=document)
    assert "- server Old" in pruned
    assert "- rule old: DENY pattern *" in pruned
    assert gateway("apply", f"{tmp_path}/gate.yaml", "--prune") == "Nothing is to be changed.\n"
    # A section that is not there at all is nobody's to prune.
    (tmp_path / "none.yaml").write_text("modelgate: 1\n")
    assert gateway("apply", f"{tmp_path}/none.yaml", "--prune") == "Nothing is to be changed.\n"


def test_a_stored_secret_does_not_go_to_another_address(gateway: Gateway, tmp_path: Path) -> None:
    gateway("servers", "add", "Web", "http://127.0.0.1:1/mcp", "--header", "X: header-secret")
    moved = (gateway("export")).replace("127.0.0.1:1", "evil.example")
    (tmp_path / "gate.yaml").write_text(moved)
    assert "there is no value for WEB_X" in gateway("apply", f"{tmp_path}/gate.yaml")
    assert "disabled" in gateway("servers", "list")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("modelgate: 2\n", "cannot be read at modelgate"),
        ("- a\n", "cannot be read at the document"),
        ("modelgate: 1\nserver: []\n", "cannot be read at server: it is not known here."),
        ("servers: []\n", "cannot be read at modelgate: it is missing."),
        ("modelgate: 1\nservers: [{name: a, transport: pigeon}]\n", "cannot be read at servers.0.transport"),
        ("modelgate: 1\nservers: [{name: a, transport: stdio}]\n", "needs a command"),
        ("modelgate: 1\nroles: [{name: a}, {name: a}]\n", "names 'a' twice under roles"),
        ("modelgate: 1\nroles: [{name: a, rules: [{visibility: DENY}]}]\n", "exactly one of tool, pattern"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_document_that_is_none_changes_nothing(gateway: Gateway, tmp_path: Path, document: str, message: str) -> None:
    (tmp_path / "gate.yaml").write_text(document)
    assert message in Shell(gateway.environ).fails("apply", f"{tmp_path}/gate.yaml")
