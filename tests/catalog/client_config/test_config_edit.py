"""The gateway put into configuration files of clients: their own bytes stay, and come back."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog.client_config.client import CLIENTS, Client, GatewayAddress, client_by_id
from gateway.catalog.client_config.config_edit import backup_path, has_entry, key_in_entry, put_entry, undo_entry
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

KEY = "mg_" + "ab" * 32
GATEWAY = GatewayAddress("http://127.0.0.1:8080/mcp", KEY)

JSON_FILES = {
    "empty": "",
    "an empty object": "{}\n",
    "an empty object over two lines": "{\n}\n",
    "no servers": '{\n  "theme": "dark"\n}\n',
    "no servers on one line": '{"theme": "dark"}',
    "an empty object of servers": '{\n\t"mcpServers": {}\n}',
    "another server": '{\n    "mcpServers": {\n        "one": {"command": "x"}\n    },\n    "z": [1, {"a": null}]\n}\n',
    "comments and trailing commas": (
        '// mine\n{\n  /* a } */ "mcpServers": {\n    "one": { "url": "http://x//y" }, // the first "one"\n'
        "    // and no other\n  },\n}\n// end"
    ),
    "a comment behind the last": '{\n  "mcpServers": {\n    "one": {} // why\n  }\n}\n',
    "only a comment in the servers": '{\n  "mcpServers": {\n    // none yet\n  }\n}\n',
    "Windows": '{\r\n  "mcpServers": {\r\n    "one": {}\r\n  }\r\n}\r\n',
    "a byte order mark": '\ufeff{\n  "mcpServers": {\n    "one": {}\n  }\n}\n',
    "odd texts": '{"a\\"b": "\\\\", "mcpServers": {"é {": "}"}}',
}
TOML_FILES = {
    "empty": "",
    "settings": 'model = "o5"\n\n[tui]\ntheme = "x"\n',
    "no line break at the end": 'model = "o5"',
    "another server": '[mcp_servers.one]\ncommand = "x"\n# of the next\n[[list]]\na = 1\n',
    "a text that looks like a table": (
        'text = """\n[mcp_servers.modelgate]\nurl = "no"\n"""\n[other]\nb = \'\'\'\n[x]\'\'\'\n'
    ),
    "Windows": '[mcp_servers.one]\r\ncommand = "x"\r\n',
}
YAML_FILES = {
    "empty": "",
    "only a comment": "# nothing yet\n",
    "settings": "version: 1.2.1\ncache: true # fast\n",
    "another server": (
        "# mine\nextensions:\n  # the first\n  one:\n    cmd: x\n    args: [a, b]\n\nkeep: |\n  text:\n    more\n"
    ),
    "no value": "extensions:\nother: 1\n",
    "an empty mapping": "extensions: {}\nother: 1\n",
    "a mapping on one line": "extensions: {one: {cmd: x}}\n",
    "no line break at the end": "a: 1\nextensions:\n    one: {cmd: x}",
    "Windows": "a: 1\r\nextensions:\r\n  one:\r\n    cmd: x\r\n",
}
FILES = [
    *(("cursor", name, text) for name, text in JSON_FILES.items()),
    *(("codex", name, text) for name, text in TOML_FILES.items()),
    *(("goose", name, text) for name, text in YAML_FILES.items()),
]


def file_of(client: Client, folder: Path, text: str) -> Path:
    path = folder / f"config.{client.format}"
    path.write_bytes(text.encode())
    return path


def put(client: Client, path: Path, gateway: GatewayAddress = GATEWAY) -> None:
    put_entry(client, path, client.build_entry(gateway)).write()


@pytest.mark.parametrize(("client_id", "name", "text"), FILES)
def test_what_else_is_in_a_file_stays_and_comes_back_to_the_byte(
    client_id: str, name: str, text: str, tmp_path: Path
) -> None:
    client = client_by_id(client_id)
    path = file_of(client, tmp_path, text)
    change = put_entry(client, path, client.build_entry(GATEWAY))
    removed = [line for line in change.diff().splitlines()[2:] if line.startswith("-")]
    assert len(removed) <= 2, change.diff()
    change.write()
    assert has_entry(client, path)
    assert key_in_entry(client, path) == KEY
    written = path.read_bytes()
    assert b"\r\n" not in text.encode() or written.count(b"\n") == written.count(b"\r\n")
    # Another key takes the place of the first and of nothing else.
    put(client, path, replace(GATEWAY, key="mg_" + "cd" * 32))
    assert path.read_bytes() == written.replace(b"ab" * 32, b"cd" * 32)
    undo_entry(client, path).write()
    assert path.read_bytes() == text.encode()
    assert not backup_path(path).exists()


@pytest.mark.parametrize(
    ("client_id", "text", "own", "other"),
    [
        ("cursor", '{\n  "mcpServers": {\n    "one": {}\n  }\n}\n', '"one": {}', '"one": {"command": "new"}'),
        ("codex", 'a = 1\n\n[mcp_servers.one]\ncommand = "x"\n', "a = 1", "a = 2 # new"),
        ("goose", "extensions:\n  one:\n    cmd: x # why\nb: 1\n", "b: 1", "b: 2 # new"),
    ],
)
def test_what_changed_since_stays_when_the_entry_is_taken_out(
    client_id: str, text: str, own: str, other: str, tmp_path: Path
) -> None:
    client = client_by_id(client_id)
    path = file_of(client, tmp_path, text)
    put(client, path)
    path.write_text(path.read_text().replace(own, other))
    undo_entry(client, path).write()
    assert path.read_text() == text.replace(own, other)


def test_an_entry_that_was_there_before_comes_back(tmp_path: Path) -> None:
    client = client_by_id("cursor")
    path = file_of(client, tmp_path, '{"mcpServers": {"modelgate": {"url": "http://mine"}}}')
    put(client, path)
    path.write_text(path.read_text() + "\n// later\n")
    undo_entry(client, path).write()
    assert "http://mine" in path.read_text()
    assert path.read_text().endswith("// later\n")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_a_file_that_was_not_there_is_its_owners_alone_and_goes_again(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    put(client, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == client.snippet(GATEWAY)
    undo_entry(client, path).write()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(NotFoundError):
        undo_entry(client, path)


def test_a_file_that_changed_since_the_preview_is_not_written(tmp_path: Path) -> None:
    client = client_by_id("cursor")
    path = file_of(client, tmp_path, "{}")
    change = put_entry(client, path, client.build_entry(GATEWAY))
    path.write_text('{"new": 1}')
    with pytest.raises(ConflictError, match="has changed since"):
        change.write()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == '{"new": 1}'


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    client = client_by_id("zed")
    target = file_of(client, tmp_path, "{}")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    put(client, link)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert stat.S_IMODE(backup_path(target).stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("client_id", "text", "message"),
    [
        ("cursor", '{"mcpServers": [1]}', "is no JSON object"),
        ("cursor", "[]", "no JSON object"),
        ("cursor", '{"a": 1', "not valid JSON"),
        ("cursor", '{"a": "b', "not valid JSON"),
        ("cursor", "{" * 300, "not valid JSON"),
        ("cursor", '{"mcpServers": {}, "mcpServers": {"one": {}}}', "put the entry in by hand"),
        ("codex", 'mcp_servers = { one = { command = "x" } }\n', "put the entry in by hand"),
        ("codex", "a = \n", "not valid TOML"),
        ("goose", "- one\n", "no mapping"),
        ("goose", "a: 1\n---\nb: 2\n", "not valid YAML: expected a single document"),
        ("goose", "a: [", "not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_changed_safely_is_left_alone(
    client_id: str, text: str, message: str, tmp_path: Path
) -> None:
    client = client_by_id(client_id)
    path = file_of(client, tmp_path, text)
    with pytest.raises(InvalidInputError, match=message):
        put_entry(client, path, client.build_entry(GATEWAY))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not a text file in UTF-8"):
        put_entry(client, path, client.build_entry(GATEWAY))


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab\"'\\/{}[]:,#é \n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab#:-é", max_size=4), inner, max_size=3),
    max_leaves=8,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "first": plain,
        "mcpServers": st.dictionaries(st.text("abc é", max_size=3), plain, max_size=3),
        "z": plain,
    },
)


@given(document=documents, indent=st.sampled_from([None, 1, 4, "\t"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_file_comes_back(document: dict[str, Any], indent: int | str | None, tmp_path: Path) -> None:
    comes_back(client_by_id("cursor"), json.dumps(document, indent=indent), tmp_path)


@given(document=documents, flow=st.sampled_from([None, False, True]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_yaml_file_comes_back(document: dict[str, Any], flow: bool | None, tmp_path: Path) -> None:
    comes_back(
        client_by_id("librechat"), yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True), tmp_path
    )


def comes_back(client: Client, text: str, folder: Path) -> None:
    """Put in with a backup and taken out, and taken out by hand of what has changed since."""
    path = file_of(client, folder, text)
    backup_path(path).unlink(missing_ok=True)
    put(client, path)
    with_entry = path.read_text()
    undo_entry(client, path).write()
    assert path.read_text() == text
    path.write_text(with_entry)
    undo_entry(client, path).write()
    assert not has_entry(client, path)
