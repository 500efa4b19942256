"""What is trained on: tools with the three texts that search has of them, and queries that they answer."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import ToolDefinition


@dataclass(frozen=True)
class Tool:
    """A tool; `held` is whether its server is kept out while settings are chosen."""

    server: str
    texts: ToolTexts
    held: bool


@dataclass(frozen=True)
class Example:
    """A query, and the position of the tool that answers it."""

    query: str
    tool: int


def load_tools(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON Lines file: `server`, `name`, `description`, `inputSchema`."""
    return list(_lines(path))


def load_examples(tools_path: Path, queries_path: Path) -> tuple[list[Tool], list[Example]]:
    """All tools, and an example for each query; queries are lines with `tool` (a position), `queries`, `held`."""
    queried = list(_lines(queries_path))
    held = {line["tool"] for line in queried if line.get("held")}
    tools = [
        Tool(tool["server"], tool_texts(tool), position in held) for position, tool in enumerate(load_tools(tools_path))
    ]
    return tools, [Example(query, line["tool"]) for line in queried for query in line["queries"]]


def tool_texts(tool: dict[str, Any]) -> ToolTexts:
    """The texts of a tool, as the gateway embeds them."""
    return build_tool_texts(tool["server"], ToolDefinition(tool["name"], json.dumps(tool), b""))


def batches_of(
    examples: Sequence[Example], tools: Sequence[Tool], *, size: int, group: int, seed: int
) -> Iterator[list[Example]]:
    """The examples once, in batches of `size`, made of groups of up to `group` of one server.

    Tools of one server are what a model confuses: they have to meet as each other's wrong answers.
    """
    shuffled = random.Random(seed)
    by_server: dict[str, list[Example]] = {}
    for example in shuffled.sample(examples, len(examples)):
        by_server.setdefault(tools[example.tool].server, []).append(example)
    groups = [of[start : start + group] for of in by_server.values() for start in range(0, len(of), group)]
    shuffled.shuffle(groups)
    ordered = [example for one in groups for example in one]
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    content = path.read_bytes()
    for line in (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines():
        if line.strip():
            yield json.loads(line)
