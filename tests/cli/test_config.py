"""`modelgate config`, and settings that stop a command."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cli.process import CommandLine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


async def test_config_show_masks_secrets(modelgate: CommandLine) -> None:
    route = '[{"languages": ["ja"], "api_key": "sk-12345"}]'
    shown = await modelgate("config", "show", OPENAI_API_KEY="sk-12345", MODELGATE_EMBEDDER_ROUTE=route)
    assert shown.code == 0
    assert 'api_key = "********"' in shown.out
    assert "sk-12345" not in shown.out
    assert 'type = "builtin"' in shown.out
    assert tomllib.loads(shown.out)["embedder"]["route"][0]["languages"] == ["ja"]


async def test_an_unknown_setting_stops_every_command(modelgate: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[search]\nmodel = 1\n")
    ended = await modelgate("servers", "list")
    assert (ended.code, ended.err) == (
        1,
        "Error: config.toml, line 2: unknown key search.model. Did you mean mode? [settings]\n",
    )
