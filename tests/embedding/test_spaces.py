"""Which space serves, as another process may have changed it."""

from __future__ import annotations

from gateway.app import Components
from gateway.database.notices import Notices
from gateway.embedding.spaces import Spaces
from tests.support.database_proxy import DatabaseProxy
from tests.support.rows import rows
from tests.support.waiting import until

OTHER_SPACE = """
    INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix, active)
    SELECT key || $1::text, provider, model || $1::text, dimensions, document_prefix, query_prefix, true
    FROM embedding_spaces WHERE id = $2
"""


async def switch(parts: Components, suffix: str) -> None:
    """Another space serves, as if another process had swapped, and nobody is told."""
    former = await rows(parts.database.url, "UPDATE embedding_spaces SET active = false WHERE active RETURNING id")
    await rows(parts.database.url, OTHER_SPACE, suffix, former[0]["id"])


async def test_the_space_that_serves_is_read_anew_while_no_notices_come_in(parts: Components) -> None:
    proxy = DatabaseProxy(parts.database)
    async with proxy.running():
        notices = Notices(proxy.database)
        spaces = Spaces(proxy.database, parts.spaces.embedder, parts.settings.embedder, notices)
        async with notices.listening():
            first = await spaces.active_space()
            assert await spaces.active_space() is await spaces.active_space()
            proxy.close()
            await until(lambda: not notices.connected)
            await switch(parts, "-2")
            second = await spaces.active_space()
            assert second.space.model == first.space.model + "-2"
            proxy.open()
            await until(lambda: notices.connected)
            assert await spaces.active_space() is await spaces.active_space()
            assert await spaces.active_space() == second
