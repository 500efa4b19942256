"""Guards one after the other: order, budgets, and what becomes of those that break down."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from gateway.errors import GuardError
from gateway.guards.content import Content, GuardedUse
from gateway.guards.guard_chain import ActiveGuard
from gateway.guards.inspection import Change, Inspection
from gateway.guards.rule import GuardRule
from gateway.masking import MASK
from gateway.sensitive_text.secrets import mask_secrets
from tests.guards.chains import chain_of

USE = GuardedUse(1, (1,), "key", "tools", 1, "Files", "files__read")
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cD1fG3iJ5"


class Counted:
    """Adds its number to what is looked at."""

    def __init__(self, number: int) -> None:
        self._number = number

    def inspect_now(self, content: Content) -> Inspection:
        return Inspection(1, "are counted", Change({"seen": [*content.value["seen"], self._number]}))


class Broken:
    """Breaks down, with what it was shown in its error."""

    def inspect_now(self, content: Content) -> Inspection:
        raise RuntimeError(f"cannot read {content.value}")


class Slow:
    """Takes longer than any budget."""

    async def inspect(self, content: Content) -> Inspection:
        await asyncio.sleep(60)
        raise AssertionError


class Busy:
    """Holds on to the processor for longer than its budget."""

    def inspect_now(self, content: Content) -> Inspection:
        time.sleep(0.05)
        return Inspection()


async def test_each_guard_looks_at_what_those_before_it_have_left() -> None:
    chain = chain_of(*(ActiveGuard(GuardRule(f"g{n}", "secrets", "mask"), quick=Counted(n)) for n in (1, 2, 3)))
    outcome = await chain.check(USE, "arguments", {"seen": []})
    assert outcome.value == outcome.audited == {"seen": [1, 2, 3]}
    assert [decision.rule for decision in outcome.decisions] == ["g1", "g2", "g3"]


async def test_none_looks_after_one_has_refused() -> None:
    refusing = ActiveGuard(GuardRule("no", "secrets", "deny"), quick=Counted(1))
    after = ActiveGuard(GuardRule("after", "secrets", "mask"), quick=Broken())
    outcome = await chain_of(refusing, after).check(USE, "arguments", {"seen": []})
    assert [decision.rule for decision in outcome.decisions] == ["no"]
    assert (
        outcome.refusal == "The guard no has refused the call: the arguments are counted; change them and call again."
    )


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ({"quick": Broken()}, "it broke down; the gateway's log says more"),
        ({"slow": Slow()}, "it took longer than the 20 ms it may"),
        ({"quick": Busy()}, "it took longer than the 20 ms it may"),
        ({"broken": GuardError("it is not set up")}, "it is not set up"),
    ],
)
@pytest.mark.parametrize("stage", ["arguments", "result"])
async def test_one_that_raises_or_takes_too_long_refuses_or_lets_through_as_its_rule_says(
    guard: Any, said: str, stage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    value = {"text": TOKEN}
    closed = ActiveGuard(GuardRule("odd", "plugin", "deny", budget_ms=20), **guard)
    outcome = await chain_of(closed).check(USE, stage, value)
    assert said in str(outcome.refusal)
    assert TOKEN not in str(outcome.refusal)
    assert ("the call was not made" in str(outcome.refusal)) is (stage == "arguments")
    opened = ActiveGuard(GuardRule("odd", "plugin", "deny", budget_ms=20, fail="open"), **guard)
    outcome = await chain_of(opened).check(USE, stage, value)
    assert (outcome.value, outcome.refusal) == (value, None)
    assert [decision.verdict for decision in outcome.decisions] == ["failed"]


def masked(value: Any, stage: Any = "result") -> Any:
    return Content(USE, stage, value).masked(mask_secrets)[0]


def test_pictures_files_and_what_is_the_servers_own_are_left_and_all_else_is_masked() -> None:
    blocks = [
        {"type": "image", "data": TOKEN, "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "blob": TOKEN}},
        {"type": "resource", "resource": {"uri": "file:///a", "text": TOKEN}},
        {"type": "text", "text": f"a {TOKEN} b", "_meta": {"note": TOKEN}},
    ]
    assert masked({"content": blocks, "requestState": TOKEN, "resultType": "input_required"}) == {
        "content": [
            blocks[0],
            blocks[1],
            {"type": "resource", "resource": {"uri": "file:///a", "text": MASK}},
            {"type": "text", "text": f"a {MASK} b", "_meta": {"note": MASK}},
        ],
        "requestState": TOKEN,
        "resultType": "input_required",
    }
    # Arguments are the caller's as a whole.
    assert masked({"data": TOKEN, "type": "image"}, "arguments") == {"data": MASK, "type": "image"}


def test_keys_that_are_masked_to_the_same_stay_apart() -> None:
    other = "AKIA" + "IOSFODNN7EXAMPLE"
    assert masked({TOKEN: 1, other: 2, "plain": 3}) == {MASK: 1, f"{MASK} 2": 2, "plain": 3}


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_a_text_that_says_the_structured_content_says_it_as_it_is_afterwards(indent: int | None) -> None:
    value = {"key": TOKEN, "name": "Zoë", "list": [1, None]}
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    result = masked({"content": [{"type": "text", "text": text}], "structuredContent": value})
    assert result["structuredContent"] == {**value, "key": MASK}
    assert result["content"][0]["text"] == json.dumps(result["structuredContent"], indent=indent, ensure_ascii=False)
