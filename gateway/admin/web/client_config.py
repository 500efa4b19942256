"""What an MCP client has to be told to come in with a key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is to be put where for one client."""

    id: str
    client: str
    where: str
    text: str


def configurations(address: str, key: str) -> tuple[Configuration, ...]:
    """For each client that people use; `address` is that of the MCP endpoint."""
    bearer = f"Bearer {key}"
    bridge = {
        "command": "npx",
        "args": ["-y", "mcp-remote", address, "--header", "Authorization:${MODELGATE_AUTHORIZATION}"],
        "env": {"MODELGATE_AUTHORIZATION": bearer},
    }
    remote = {"url": address, "headers": {"Authorization": bearer}}
    vscode = {
        "inputs": [
            {"type": "promptString", "id": "modelgate-key", "description": "ModelGate API key", "password": True}
        ],
        "servers": {
            "modelgate": {
                "type": "http",
                "url": address,
                "headers": {"Authorization": "Bearer ${input:modelgate-key}"},
            }
        },
    }
    call = {"name": "tool_search", "arguments": {"query": "what can be done here"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    return (
        Configuration(
            "claude-code",
            "Claude Code",
            "Run this in a terminal",
            f'claude mcp add --transport http modelgate {address} --header "Authorization: {bearer}"',
        ),
        Configuration(
            "claude-desktop",
            "Claude Desktop",
            "claude_desktop_config.json (Settings, Developer, Edit Config), with a bridge, for it starts commands only",
            _json({"mcpServers": {"modelgate": bridge}}),
        ),
        Configuration("cursor", "Cursor", "~/.cursor/mcp.json", _json({"mcpServers": {"modelgate": remote}})),
        Configuration(
            "vscode", "VS Code", ".vscode/mcp.json; it asks for the key once, which is the one above", _json(vscode)
        ),
        Configuration(
            "curl",
            "curl",
            "Ask for a tool right now",
            f"curl -s {address} -H 'Authorization: {bearer}' -H 'Content-Type: application/json' -d '{body}'",
        ),
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)
