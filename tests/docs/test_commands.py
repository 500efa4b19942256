"""The commands in README and the documents: each is run as it stands, or says why not."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from gateway.cli import cli
from tests.cli.conftest import shell as shell
from tests.cli.shell import Shell

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"(?:<!-- not run by a test: ([^\n]*) -->\n)?```(?:sh|bash)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands; `reason` is why it is not run, None where it is."""

    document: str
    reason: str | None
    lines: tuple[str, ...]


def blocks(path: Path) -> list[Block]:
    """The blocks of commands of a document, in order, comments and continued lines put together."""
    found = []
    for match in _BLOCK.finditer(path.read_text(encoding="utf-8")):
        text = match[2].replace("\\\n", " ")
        lines = [" ".join(shlex.split(line, comments=True)) and line for line in text.splitlines() if line.strip()]
        found.append(Block(path.name, match[1], tuple(line for line in lines if line)))
    return found


def every_block() -> list[Block]:
    return [block for path in DOCUMENTS for block in blocks(path)]


def test_every_block_is_run_or_says_why_not() -> None:
    unmarked = [block for block in every_block() if block.reason is None and not all(map(_is_ours, block.lines))]
    assert [(block.document, block.lines) for block in unmarked] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_need_nothing_else_do_what_they_are_there_for(
    shell: Shell, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shell.says("servers", "remove", "Files", "--yes")
    for block in blocks(path):
        if block.reason is not None:
            continue
        for line in block.lines:
            words = shlex.split(line, comments=True)
            target = words[words.index(">") + 1] if ">" in words else None
            arguments = words[1 : words.index(">")] if target else words[1:]
            result = shell.run(*arguments)
            assert result.exit_code == 0, (line, result.output, result.exception)
            if target:
                Path(target).write_text(result.stdout)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_is_there_with_its_options(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`(modelgate [^`\n]*)`", text)
    named += [line for block in blocks(path) for line in block.lines if line.startswith("modelgate ")]
    wrong = [each for each in named if not _exists(each)]
    assert wrong == []


def _is_ours(line: str) -> bool:
    return line.startswith("modelgate ")


def _exists(text: str) -> bool:
    """Whether the words of a command lead to one that is there, and its options are its own."""
    words = re.split(r"\s+#|\s[>|&]", text)[0].split()[1:]
    command: click.Command = cli
    while words and isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            # One of several that are named together, or what is to be typed there.
            return isinstance(command, click.Group) and command is not cli
        command, words = inner, words[1:]
    options = {
        option
        for parameter in (*command.params, *cli.params)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = [
        word.split("=")[0] for word in words[: words.index("--") if "--" in words else None] if word.startswith("--")
    ]
    return all(option in options or option == "--help" for option in used)
