"""MCP clients that people use: where each keeps its servers, and what its entry for this gateway is.

The paths and keys are those of the clients' own documents, read in November 2026.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from gateway.catalog.client_config.toml_edit import format_toml_table
from gateway.errors import NotFoundError

ConfigFormat: TypeAlias = Literal["json", "toml", "yaml"]

ENTRY_NAME = "modelgate"


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """How a client gets to a gateway: the MCP endpoint, a key, and the command that starts `modelgate connect`."""

    mcp_url: str
    key: str
    command: tuple[str, ...] = ("modelgate", "connect")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True)
class Client:
    """A client. Its servers stand in a file at `place`, as steps into the document.

    `paths` are where the file may be, the usual place first; `{config}` is the folder of the user's configurations.
    `next_step` is what has to be done for a new entry to be read.
    """

    id: str
    name: str
    format: ConfigFormat
    place: tuple[str, ...]
    paths: tuple[str, ...]
    build_entry: Callable[[GatewayAddress], dict[str, Any]]
    next_step: str

    def config_path(self, environ: Mapping[str, str] | None = None) -> Path:
        """Its file on this machine: the first that exists, else where it usually is."""
        candidates = [Path(_expand(path, os.environ if environ is None else environ)) for path in self.paths]
        return next((path for path in candidates if path.is_file()), candidates[0])

    @property
    def usual_path(self) -> str:
        """Where its file usually is, on every system, in words."""
        path = self.paths[0]
        if path.startswith("{config}/"):
            folder, _, name = path.removeprefix("{config}/").rpartition("/")
            windows = folder.replace("/", "\\")
            return f"{name} in ~/.config/{folder}, ~/Library/Application Support/{folder} or %APPDATA%\\{windows}"
        return path.format(home="~", claude="~", dot_config="~/.config", codex="~/.codex", goose="goose")

    def snippet(self, gateway: GatewayAddress) -> str:
        """The whole of a file that has nothing but the entry."""
        document: Any = {ENTRY_NAME: self.build_entry(gateway)}
        for step in reversed(self.place):
            document = {step: document}
        if self.format == "yaml":
            return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000)
        if self.format == "toml":
            return format_toml_table((*self.place, ENTRY_NAME), self.build_entry(gateway))
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def client_by_id(identifier: str) -> Client:
    """Raises NotFoundError and names those that are known."""
    for client in CLIENTS:
        if client.id == identifier:
            return client
    raise NotFoundError(f"{identifier!r} is no client that is known here; there are: {', '.join(CLIENT_IDS)}.")


def claude_code_command(gateway: GatewayAddress) -> str:
    """What puts the entry into Claude Code by its own command."""
    return (
        f"claude mcp add --scope user --transport http {ENTRY_NAME} {gateway.mcp_url} "
        f'--header "Authorization: Bearer {gateway.key}"'
    )


def _url_entry(key: str, **more: Any) -> Callable[[GatewayAddress], dict[str, Any]]:
    return lambda gateway: {**more, key: gateway.mcp_url, "headers": gateway.headers}


def _command_entry(gateway: GatewayAddress) -> dict[str, Any]:
    return {
        "command": gateway.command[0],
        "args": list(gateway.command[1:]),
        "env": {"MODELGATE_URL": gateway.mcp_url, "MODELGATE_API_KEY": gateway.key},
    }


def _codex_entry(gateway: GatewayAddress) -> dict[str, Any]:
    return {"url": gateway.mcp_url, "http_headers": gateway.headers}


def _goose_entry(gateway: GatewayAddress) -> dict[str, Any]:
    return {
        "enabled": True,
        "type": "streamable_http",
        "name": ENTRY_NAME,
        "description": "Finds tools of many MCP servers and calls them",
        "uri": gateway.mcp_url,
        "headers": gateway.headers,
        "timeout": 300,
    }


def _expand(path: str, environ: Mapping[str, str]) -> str:
    home = str(Path.home())
    dot_config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    if sys.platform == "darwin":
        config = f"{home}/Library/Application Support"
    elif sys.platform == "win32":
        config = dot_config = environ.get("APPDATA") or f"{home}/AppData/Roaming"
    else:
        config = dot_config
    return path.format(
        home=home,
        config=config,
        dot_config=dot_config,
        claude=environ.get("CLAUDE_CONFIG_DIR") or home,
        codex=environ.get("CODEX_HOME") or f"{home}/.codex",
        goose="Block/goose/config" if sys.platform == "win32" else "goose",
    )


_MCP_SERVERS = ("mcpServers",)
_CLINE_FILE = "saoudrizwan.claude-dev/settings/cline_mcp_settings.json"

CLIENTS: tuple[Client, ...] = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        "json",
        _MCP_SERVERS,
        ("{config}/Claude/claude_desktop_config.json",),
        _command_entry,
        "Quit Claude Desktop and start it again.",
    ),
    Client(
        "claude-code",
        "Claude Code",
        "json",
        _MCP_SERVERS,
        ("{claude}/.claude.json",),
        _url_entry("url", type="http"),
        "Start a new session of Claude Code; /mcp shows the gateway.",
    ),
    Client(
        "cursor",
        "Cursor",
        "json",
        _MCP_SERVERS,
        ("{home}/.cursor/mcp.json",),
        _url_entry("url"),
        "Switch the server on in Cursor's settings, under MCP.",
    ),
    Client(
        "vscode",
        "VS Code",
        "json",
        ("servers",),
        ("{config}/Code/User/mcp.json",),
        _url_entry("url", type="http"),
        "Run MCP: List Servers in VS Code and start modelgate.",
    ),
    Client(
        "windsurf",
        "Windsurf",
        "json",
        _MCP_SERVERS,
        ("{home}/.codeium/windsurf/mcp_config.json",),
        _url_entry("serverUrl"),
        "Refresh the MCP servers in Windsurf's Cascade panel.",
    ),
    Client(
        "cline",
        "Cline",
        "json",
        _MCP_SERVERS,
        (f"{{config}}/Code/User/globalStorage/{_CLINE_FILE}", "{home}/.cline/data/settings/cline_mcp_settings.json"),
        _url_entry("url", type="streamableHttp", disabled=False),
        "Cline reads the file by itself; its MCP Servers page shows the gateway.",
    ),
    Client(
        "zed",
        "Zed",
        "json",
        ("context_servers",),
        ("{dot_config}/zed/settings.json",),
        _url_entry("url"),
        "Zed reads the file by itself; its Agent settings show the gateway.",
    ),
    Client(
        "jetbrains",
        "JetBrains Junie",
        "json",
        _MCP_SERVERS,
        ("{home}/.junie/mcp/mcp.json",),
        _command_entry,
        "Restart the IDE. AI Assistant takes the same entry: Settings, Tools, AI Assistant, MCP, Add, As JSON.",
    ),
    Client(
        "codex",
        "Codex",
        "toml",
        ("mcp_servers",),
        ("{codex}/config.toml",),
        _codex_entry,
        "Start a new session of Codex; /mcp shows the gateway.",
    ),
    Client(
        "gemini-cli",
        "Gemini CLI",
        "json",
        _MCP_SERVERS,
        ("{home}/.gemini/settings.json",),
        _url_entry("httpUrl"),
        "Start Gemini CLI again; /mcp shows the gateway.",
    ),
    Client(
        "goose",
        "Goose",
        "yaml",
        ("extensions",),
        ("{dot_config}/{goose}/config.yaml",),
        _goose_entry,
        "Start a new session of Goose.",
    ),
    Client(
        "librechat",
        "LibreChat",
        "yaml",
        _MCP_SERVERS,
        ("librechat.yaml",),
        _url_entry("url", type="streamable-http"),
        "Restart LibreChat. In a container 127.0.0.1 is itself: give --url an address it can reach.",
    ),
)

CLIENT_IDS = tuple(client.id for client in CLIENTS)
