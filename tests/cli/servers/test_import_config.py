"""`modelgate servers import`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.process import CommandLine

CASES = Path(__file__).parents[2] / "cases"


async def test_servers_are_imported_and_the_bad_ones_told(modelgate: CommandLine, tmp_path: Path) -> None:
    entries = {
        "good": {"command": "x", "env": {"TOKEN": "secret"}},
        "web": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": "Bearer secret"}},
        "neither": {},
        "control\u0007": {"command": "x"},
    }
    (tmp_path / "client.json").write_text(json.dumps({"mcpServers": entries}))
    ended = await modelgate("servers", "import", "client.json")
    assert ended.code == 1
    assert "Not added: neither: there is neither a command nor a url.\n" in ended.err
    assert "Not added: The server name 'control\\x07' has to be" in ended.err
    assert ended.out == "2 of 4 servers are added; bring their tools in with modelgate sync.\n"
    again = await modelgate("servers", "import", "client.json")
    assert (again.code, again.out.split(" are")[0]) == (1, "0 of 4 servers")
    shown = await modelgate("servers", "list")
    assert "secret" not in shown.out
    (tmp_path / "client.json").write_text("{")
    assert (await modelgate("servers", "import", "client.json")).err.startswith("Error: This is not valid JSON: ")


async def test_what_is_disabled_or_lacks_a_value_is_added_disabled_and_told(
    modelgate: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "client.json").write_text((CASES / "import-mixed.json").read_text())
    ended = await modelgate("servers", "import", "client.json", "--value", "MY_TOKEN=t0ken")
    assert ended.code == 0
    assert ended.out == "5 of 5 servers are added; bring their tools in with modelgate sync.\n"
    assert "vars is left disabled: there is no value for MY_ARG; set it there, then enable it.\n" in ended.err
    assert "off is left disabled, as it is in the file.\n" in ended.err
    shown = (await modelgate("servers", "list")).out
    disabled = [line.split()[0] for line in shown.splitlines() if "disabled" in line or " off " in line]
    assert {"vars", "off"} <= set(disabled)
    assert "${" not in (await modelgate("servers", "show", "vars")).out


async def test_values_are_given_on_the_command_line(modelgate: CommandLine, tmp_path: Path) -> None:
    entry = {"command": "x", "args": ["${A}", "${input:b}", "${workspaceFolder}/c"]}
    (tmp_path / "client.json").write_text(json.dumps({"servers": {"one": entry}}))
    values = [part for pair in ("A=1", "input:b=2=3", "workspaceFolder=/w") for part in ("--value", pair)]
    ended = await modelgate("servers", "import", "client.json", *values)
    assert (ended.code, ended.err) == (0, "")
    shown = (await modelgate("servers", "show", "one")).out
    assert "disabled" not in shown
