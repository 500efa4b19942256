"""What an MCP client has to be told to connect with a key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """What is to be put where for one client."""

    id: str
    client: str
    instruction: str
    text: str


def client_setups(mcp_url: str, key: str) -> tuple[ClientSetup, ...]:
    """For each client that people use; `mcp_url` is the address of the MCP endpoint."""
    bearer = f"Bearer {key}"
    bridge = {
        "command": "modelgate",
        "args": ["connect"],
        "env": {"MODELGATE_URL": mcp_url, "MODELGATE_API_KEY": key},
    }
    remote = {"url": mcp_url, "headers": {"Authorization": bearer}}
    vscode = {
        "inputs": [
            {"type": "promptString", "id": "modelgate-key", "description": "ModelGate API key", "password": True}
        ],
        "servers": {
            "modelgate": {
                "type": "http",
                "url": mcp_url,
                "headers": {"Authorization": "Bearer ${input:modelgate-key}"},
            }
        },
    }
    call = {"name": "tool_search", "arguments": {"query": "what can be done here"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    return (
        ClientSetup(
            "claude-code",
            "Claude Code",
            "Run this in a terminal",
            f'claude mcp add --transport http modelgate {mcp_url} --header "Authorization: {bearer}"',
        ),
        ClientSetup(
            "claude-desktop",
            "Claude Desktop",
            "claude_desktop_config.json (Settings, Developer, Edit Config); modelgate-mcp brings the command",
            _json({"mcpServers": {"modelgate": bridge}}),
        ),
        ClientSetup("cursor", "Cursor", "~/.cursor/mcp.json", _json({"mcpServers": {"modelgate": remote}})),
        ClientSetup(
            "vscode", "VS Code", ".vscode/mcp.json; it asks for the key once, which is the one above", _json(vscode)
        ),
        ClientSetup(
            "curl",
            "curl",
            "Ask for a tool right now",
            f"curl -s {mcp_url} -H 'Authorization: {bearer}' -H 'Content-Type: application/json' -d '{body}'",
        ),
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)
