"""Learning from use as clients see it: search, call, and search again, over HTTP and two processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.components import Components, open_components
from gateway.errors import SettingsError
from gateway.search.learning.example_weight import example_rules
from gateway.settings import AuditSettings, LearnSettings, Settings
from tests.support.gateway import RunningGateway, add_local_mcp, running_gateway
from tests.support.rows import rows, value
from tests.support.waiting import until

SAID = "work out how much each of four flatmates owes of the 120 euros"
SUM = {"expression": "120 / 4"}


def learning_settings(settings: Settings, from_use: str = "on") -> Settings:
    """From the first call on, and every tool is shown."""
    learn = LearnSettings(from_use, min_calls=1, min_callers=1)  # type: ignore[arg-type]
    return replace(settings, learn=learn, search=replace(settings.search, threshold=0.0))


@pytest.fixture
async def learning(settings: Settings, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway that learns from the first call on, with the tools of the example server."""
    async with open_components(learning_settings(settings)) as parts, running_gateway(parts) as gateway:
        await add_local_mcp(parts, tmp_path)
        yield gateway


async def similarity(gateway: RunningGateway, query: str, name: str = "calculator") -> float:
    arguments = {"query": query, "max_results": 50}
    answer = json.loads((await gateway.call("tool_search", arguments))["content"][0]["text"])
    (found,) = (tool for tool in answer["tools"] if tool["_metadata"]["tool"] == name)
    return float(found["_metadata"]["similarity"])


async def examples(parts: Components) -> list[dict[str, Any]]:
    found = await rows(parts.database.url, "SELECT text, source, calls FROM tool_examples ORDER BY id")
    return [dict(row) for row in found]


async def test_a_call_that_follows_a_search_is_what_the_next_search_goes_by(learning: RunningGateway) -> None:
    before = await similarity(learning, SAID)
    assert not (await learning.call("local_mcp__calculator", SUM)).get("isError")

    async def is_learnt() -> bool:
        return await similarity(learning, SAID) > before + 0.1

    await until(is_learnt)
    assert await examples(learning.parts) == [{"text": SAID, "source": "use", "calls": 1}]


async def test_nothing_is_learnt_from_an_error_or_from_a_call_that_follows_no_search(learning: RunningGateway) -> None:
    await learning.call("local_mcp__calculator", SUM)
    await learning.call("tool_search", {"query": SAID, "max_results": 50})
    assert (await learning.call("local_mcp__calculator", {"expression": "1 / 0"}))["isError"]
    # What comes after is counted, so that it is known that nothing of that was.
    await learning.call("tool_search", {"query": "what is two plus two", "max_results": 50})
    await learning.call("tool_call", {"name": "local_mcp__calculator", "arguments": SUM})

    async def is_counted() -> bool:
        return bool(await examples(learning.parts))

    await until(is_counted)
    assert [each["text"] for each in await examples(learning.parts)] == ["what is two plus two"]


async def test_secrets_and_personal_data_are_masked_before_anything_is_kept(learning: RunningGateway) -> None:
    said = "add up what anna.schmidt@exam\u200bple.org owes, token ghp_" + "a1B2" * 4 + "\u200b" + "a1B2" * 5
    await learning.call("tool_search", {"query": said, "max_results": 50})
    await learning.call("local_mcp__calculator", SUM)

    async def is_counted() -> bool:
        return bool(await examples(learning.parts))

    await until(is_counted)
    ((example),) = await examples(learning.parts)
    assert "anna" not in example["text"]
    assert "a1B2" not in example["text"]
    assert example["text"].startswith("add up what ")


async def test_after_a_restart_and_in_another_process_it_is_as_it_was(
    learning: RunningGateway, settings: Settings
) -> None:
    before = await similarity(learning, SAID)
    await learning.call("local_mcp__calculator", SUM)
    async with open_components(learning_settings(settings)) as parts, running_gateway(parts) as other:

        async def is_learnt() -> bool:
            return await similarity(other, SAID) > before + 0.1

        await until(is_learnt)


@pytest.mark.parametrize("mode", ["observe", "off"])
async def test_by_default_it_is_counted_without_effect_and_where_it_is_off_not_even_that(
    settings: Settings, tmp_path: Path, mode: str
) -> None:
    assert example_rules(settings).from_use == "observe"
    async with open_components(learning_settings(settings, mode)) as parts, running_gateway(parts) as gateway:
        await add_local_mcp(parts, tmp_path)
        before = await similarity(gateway, SAID)
        await gateway.call("local_mcp__calculator", SUM)
        if mode == "observe":

            async def is_counted() -> bool:
                return bool(await examples(parts))

            await until(is_counted)
            await parts.learner.refresh_all()
        assert await similarity(gateway, SAID) == before
    assert await value(settings.database.url, "SELECT count(*) FROM tool_examples") == (1 if mode == "observe" else 0)


def test_where_no_text_of_a_search_may_be_kept_nothing_is_learnt_and_whoever_wants_it_is_told() -> None:
    hashed = AuditSettings(queries="hash")
    assert example_rules(Settings(audit=hashed)).from_use == "off"
    assert example_rules(Settings()).from_use == "observe"
    assert example_rules(Settings(audit=hashed, learn=LearnSettings("off"))).from_use == "off"
    for wish in ("observe", "on"):
        with pytest.raises(SettingsError, match=rf'learn\.from_use is "{wish}" and audit\.queries is "hash"'):
            example_rules(Settings(audit=hashed, learn=LearnSettings(wish)))
