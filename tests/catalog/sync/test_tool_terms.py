"""Terms in the database: those of older rules are made anew, those of a renamed server follow at its next sync."""

from __future__ import annotations

from pathlib import Path

from gateway.catalog.sync.tool_terms import TermRenewal
from gateway.catalog.terms import TERMS_VERSION
from gateway.components import Components
from tests.support.listed import add_listed, tool
from tests.support.rows import rows, value


async def _terms(parts: Components) -> set[str]:
    return {row["lexeme"] for row in await rows(parts.database.url, "SELECT lexeme FROM tool_terms")}


async def test_terms_that_another_version_made_are_made_anew(parts: Components, tmp_path: Path) -> None:
    await add_listed(parts, tmp_path, tool("feed_cats", "Feeding all the cats"), tool("count"))
    terms = await _terms(parts)
    await rows(parts.database.url, "DELETE FROM tool_terms")
    await rows(parts.database.url, "UPDATE tools SET terms_version = 1, term_count = 0")
    version = await value(parts.database.url, "SELECT catalogue_version FROM tenants WHERE id = 1")
    renewal = TermRenewal(parts.database)
    assert await renewal.renew() == 2
    assert await _terms(parts) == terms
    assert await value(parts.database.url, "SELECT min(term_count) FROM tools") > 0
    assert await value(parts.database.url, "SELECT min(terms_version) FROM tools") == TERMS_VERSION
    assert await value(parts.database.url, "SELECT catalogue_version FROM tenants WHERE id = 1") > version
    assert await renewal.renew() == 0


async def test_the_terms_of_a_renamed_server_follow_at_its_next_sync(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("feed_cats", "Feeding all the cats"), name="Farm")
    assert "farm" in await _terms(parts)
    await rows(parts.database.url, "UPDATE servers SET name = 'Zoo' WHERE id = $1", server.id)
    await parts.database.execute("bump_catalogue_version", server.tenant_id)
    await server.sync()
    terms = await _terms(parts)
    assert "zoo" in terms
    assert "farm" not in terms
