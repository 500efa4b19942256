"""Where the web interface is, and how the first admin gets in."""

from __future__ import annotations

from gateway.admin.accounts.setup import create_setup_token
from gateway.database.pool import Database
from gateway.settings import Settings


async def setup_link(database: Database, settings: Settings, url: str) -> str | None:
    """The link that makes the first admin of the gateway at `url`, once, within an hour; None where there is one."""
    token = await create_setup_token(database)
    return None if token is None else f"{public_url(settings, url)}/setup?token={token}"


def public_url(settings: Settings, url: str) -> str:
    """The web interface's address as people reach it."""
    return settings.admin.public_url.rstrip("/") or url + settings.server.root_path.rstrip("/")
