"""ContextForge in front of a server: how it is started, without limits, and what it is told before it can be called."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import jwt

PACKAGE = "mcp-contextforge-gateway"
_SECRET = "of-a-benchmark-and-nothing-else-0"
_ADMIN = "admin@example.com"
_SERVER = "web"


def environ_in(folder: Path) -> dict[str, str]:
    """Its settings: SQLite in `folder`, no user interface, no plugins, no limit, answers as plain JSON."""
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'contextforge.db'}",
        "JWT_SECRET_KEY": _SECRET,
        "AUTH_ENCRYPTION_SECRET": _SECRET,
        "PLATFORM_ADMIN_EMAIL": _ADMIN,
        "PLATFORM_ADMIN_PASSWORD": f"A1!{_SECRET}",
        "EMAIL_AUTH_ENABLED": "true",
        "AUTH_REQUIRED": "true",
        "CACHE_TYPE": "memory",
        "LOG_LEVEL": "ERROR",
        "PLUGINS_ENABLED": "false",
        "MCPGATEWAY_UI_ENABLED": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "RATE_LIMITING_ENABLED": "false",
        "TOOL_RATE_LIMIT": "1000000",
        "USE_STATEFUL_SESSIONS": "false",
        "JSON_RESPONSE_ENABLED": "true",
        "ENVIRONMENT": "development",
    }


def register(url: str, upstream_url: str) -> dict[str, Any]:
    """Tell the gateway at `url` of the server at `upstream_url`; what the load generator calls it by.

    Raises RuntimeError where it does not take it.
    """
    now = int(time.time())
    claims = {
        "sub": _ADMIN,
        "is_admin": True,
        "teams": None,
        "iat": now,
        "exp": now + 86_400,
        "iss": "mcpgateway",
        "aud": "mcpgateway-api",
        "jti": "bench",
        "user": {"email": _ADMIN, "is_admin": True, "full_name": "Bench"},
    }
    headers = {"Authorization": f"Bearer {jwt.encode(claims, _SECRET, 'HS256')}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
        _post(http, "/gateways", {"name": _SERVER, "url": upstream_url, "transport": "STREAMABLEHTTP"})
        tools = [tool["id"] for tool in http.get("/tools").json()]
        made = _post(http, "/servers", {"server": {"name": "bench", "associated_tools": tools}})
    return {"url": f"{url}/servers/{made['id']}/mcp", "prefix": f"{_SERVER}-", "headers": headers}


def _post(http: httpx2.Client, path: str, body: dict[str, Any]) -> Any:
    answer = http.post(path, json=body)
    if answer.status_code >= 400:
        raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:200]}")
    return answer.json()
