"""Tools of published servers, executed directly and through the gateway: the results are the same, field by field."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.cli.demo.listing import DemoServer
from tests.support.gateway import RunningGateway

Call = tuple[str, dict[str, Any]]

# With these a commit is the same whenever it is made.
GIT = {
    name: value
    for who in ("AUTHOR", "COMMITTER")
    for name, value in (
        (f"GIT_{who}_NAME", "Somebody"),
        (f"GIT_{who}_EMAIL", "somebody@example.com"),
        (f"GIT_{who}_DATE", "2026-01-02T03:04:05+0000"),
    )
}


@dataclass(frozen=True)
class Play:
    """Calls of one server on a directory that is made anew for each run."""

    server: str
    calls: Callable[[Path], list[Call]]
    args: Callable[[Path], list[str]] = lambda _: []
    env: Callable[[Path], dict[str, str]] = field(default=lambda _: {})
    prepare: Callable[[Path], object] = lambda _: None
    after: Callable[[Path], object] = lambda _: None


def repository(folder: Path) -> None:
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (folder / "a.txt").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "First"], check=True, env={**GIT, "PATH": "/usr/bin:/bin"})
    (folder / "a.txt").write_text("two\n")


PLAYS = [
    Play(
        "Everything",
        lambda _: [
            ("echo", {"message": "grüß dich 🌍"}),
            ("get-sum", {"a": 1.5, "b": -4}),
            ("get-sum", {"a": "no number", "b": 1}),
            ("get-annotated-message", {"messageType": "error", "includeImage": True}),
            ("get-resource-links", {"count": 3}),
            ("get-structured-content", {"location": "Chicago"}),
            ("get-tiny-image", {}),
            ("trigger-long-running-operation", {"duration": 0.1, "steps": 2}),
        ],
    ),
    Play(
        "Filesystem",
        lambda folder: [
            ("write_file", {"path": f"{folder}/b.txt", "content": "first\nsecond\n"}),
            ("read_text_file", {"path": f"{folder}/b.txt", "tail": 1}),
            (
                "edit_file",
                {"path": f"{folder}/b.txt", "edits": [{"oldText": "first", "newText": "1st"}], "dryRun": False},
            ),
            ("directory_tree", {"path": str(folder)}),
            ("search_files", {"path": str(folder), "pattern": "*.txt"}),
            ("read_multiple_files", {"paths": [f"{folder}/a.txt", f"{folder}/none.txt"]}),
            ("read_text_file", {"path": "/etc/passwd"}),
        ],
        args=lambda folder: [str(folder)],
        prepare=lambda folder: shutil.copy(__file__, folder / "a.txt"),
        after=lambda folder: (folder / "b.txt").read_text(),
    ),
    Play(
        "Memory",
        lambda _: [
            (
                "create_entities",
                {"entities": [{"name": "Ada", "entityType": "person", "observations": ["writes programs"]}]},
            ),
            ("add_observations", {"observations": [{"entityName": "Ada", "contents": ["likes numbers"]}]}),
            ("create_relations", {"relations": [{"from": "Ada", "to": "Ada", "relationType": "knows"}]}),
            ("search_nodes", {"query": "numbers"}),
            ("add_observations", {"observations": [{"entityName": "Nobody", "contents": ["is not there"]}]}),
            ("delete_entities", {"entityNames": ["Ada"]}),
            ("read_graph", {}),
        ],
        env=lambda folder: {"MEMORY_FILE_PATH": f"{folder}/memory.jsonl"},
    ),
    Play(
        "Git",
        lambda folder: [
            ("git_status", {"repo_path": str(folder)}),
            ("git_diff_unstaged", {"repo_path": str(folder)}),
            ("git_add", {"repo_path": str(folder), "files": ["a.txt"]}),
            ("git_commit", {"repo_path": str(folder), "message": "Second"}),
            ("git_log", {"repo_path": str(folder), "max_count": 5}),
            ("git_create_branch", {"repo_path": str(folder), "branch_name": "side"}),
            ("git_show", {"repo_path": str(folder), "revision": "HEAD"}),
            ("git_checkout", {"repo_path": str(folder), "branch_name": "none"}),
        ],
        args=lambda folder: ["--repository", str(folder)],
        env=lambda _: GIT,
        prepare=repository,
        after=lambda folder: subprocess.check_output(["git", "-C", str(folder), "log", "--format=%H %s"]),
    ),
    Play(
        "SQLite",
        lambda _: [
            ("create_table", {"query": "CREATE TABLE pets (name TEXT, age INTEGER)"}),
            ("write_query", {"query": "INSERT INTO pets VALUES ('Rex', 3), ('Mia', 5)"}),
            ("read_query", {"query": "SELECT name, age FROM pets ORDER BY age DESC"}),
            ("describe_table", {"table_name": "pets"}),
            ("read_query", {"query": "DELETE FROM pets"}),
            ("read_query", {"query": "SELECT * FROM nothing"}),
            ("list_tables", {}),
        ],
        args=lambda folder: ["--db-path", f"{folder}/pets.db"],
    ),
]


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.server)
async def test_the_results_through_the_gateway_are_those_of_a_direct_call(
    gateway: RunningGateway, published: Mapping[str, DemoServer], tmp_path: Path, play: Play
) -> None:
    folder = tmp_path / "work"
    server = published[play.server]
    args, env = [*server.args, *play.args(folder)], {**server.env, **play.env(folder)}

    fresh(folder, play)
    direct: list[Any] = []
    async with Client(StdioServerParameters(command=server.command, args=args, env=env)) as client:
        listed = [tool.model_dump(by_alias=True, mode="json", exclude_unset=True) for tool in await tools(client)]
        for name, arguments in play.calls(folder):
            result = await client.call_tool(name, arguments)
            direct.append(result.model_dump(by_alias=True, mode="json", exclude_unset=True))
    left_directly = play.after(folder)

    fresh(folder, play)
    parts = gateway.parts
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition(play.server, "stdio", command=server.command, args=tuple(args), env=env)
    server_id = await parts.servers.add(tenant.id, new)
    report = await parts.sync.run(tenant.id, server_id)
    # Servers show some tools only to clients that can answer questions, as the gateway can.
    assert {tool["name"] for tool in listed} <= set(report.added)
    slug = play.server.lower()
    for (name, arguments), expected in zip(play.calls(folder), direct, strict=True):
        assert as_direct(await gateway.call(f"{slug}__{name}", arguments)) == as_direct(expected), name
    assert play.after(folder) == left_directly

    found = await gateway.call("tool_search", {"query": listed[0]["name"], "server": slug, "max_results": 50})
    assert f"{slug}__{listed[0]['name']}" in found["content"][0]["text"]


def as_direct(result: dict[str, Any]) -> dict[str, Any]:
    """Without what belongs to the protocol era of the one who asks, and the schema that follows an argument error."""
    result.pop("resultType", None)
    meta = result.pop("_meta", {})
    kept = {key: value for key, value in meta.items() if not key.startswith("io.modelcontextprotocol/")}
    content = result["content"]
    if result.get("isError") and "Invalid arguments" in content[0]["text"]:
        content = content[:1]
    return {**result, "content": content, **({"_meta": kept} if kept else {})}


async def tools(client: Client) -> list[Any]:
    return (await client.list_tools()).tools


def fresh(folder: Path, play: Play) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    play.prepare(folder)
