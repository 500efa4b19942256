"""What an MCP client has to be told to connect with a key."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.catalog.client_config.client import CLIENTS, GatewayAddress, claude_code_command

KEY_PLACEHOLDER = "mg_…"
"""In place of a key that is not known any more: it is shown once, when it is made."""


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """What is to be put where for one client; `command`, where there is one, does it."""

    id: str
    client: str
    instruction: str
    text: str
    command: str | None = None


def client_setups(mcp_url: str, key: str, query: str) -> tuple[ClientSetup, ...]:
    """For each client that people use, as `modelgate setup` writes it; `mcp_url` is the address of the MCP endpoint.

    `query` is what the command asks for, in letters, digits and blanks.
    """
    gateway = GatewayAddress(mcp_url, key)
    setups = [
        ClientSetup(
            client.id,
            client.name,
            f"In {client.usual_path}. {client.next_step}",
            client.snippet(gateway),
            f"modelgate setup {client.id}",
        )
        for client in CLIENTS
    ]
    call = {"name": "tool_search", "arguments": {"query": query}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    return (
        ClientSetup(
            "curl",
            "curl",
            "Ask for a tool right now.",
            f"curl -s {mcp_url} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'",
        ),
        ClientSetup(
            "claude-code-command",
            "Claude Code, by its own command",
            "Run this in a terminal.",
            claude_code_command(gateway),
        ),
        *setups,
    )
