"""What the commands say of themselves, and how little that takes."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from gateway.cli import _COMMANDS, cli


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert _COMMANDS[name][1] == command.get_short_help_str(200)


@pytest.mark.parametrize("arguments", [["--help"], ["servers", "list", "--help"], ["search", "--help"]])
def test_help_imports_neither_the_sdk_nor_the_gateway(arguments: list[str]) -> None:
    code = (
        "import sys; from gateway.cli import cli; cli.main(sys.argv[1:], standalone_mode=False); "
        "print(sorted({'mcp', 'starlette', 'onnxruntime', 'gateway.components'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
