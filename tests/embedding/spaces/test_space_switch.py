"""Going over to another space by hand, in parts, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.category_proposal import CATEGORY_TEXTS
from gateway.catalog.sync import vector_filler
from gateway.catalog.sync.fill_rate import FillRate
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.database.actor import Actor, acting_as
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.errors import ConflictError, NotFoundError
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.audit import audit_rows
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, rows, value

TOOLS = [tool(f"tool_{number}", f"Does thing number {number}", it="what to do") for number in range(12)]


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(models=("nomic-embed-text", "other-model")) as server:
        yield server


@pytest.fixture
def before(settings: Settings, ollama: EmbeddingServer) -> Settings:
    return replace(settings, embedder=EmbedderSettings(type="ollama", base_url=ollama.url, standby=False))


@pytest.fixture
def after(before: Settings) -> Settings:
    return replace(before, embedder=replace(before.embedder, model="other-model"))


@pytest.fixture
async def parts(before: Settings, after: Settings, tmp_path: Path) -> AsyncIterator[Components]:
    """A gateway whose settings name another model than the one that made the vectors."""
    async with open_components(before) as former:
        await add_listed(former, tmp_path, *TOOLS)
        await fill(former)
    async with open_components(after) as opened:
        await opened.spaces.configured_space()
        yield opened


async def fill(parts: Components) -> int:
    return await VectorFiller(parts.database, parts.spaces, parts.categories).fill()


async def states(parts: Components) -> dict[str, str]:
    return {each.record.stored.space.model: each.state for each in await SpaceSwitch(parts.spaces.store).status()}


async def find(parts: Components) -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest(("do thing number 3",), max_results=1))


async def serving(parts: Components) -> str:
    return (await parts.spaces.active_space()).space.model


async def test_a_space_that_is_full_takes_over_and_the_former_one_is_kept_to_go_back_to(parts: Components) -> None:
    assert await states(parts) == {"nomic-embed-text": "serving", "other-model": "filling"}
    await fill(parts)
    assert await states(parts) == {"other-model": "serving", "nomic-embed-text": "former"}
    await SpaceSwitch(parts.spaces.store).switch()
    assert await states(parts) == {"nomic-embed-text": "serving", "other-model": "paused"}
    assert await serving(parts) == "nomic-embed-text"


async def test_a_space_that_is_dropped_before_it_is_full_is_begun_anew(parts: Components) -> None:
    await SpaceSwitch(parts.spaces.store).drop((await parts.spaces.configured_space()).id)
    assert await states(parts) == {"nomic-embed-text": "serving"}
    await fill(parts)
    assert await states(parts) == {"other-model": "serving", "nomic-embed-text": "former"}


async def test_what_searches_read_of_a_space_is_there_before_it_serves(parts: Components) -> None:
    await find(parts)
    assert parts.index.tools == 12
    seen = []

    async def look(space: StoredSpace) -> None:
        seen.append((space.space.model, await serving(parts), parts.index.tools))

    parts.spaces.before_switch(look)
    await fill(parts)
    assert seen == [("other-model", "nomic-embed-text", 24)]
    assert await serving(parts) == "other-model"


async def test_what_was_gone_back_from_is_not_switched_to_again_until_somebody_says_so(
    parts: Components, after: Settings
) -> None:
    await fill(parts)
    switch = SpaceSwitch(parts.spaces.store)
    await switch.switch()
    async with open_components(after) as later:
        await fill(later)
        assert await serving(later) == "nomic-embed-text"
        await switch.resume()
        await fill(later)
        assert await serving(later) == "other-model"


async def test_a_share_of_the_searches_goes_to_a_space_once_it_holds_every_tool(parts: Components) -> None:
    switch = SpaceSwitch(parts.spaces.store)
    await switch.switch(share=50)
    assert await states(parts) == {"nomic-embed-text": "serving", "other-model": "filling"}
    await fill(parts)
    assert await states(parts) == {"nomic-embed-text": "serving", "other-model": "sharing"}
    used = [(await parts.spaces.embed_queries([f"find {n}"])).stored.space.model for n in range(60)]
    assert 5 < used.count("other-model") < 55
    await switch.switch()
    assert await serving(parts) == "other-model"


async def test_a_space_that_does_not_hold_every_tool_cannot_serve(parts: Components) -> None:
    with pytest.raises(ConflictError, match="holds 0 of 12 tools"):
        await SpaceSwitch(parts.spaces.store).switch()


async def test_a_space_whose_weights_are_gone_cannot_serve_again(
    parts: Components, after: Settings, ollama: EmbeddingServer
) -> None:
    await fill(parts)
    ollama.weights = 7
    async with open_components(after) as later:
        await fill(later)
        gone = [each for each in await SpaceSwitch(later.spaces.store).status() if each.state == "gone"]
        assert [each.record.stored.space.model for each in gone] == ["other-model"]
        with pytest.raises(ConflictError, match="has other weights than those that made it"):
            await SpaceSwitch(later.spaces.store).switch(gone[0].record.stored.id)


async def test_a_paused_space_is_neither_filled_nor_switched_to(parts: Components) -> None:
    switch = SpaceSwitch(parts.spaces.store)
    other = (await parts.spaces.configured_space()).id
    await switch.pause(other)
    assert await fill(parts) == 0
    assert await states(parts) == {"nomic-embed-text": "serving", "other-model": "paused"}
    await switch.resume(other)
    assert await fill(parts) == 12


async def test_the_space_that_serves_is_neither_dropped_nor_paused(parts: Components) -> None:
    switch = SpaceSwitch(parts.spaces.store)
    active = (await parts.spaces.active_space()).id
    with pytest.raises(ConflictError):
        await switch.drop(active)
    with pytest.raises(ConflictError):
        await switch.pause(active)
    with pytest.raises(NotFoundError):
        await switch.drop(4711)
    other = (await parts.spaces.configured_space()).id
    await switch.drop(other)
    assert await states(parts) == {"nomic-embed-text": "serving"}


async def test_two_processes_that_begin_the_same_switch_embed_each_tool_once(
    parts: Components, after: Settings, ollama: EmbeddingServer
) -> None:
    async with open_components(after) as second:
        ollama.clear()
        ollama.seconds_a_request = 0.05
        await asyncio.gather(fill(parts), fill(second))
        documents = whole_texts(ollama)
        assert len(documents) == len(set(documents)) == 12


async def test_a_switch_that_was_cut_off_goes_on_where_it_was(
    parts: Components, after: Settings, ollama: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stored = VectorFiller._store, asyncio.Event()

    async def store_and_stop(*arguments: Any) -> int:
        await store(*arguments)
        stored.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(vector_filler, "_BATCH_TOOLS", 5)
    ollama.clear()
    with monkeypatch.context() as patch:
        patch.setattr(VectorFiller, "_store", store_and_stop)
        filling = asyncio.create_task(fill(parts))
        await stored.wait()
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
    space_id = (await parts.spaces.configured_space()).id
    assert await value(parts.database.url, "SELECT count(*) FROM tool_embeddings WHERE space_id = $1", space_id) == 5
    done = whole_texts(ollama)
    assert len(done) == 5
    await parts.spaces.store.release(space_id)
    async with open_components(after) as later:
        await fill(later)
        assert await serving(later) == "other-model"
    # What was made before is not made again.
    assert sorted(whole_texts(ollama)) == sorted(set(whole_texts(ollama)))
    assert whole_texts(ollama)[:5] == done
    assert len(whole_texts(ollama)) == 12


def whole_texts(ollama: EmbeddingServer) -> list[str]:
    """The texts that stand for a whole tool, of those that were asked for."""
    return [text for text in ollama.texts if "thing number" in text and "Parameters" in text]


async def test_a_model_that_costs_money_waits_for_a_yes_before_all_is_embedded_anew(
    settings: Settings, tmp_path: Path, ollama: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.embedding.spaces.configured_space.costs_money", lambda settings: True)
    paid = EmbedderSettings(type="openai", base_url=ollama.url, api_key="sk-1", standby=False)
    async with open_components(replace(settings, embedder=paid)) as first:
        await add_listed(first, tmp_path, *TOOLS)
        await fill(first)
    async with open_components(replace(settings, embedder=paid)) as same:
        assert list((await states(same)).values()) == ["serving"]
        await same.spaces.configured_space()
        assert len(await SpaceSwitch(same.spaces.store).status()) == 1
    ollama.weights = 3
    async with open_components(replace(settings, embedder=paid)) as other:
        assert await fill(other) == 0
        newest = (await SpaceSwitch(other.spaces.store).status())[1]
        assert (newest.state, newest.embedded) == ("paused", 0)
        await SpaceSwitch(other.spaces.store).resume()
        assert await fill(other) == 12


async def test_who_switched_shared_and_dropped_spaces_is_in_the_audit_log(parts: Components) -> None:
    await fill(parts)
    switch = SpaceSwitch(parts.spaces.store)
    with acting_as(Actor("admin", "ada")):
        await switch.switch(share=20)
        former = (await switch.status())[1].record.stored.id
        await switch.drop(former)
    rows = await audit_rows(parts.database, action="embedding space.", tenant=0, wanted=5)
    done = [(row["actor_name"], row["action"], row["target"]) for row in rows]
    assert done[:2] == [
        ("ada", "embedding space.removed", "nomic-embed-text"),
        ("ada", "embedding space.changed", "nomic-embed-text"),
    ]
    assert rows[1]["details"]["share"] == [0, 20]
    # Filled and switched to by the gateway itself.
    assert ("embedding space.changed", "other-model") in {each[1:] for each in done}


async def test_a_space_is_filled_at_the_rate_of_the_settings_and_takes_over_when_it_is_full(parts: Components) -> None:
    seconds = [0.0]
    filler = VectorFiller(parts.database, parts.spaces, parts.categories, rate=FillRate(300, lambda: seconds[0]))
    assert await filler.fill() == 0
    looks = 0
    while await serving(parts) != "other-model":
        seconds[0] += 1
        looks += 1
        await filler.fill()
    # Three texts a tool and what describes categories, five a second.
    assert looks == pytest.approx((12 * 3 + len(CATEGORY_TEXTS)) / 5, abs=2)


async def test_a_space_that_cannot_be_dropped_keeps_none_from_being_filled(parts: Components) -> None:
    for sql in _EXPIRED_SPACE_THAT_STAYS:
        await rows(parts.database.url, sql)
    assert await fill(parts) == 12
    assert await serving(parts) == "other-model"
    assert await value(parts.database.url, "SELECT count(*) FROM embedding_spaces WHERE key = 'expired'") == 1


_EXPIRED_SPACE_THAT_STAYS = (
    """
    INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix, retired_at)
    SELECT 'expired', provider, 'expired', dimensions, document_prefix, query_prefix, now() - interval '1 year'
    FROM embedding_spaces WHERE active
    """,
    """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'canceling statement' USING ERRCODE = 'query_canceled';
    END
    $$
    """,
    "CREATE TRIGGER refuse BEFORE DELETE ON embedding_spaces FOR EACH ROW EXECUTE FUNCTION refuse()",
)
