"""Webhooks that judge: what they are asked, what they may answer, and what becomes of all else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import InvalidInputError
from gateway.guards.content import GuardedUse
from gateway.guards.guard_chain import ActiveGuard, GuardChain, GuardOutcome
from gateway.guards.rule import GuardRule, Stage
from gateway.guards.webhook.webhook_client import WebhookClient
from gateway.guards.webhook.webhook_guard import WebhookGuard
from gateway.upstream.policy import ConnectionPolicy
from tests.guards.chains import chain_of
from tests.guards.webhook.judge import SECRET, Judge

USE = GuardedUse(7, (1,), "a key", "tools", 3, "Mail", "mail__send", category="messaging")
RULE = GuardRule("judge", "webhook", "mask", budget_ms=5_000)
RESULT = {"content": [{"type": "text", "text": '{"who":"Anna"}'}], "structuredContent": {"who": "Anna"}}


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    async with Judge().running() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    client = WebhookClient(ConnectionPolicy())
    yield client
    await client.aclose()


async def secret() -> str | None:
    return SECRET


def chain(client: WebhookClient, url: str, rule: GuardRule = RULE) -> GuardChain:
    guard = WebhookGuard(client, rule.name, url, rule.budget_ms / 1000, secret)
    return chain_of(ActiveGuard(rule, slow=guard))


async def judged(client: WebhookClient, judge: Judge, answer: Any, value: Any, **more: Any) -> GuardOutcome:
    judge.answer = answer
    stage: Stage = more.pop("stage", "arguments")
    return await chain(client, judge.url, replace(RULE, **more)).check(USE, stage, value)


async def test_it_is_asked_with_a_signature_and_told_all_it_needs_and_connections_are_used_again(
    client: WebhookClient, judge: Judge
) -> None:
    asked = chain(client, judge.url)
    for number in range(5):
        outcome = await asked.check(USE, "arguments", {"number": number})
        assert outcome == GuardOutcome({"number": number}, {"number": number})
    first = judge.asked[0]
    assert first.pop("id").startswith("msg_")
    assert first == {
        "version": 1,
        "guard": "judge",
        "stage": "arguments",
        "subject": "tools",
        "tenant": 7,
        "caller": "a key",
        "server": "Mail",
        "name": "mail__send",
        "category": "messaging",
        "content": {"number": 0},
    }
    assert len(judge.clients) == 1


async def test_what_it_says_is_done_as_far_as_the_rule_lets_it(client: WebhookClient, judge: Judge) -> None:
    change = {"verdict": "change", "content": {"to": "nobody"}}
    outcome = await judged(client, judge, change, {"to": "all"})
    assert (outcome.value, outcome.decisions[0].verdict) == ({"to": "nobody"}, "masked")
    denied = await judged(client, judge, {"verdict": "deny", "reason": "not\non Sundays."}, {"to": "all"})
    assert denied.refusal == (
        "The guard judge has refused the call: the arguments are refused (not on Sundays); change them and call again."
    )
    for answer in (change, {"verdict": "deny"}):
        observed = await judged(client, judge, answer, {"to": "all"}, action="observe")
        assert (observed.value, observed.refusal) == ({"to": "all"}, None)
        assert observed.decisions[0].verdict == "observed"
    refused = await judged(client, judge, change, {"to": "all"}, action="deny")
    assert refused.decisions[0].verdict == "failed"
    assert "changed what it may only let through or refuse" in str(refused.refusal)


async def test_a_changed_result_stays_true_to_itself(client: WebhookClient, judge: Judge) -> None:
    both = {**RESULT, "structuredContent": {"who": "***"}}
    outcome = await judged(client, judge, {"verdict": "change", "content": both}, RESULT, stage="result")
    assert outcome.value == {
        "content": [{"type": "text", "text": '{"who":"***"}'}],
        "structuredContent": {"who": "***"},
    }
    text_only = {**RESULT, "content": [{"type": "text", "text": '{"who":"***"}'}]}
    for answer in (text_only, {"structuredContent": {"who": "***"}}, {**RESULT, "content": "***"}, [RESULT]):
        outcome = await judged(client, judge, {"verdict": "change", "content": answer}, RESULT, stage="result")
        assert outcome.decisions[0].verdict == "failed", answer
        assert "so what the server answered is withheld" in str(outcome.refusal)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"verdict": "allow", "name": "mail__delete"}, "\"allow\" with 'name', which it cannot say"),
        ({"verdict": "change", "content": {}, "name": "mail__delete"}, "\"change\" with 'name'"),
        ({"verdict": "change"}, "without any content"),
        ({"verdict": "change", "content": ["to"]}, "no object"),
        ({"verdict": "maybe"}, "no verdict"),
        (["allow"], "no verdict"),
        (b"yes", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"verdict":"allow"}' + b" " * 10 * 1024 * 1024, "longer than 8,388,608 bytes"),
        (500, "HTTP 500"),
        (307, "HTTP 307"),
    ],
)
async def test_any_other_answer_is_a_failure_that_says_what_it_was(
    client: WebhookClient, judge: Judge, answer: Any, said: str
) -> None:
    closed = await judged(client, judge, answer, {"to": "all"})
    assert said in str(closed.refusal)
    assert str(closed.refusal).startswith("The guard judge could not judge the arguments (")
    assert str(closed.refusal).endswith(", so the call was not made; try again, or tell the gateway's administrator.")
    opened = await judged(client, judge, answer, {"to": "all"}, fail="open")
    assert (opened.value, opened.refusal, opened.decisions[0].verdict) == ({"to": "all"}, None, "failed")


async def test_one_that_hangs_costs_its_budget_and_after_five_times_nothing(
    client: WebhookClient, judge: Judge
) -> None:
    judge.answer = None
    hanging = chain(client, judge.url, replace(RULE, budget_ms=50))
    for _ in range(5):
        assert "took longer than the 50 ms it may" in str((await hanging.check(USE, "arguments", {})).refusal)
    asked = len(judge.asked)
    assert "has failed 5 times" in str((await hanging.check(USE, "arguments", {})).refusal)
    assert len(judge.asked) == asked


async def test_one_that_is_not_there_or_may_not_be_asked_is_told_of(client: WebhookClient, judge: Judge) -> None:
    outcome = await chain(client, "http://127.0.0.1:9/judge").check(USE, "arguments", {})
    assert "its webhook does not answer" in str(outcome.refusal)
    for url in ("ftp://example.com", "http://169.254.169.254/latest", "nonsense"):
        with pytest.raises(InvalidInputError, match="The webhook is not asked"):
            chain(client, url)
    closed = WebhookClient(ConnectionPolicy(private_addresses="deny"))
    with pytest.raises(InvalidInputError, match="private_addresses"):
        chain(closed, judge.url)
