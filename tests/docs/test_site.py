"""The documents' site: built strictly, with nothing from elsewhere, and with all that the code has."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway.admin.rest.api import OPERATIONS
from gateway.catalog.client_config.client import CLIENTS
from gateway.settings.setting import all_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    return folder


class _Loads(HTMLParser):
    """What a page has a browser load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.addresses.append(values.get("src") or "")
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "dns-prefetch"):
            self.addresses.append(values.get("href") or "")


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [each for each in loads.addresses if "//" in each] == [], page.name
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == [], (
            style.name
        )


def test_settings_commands_operations_and_clients_are_those_of_the_code(site: Path) -> None:
    settings = (site / "settings.html").read_text(encoding="utf-8")
    missing = [
        f"{section}.{key}"
        for section, keys in all_settings().items()
        for key in keys
        if f"<code>{key}</code>" not in settings
    ]
    assert missing == []
    commands = (site / "cli.html").read_text(encoding="utf-8")
    assert all(f">{each}<" in commands for each in ("modelgate doctor", "modelgate servers add", "modelgate apply"))
    rest = (site / "rest.html").read_text(encoding="utf-8")
    assert [each.name for each in OPERATIONS if f"{each.method} /api/v1{each.path}" not in rest] == []
    clients = (site / "clients.html").read_text(encoding="utf-8")
    assert all(f"modelgate setup {client.id}<" in clients for client in CLIENTS)
    assert "modelgate_tool_call_seconds" in (site / "metrics.html").read_text(encoding="utf-8")
