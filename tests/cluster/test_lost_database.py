"""A member whose way to the database is lost without a word, while the others reach the database and it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.database import connection, pool
from gateway.settings import Settings
from tests.cluster.conftest import Pair, cluster_of, joined_gateway
from tests.cluster.test_shared_work import ECHO
from tests.support.database_proxy import DatabaseProxy
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

# It is waited for ten seconds and some, and nothing is said of how fast the machine is.
PATIENCE = 120


@pytest.fixture
def hasty_lookups(patient_lookups: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are outside of tests."""
    limits = {**connection._STATEMENT_LIMITS, "lookup": {"timeout": 1.0}}
    monkeypatch.setattr(connection, "_STATEMENT_LIMITS", limits)
    monkeypatch.setattr(pool, "LOOKUP_SECONDS", 1.0)


async def echoes(gateway: RunningGateway) -> bool:
    return "label" in (await gateway.post(ECHO)).text


@pytest.mark.usefixtures("hasty_lookups")
async def test_others_take_over_what_it_owns_and_leads_and_it_comes_back(settings: Settings, tmp_path: Path) -> None:
    proxy = DatabaseProxy(settings.database.url)
    async with proxy.running():
        behind = replace(settings, database=replace(settings.database, url=proxy.url))
        async with joined_gateway(behind) as cut_off:
            talker = await Pair(cut_off, cut_off, tmp_path).add_talker()
            async with joined_gateway(settings) as other:
                membership = cluster_of(cut_off).membership
                await until(lambda: bool(membership.others and cluster_of(other).membership.others))
                assert await echoes(other)
                await until(lambda: membership.is_leader)
                assert talker.id in cluster_of(cut_off).owners.owned()
                former = membership.id
                proxy.stall()
                await until(lambda: cluster_of(other).membership.is_leader, PATIENCE)
                await until(lambda: echoes(other), PATIENCE)
                assert talker.id in cluster_of(other).owners.owned()
                assert not membership.is_leader
                proxy.resume()
                await until(lambda: membership.id in cluster_of(other).membership.others, PATIENCE)
                assert membership.id != former
                await until(lambda: echoes(cut_off), PATIENCE)
                assert talker.id in cluster_of(other).owners.owned()
