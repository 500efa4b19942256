"""Where a gateway on this machine is reached."""

from __future__ import annotations

from gateway.settings import Settings


def local_url(settings: Settings) -> str:
    """The address of the gateway of these settings, for a program on this machine; without a slash at its end."""
    root = settings.server.root_path.rstrip("/")
    return f"http://{reachable_host(settings.server.host)}:{settings.server.port}{root}"


def reachable_host(host: str) -> str:
    """What a program on this machine puts into an address to reach what listens on `host`."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # nosec
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
