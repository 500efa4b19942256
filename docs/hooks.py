"""What the documents' site takes from the code: settings, commands, REST operations, metrics and clients."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

from gateway.admin.rest.api import OPERATIONS
from gateway.admin.rest.openapi import openapi_document
from gateway.catalog.client_config.client import CLIENTS, GatewayAddress, claude_code_command
from gateway.cli import cli
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[1]
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
_EXAMPLE = GatewayAddress("http://127.0.0.1:8080/mcp", "mg_…")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of the code."""
    pages = {
        "settings.md": settings_page,
        "cli.md": cli_page,
        "rest.md": rest_page,
        "metrics.md": metrics_page,
        "clients.md": clients_page,
    }
    for name, page in pages.items():
        files.append(File.generated(config, name, content="\n".join(page())))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Files of the repository are named, for they are not on the site."""
    return _OUTSIDE.sub(lambda match: f"{match[1]} (`{match[2]}` in the repository)", markdown)


def settings_page() -> Iterator[str]:
    """Every setting with its default and what config.toml says of it."""
    yield "# Settings\n"
    yield (
        "Settings are read from `config.toml` in the working directory (another file: `--config` or `MODELGATE_CONFIG`), then "
        "from the environment, where `server.port` is `MODELGATE_SERVER_PORT`; the later wins. `${NAME}` in a value is read "
        "from the environment. An unknown key stops the start with its line.\n"
    )
    comments = _comments((ROOT / "config.toml").read_text(encoding="utf-8"))
    for section, kind in typing.get_type_hints(Settings).items():
        yield f"## [{section}]\n"
        yield f"{_paragraph(inspect.getdoc(kind) or '')}\n"
        yield "| Key | Default | |\n|---|---|---|"
        for field in dataclasses.fields(kind):
            default = field.default if field.default is not dataclasses.MISSING else ""
            yield f"| `{field.name}` | `{_toml(default)}` | {_cell(comments.get((section, field.name), ''))} |"
        yield ""


def cli_page() -> Iterator[str]:
    """The help of every command."""
    yield "# Command line\n"
    yield (
        "`modelgate --help` lists the commands; `python -m gateway` is the same program. `modelgate completion bash` (or `zsh`, "
        "`fish`) prints what completes them. An error ends in a code in brackets, which [Troubleshooting](troubleshooting.md) "
        "explains; the exit code is 1 for an error and 2 for a mistake in the command itself.\n"
    )
    yield from _help(cli, "modelgate", click.Context(cli, info_name="modelgate"))


def rest_page() -> Iterator[str]:
    """Every operation of the REST API."""
    document = openapi_document(OPERATIONS)
    yield "# REST API\n"
    yield (
        "The API is below `/api/v1`, and a running gateway describes it at `/api/openapi.json`. Send an API token as "
        "`Authorization: Bearer …`, made on the account page or with `POST /api/v1/tokens`. `?tenant=SLUG` names the tenant. "
        "Errors are problem details (RFC 9457) with a `code` that [Troubleshooting](troubleshooting.md) explains.\n"
    )
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    for tag, operations in sorted(by_tag.items()):
        yield f"## {tag}\n"
        yield "| Request | Takes | |\n|---|---|---|"
        for method, path, operation in operations:
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            takes = str(body.get("$ref", "")).rpartition("/")[2]
            yield f"| `{method.upper()} {path}` | {f'`{takes}`' if takes else ''} | {_cell(operation['summary'])} |"
        yield ""
    yield "## What is sent\n"
    sent = sorted(name for name in document["components"]["schemas"] if name.endswith(("Input", "Change")))
    for name in sent:
        schema = document["components"]["schemas"][name]
        yield f"### {name}\n"
        yield f"{_paragraph(schema.get('description', ''))}\n"
        for field in schema.get("properties", {}):
            yield f"- `{field}`{', required' if field in schema.get('required', ()) else ''}"
        yield ""


def metrics_page() -> Iterator[str]:
    """Every metric that the gateway counts from its start on."""
    yield "# Metrics\n"
    yield (
        "`GET /metrics` answers Prometheus: to who has `metrics.token`, or without one to this machine alone. "
        "[Monitoring](monitoring.md) has a dashboard and alerts. Beside these there are gauges of connections, servers, the "
        "index, the caches and the trace, and those of the process itself.\n"
    )
    yield "| Name | Type | |\n|---|---|---|"
    for line in Metrics().exposition().decode().splitlines():
        if line.startswith("# HELP modelgate_"):
            _, _, name, text = line.split(" ", 3)
            described = text
        elif line.startswith("# TYPE modelgate_"):
            _, _, name, kind = line.split(" ", 3)
            if not name.endswith("_created"):
                yield f"| `{name}` | {kind} | {_cell(described)} |"


def clients_page() -> Iterator[str]:
    """The entry of each client."""
    yield "# Connect a client\n"
    yield (
        "`modelgate setup CLIENT` shows what it would change in the client's configuration, asks, writes it, and keeps what was "
        "there; `--undo` takes it out again, `--print` only prints the entry, and `--import` first brings the servers found there "
        "into the gateway. `modelgate setup` lists the clients. On its page in the admin UI, each key shows the same entries.\n"
    )
    yield "Any other client: streamable HTTP at `/mcp` with `Authorization: Bearer mg_…` or `X-API-Key: mg_…`, HTTP+SSE at `/sse`.\n"
    for client in CLIENTS:
        yield f"## {client.name}\n"
        yield f"`modelgate setup {client.id}`, or by hand in {client.usual_path}:\n"
        yield f"```{client.format}\n{client.snippet(_EXAMPLE).rstrip()}\n```\n"
        if client.id == "claude-code":
            yield f"Or by its own command:\n\n```sh\n{claude_code_command(_EXAMPLE)}\n```\n"
        yield f"{client.next_step}\n"


def _help(command: click.Command, path: str, context: click.Context, depth: int = 2) -> Iterator[str]:
    yield f"{'#' * min(depth, 4)} {path}\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _help(inner, f"{path} {name}", click.Context(inner, context, info_name=name), depth + 1)


def _comments(text: str) -> dict[tuple[str, str], str]:
    """What stands behind and above each key of config.toml."""
    comments: dict[tuple[str, str], str] = {}
    section = ""
    above: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"\[([a-z]+)\]", line):
            section, above = match[1], []
        elif match := re.match(r"#?\s?([a-z_]+) = .*?(?:\s#\s(.*))?$", line):
            comments[section, match[1]] = " ".join([*above, match[2] or ""]).strip()
            above = []
        elif line.startswith("#"):
            above.append(line.lstrip("# "))
        elif match := re.match(r"\s+# (.*)", line):
            key = next(reversed(comments), None)
            if key is not None:
                comments[key] += f" {match[1]}"
        else:
            above = []
    return comments


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _paragraph(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _paragraph(text).replace("|", "\\|").replace("<", "&lt;")
