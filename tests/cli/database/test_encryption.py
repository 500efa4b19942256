"""`modelgate encryption`: another key for what is stored."""

from __future__ import annotations

from dataclasses import replace

from tests.cli.process import CommandLine

FIRST, SECOND = bytes(range(32)).hex(), bytes(32).hex()


async def test_credentials_are_encrypted_anew_under_the_key_of_the_settings(modelgate: CommandLine) -> None:
    def with_keys(key: str, former: str = "") -> CommandLine:
        keys = {"MODELGATE_ENCRYPTION_KEY": key, "MODELGATE_SERVER_FORMER_ENCRYPTION_KEY": former}
        return replace(modelgate, environ={**modelgate.environ, **keys})

    await with_keys(FIRST).succeed("servers", "add", "Web", "https://one.example/mcp", "--header", "X-Key: s3cret")
    # Without the former key nothing is lost: it is told, and can be done again.
    lost = await with_keys(SECOND)("encryption", "rotate")
    assert (lost.code, "under a key that is not here" in lost.err) == (0, True)
    said = await with_keys(SECOND, FIRST).succeed("encryption", "rotate")
    assert "The secrets of 1 servers are encrypted anew." in said
    assert "take it out of the settings" in said
    assert "0 servers" in await with_keys(SECOND).succeed("encryption", "rotate")
    assert "Web is changed" in await with_keys(SECOND).succeed("servers", "set", "Web", "--description", "Ours.")
