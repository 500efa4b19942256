"""A new encryption key while members run."""

from __future__ import annotations

import logging

import pytest

from gateway.catalog.secrets.key_rotation import KeyRotation
from gateway.cluster.hop_keys import HopKeys
from gateway.settings import Settings
from gateway.vault import KeyFile, Vault
from tests.cluster.conftest import Pair, cluster_of, joined_gateway
from tests.cluster.test_shared_work import ECHO
from tests.downstream.conftest import HANDSHAKE
from tests.support.rows import rows
from tests.support.waiting import until


async def test_others_join_after_a_rotation_and_reach_servers_and_sessions_of_those_that_saw_it(
    pair: Pair, settings: Settings
) -> None:
    talker = await pair.add_talker()
    key_file = KeyFile(settings.data_dir / "encryption.key")
    former = HopKeys(Vault(key_file)).read_ids()

    async def known_ids() -> list[list[str]]:
        return [row["key_ids"] for row in await rows(settings.database.url, "SELECT key_ids FROM cluster_members")]

    async def all_know(ids: list[str]) -> bool:
        return await known_ids() == [ids, ids]

    assert await all_know(former)
    key_file.begin_rotation()
    during = HopKeys(Vault(key_file)).read_ids()
    assert during[1:] == former
    await until(lambda: all_know(during))
    # The rest of it.
    await KeyRotation(pair.first.parts.database, key_file, settle_seconds=0).run()
    await until(lambda: all_know(during[:1]))
    for each in pair.both:
        assert "label" in (await each.post(ECHO)).text
    owner = pair.owner_of(talker)
    async with pair.client(*pair.both, mode=HANDSHAKE) as before, joined_gateway(settings) as third:
        assert not (await before.call_tool("talker__echo", {})).is_error
        await until(lambda: len(cluster_of(third).membership.others) == 2)
        assert "label" in (await third.post(ECHO, **{"X-API-Key": owner.key})).text
        for holder in pair.both:
            async with pair.client(holder, third, mode=HANDSHAKE) as client:
                for _ in range(4):
                    assert not (await client.call_tool("talker__echo", {})).is_error
        assert pair.owner_of(talker) is owner


async def test_while_the_key_file_cannot_be_read_members_go_on_with_the_keys_that_they_know(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    path = settings.data_dir / "encryption.key"
    keys = HopKeys(Vault(KeyFile(path)))
    known, content = keys.read_ids(), path.read_text()
    path.unlink()
    with caplog.at_level(logging.WARNING, "gateway.cluster"):
        assert [keys.read_ids() for _ in range(3)] == [known] * 3
    (record,) = caplog.records
    assert "encryption.key cannot be used" in record.getMessage()
    path.write_text(content)
    assert keys.read_ids() == known
