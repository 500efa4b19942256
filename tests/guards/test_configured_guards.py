"""Guards, approval and how persons are let in, in the document of a tenant's configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.access.roles import create_role, role_by_name
from gateway.access.rules import set_rule
from gateway.access.tenants import create_tenant
from gateway.catalog.configuration.apply import ConfigurationUpdate
from gateway.catalog.configuration.change import ApplyOptions, ConfigurationChange
from gateway.catalog.configuration.document import format_configuration, parse_configuration
from gateway.catalog.configuration.export import export_configuration
from gateway.catalog.configuration.placeholders import fill
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.errors import InvalidInputError
from gateway.guards.configured_guards import ConfiguredGuards
from gateway.guards.rule import GuardRule
from gateway.upstream.credentials.delegation import PersonalExchange
from gateway.upstream.credentials.personal import PersonalHeader
from gateway.upstream.credentials.token_client import TokenClient

SECRET, QUERY = "signed-with-this", "token=only-for-us"
VALUES = {"GUARD_JUDGE_SECRET": SECRET, "GUARD_JUDGE_URL_QUERY": QUERY}
JUDGE = GuardRule("judge", "webhook", "deny", options={"url": f"https://judge.example/check?{QUERY}"}, position=5)


async def export(parts: Components, tenant_id: int = 1) -> str:
    guards = ConfiguredGuards(parts.guards.rules)
    return format_configuration(await export_configuration(parts.database, parts.servers, guards, tenant_id))


async def apply(
    parts: Components, text: str, values: Mapping[str, str] = VALUES, tenant_id: int = 1, **options: Any
) -> tuple[ConfigurationChange, ...]:
    update = ConfigurationUpdate(
        parts.database,
        parts.servers,
        ToolOverrides(parts.database, parts.spaces),
        ConfiguredGuards(parts.guards.rules),
        tenant_id,
        ApplyOptions(values, **options),
    )
    return await update.apply(parse_configuration(text))


def told(changes: tuple[ConfigurationChange, ...]) -> list[tuple[str, str]]:
    return [(each.name, each.change) for each in changes if each.section == "guard"]


async def configure(parts: Components) -> None:
    """A tenant with every kind of what stands around a call."""
    server_id = await parts.servers.add(1, ServerDefinition("Bank", "http", url="https://bank.example/mcp"))
    await parts.servers.set_personal(1, server_id, PersonalHeader("X-Sso-Token", "X-User-Token"))
    role = await create_role(parts.database, 1, "office", "SEARCH", approve="destructive")
    await set_rule(parts.database, 1, role.id, "ALLOW", pattern="bank__pay*", approve="require")
    rules = parts.guards.rules
    for rule in (
        GuardRule("secrets out", "secrets", "mask", subjects=("tools", "prompts", "resources")),
        GuardRule("places", "path", "deny", ("arguments",), options={"allowed": ["/data/**"], "arguments": ["/to"]}),
        GuardRule("large", "size", "observe", ("result",), role_id=role.id, options={"max_bytes": 9_000}, fail="open"),
        GuardRule("mail", "personal", "mask", server_id=server_id, pattern="*pay*", category="api", budget_ms=50),
        GuardRule("off", "injection", "deny", ("result",), enabled=False, options={"hosts": ["*.example"]}),
    ):
        await rules.set(1, rule)
    await rules.set(1, JUDGE, secret=SECRET)


async def test_what_is_exported_is_the_same_once_it_is_applied_to_an_empty_tenant(parts: Components) -> None:
    await configure(parts)
    text = await export(parts)
    assert SECRET not in text
    assert QUERY not in text
    assert {change.change for change in await apply(parts, text, {}, prune=True)} == {"unchanged"}

    other = await create_tenant(parts.database, "other")
    planned = await apply(parts, text, tenant_id=other.id, prune=True, dry_run=True)
    assert await parts.guards.rules.list(other.id) == ()
    assert await apply(parts, text, tenant_id=other.id, prune=True) == planned
    assert await export(parts, other.id) == text
    assert {change.change for change in await apply(parts, text, tenant_id=other.id, prune=True)} == {"unchanged"}
    assert await parts.guards.rules.secret(other.id, "judge") == SECRET
    assert (await parts.guards.rules.get(other.id, "judge")).rule == JUDGE


async def test_what_a_document_says_of_guards_is_said_before_it_is_done(parts: Components) -> None:
    await configure(parts)
    text = "modelgate: 1\nguards:\n- {name: 'off', guard: injection, action: deny, stages: [result]}\n"
    text += "- {name: new, guard: secrets, action: deny}\n- {name: lost, guard: secrets, action: deny, role: nobody}\n"
    changes = await apply(parts, text, prune=True, dry_run=True)
    assert told(changes) == [
        *((name, "removed") for name in ("judge", "large", "mail", "places", "secrets out")),
        ("off", "changed"),
        ("new", "added"),
        ("lost", "skipped"),
    ]
    assert changes[-1].note == "there is no role 'nobody'"
    assert len(await parts.guards.rules.list(1)) == 6
    assert await apply(parts, text, prune=True) == changes
    assert [stored.rule.name for stored in await parts.guards.rules.list(1)] == ["new", "off"]
    # A document of before knows of no guards, and touches none.
    await apply(parts, "modelgate: 1\nroles: []\n", prune=True)
    assert len(await parts.guards.rules.list(1)) == 2


async def test_a_webhook_whose_secret_nobody_gives_is_signed_with_a_new_one(parts: Components) -> None:
    await configure(parts)
    text = (await export(parts)).replace("name: judge", "name: jury")
    with pytest.raises(InvalidInputError, match="guard 'jury' cannot be: there is no value for GUARD_JUDGE_URL_QUERY"):
        await apply(parts, text, {})
    assert [name for name, _ in told(await apply(parts, text, dry_run=True)) if name == "jury"] == ["jury"]
    made = await apply(parts, text, {"GUARD_JUDGE_URL_QUERY": QUERY})
    (note,) = [change.note for change in made if change.name == "jury"]
    assert note is not None
    assert "signed with a new secret" in note
    assert await parts.guards.rules.secret(1, "jury") not in (None, SECRET)
    # Once it is known it is set, and only where it is another.
    assert ("jury", "changed") in told(await apply(parts, text))
    assert ("jury", "unchanged") in told(await apply(parts, text))
    assert await parts.guards.rules.secret(1, "jury") == SECRET


async def test_what_is_stored_for_one_address_is_not_used_for_another(parts: Components) -> None:
    await configure(parts)
    bank = ServerDefinition("Tokens", "http", url="https://tokens.example/mcp?key=only-for-us#top")
    server_id = await parts.servers.add(1, bank)
    text = await export(parts)
    assert {each.change for each in await apply(parts, text, {})} == {"unchanged"}

    moved = text.replace("https://judge.example", "https://jury.example")
    with pytest.raises(InvalidInputError, match="guard 'judge' cannot be: there is no value for GUARD_JUDGE_URL_QUERY"):
        await apply(parts, moved, {})
    assert ("judge", "changed") in told(await apply(parts, moved))
    assert (await parts.guards.rules.get(1, "judge")).rule.options == {"url": f"https://jury.example/check?{QUERY}"}

    elsewhere = moved.replace("https://tokens.example", "https://other.example")
    (change,) = [each for each in await apply(parts, elsewhere) if each.name == "Tokens"]
    assert change.change == "changed"
    assert "disabled: there is no value for TOKENS_URL_QUERY" in str(change.note)
    assert (await parts.servers.spec(1, server_id)).url == "https://other.example/mcp?"


async def test_what_is_given_under_a_name_is_given_to_nothing_else(parts: Components) -> None:
    await parts.guards.rules.set(1, JUDGE, secret=SECRET)
    for name in ("Guard Judge", "guard-judge"):
        server_id = await parts.servers.add(1, ServerDefinition(name, "http", url=f"https://tracker.example/?{name}=1"))
        client = TokenClient("gateway", "client_secret_basic", f"of {name}")
        await parts.servers.set_personal(1, server_id, PersonalExchange(client, audience="tracker"))
    text = await export(parts)
    named = re.findall(r"\$\{(\w+)\}", text)
    assert len(named) == len(set(named)) == 6
    assert {each.change for each in await apply(parts, text, {})} == {"unchanged"}


@pytest.mark.parametrize(
    ("text", "stored", "kept"),
    [
        ("${A}", "anything", True),
        ("Bearer ${A}", "Bearer abc", True),
        ("Bearer ${A}", "Token abc", False),
        ("a${A}b${B}c", "a1b2c", True),
        ("a${A}b${B}c", "a1c", False),
        ("aa${A}aa", "aaa", False),
        ("https://${A}@h/p?${B}", "https://u:p@h/p?q=1#f", True),
        ("https://${A}@h/p?${B}", "https://u:p@g/p?q=1", False),
        ("http://[${A}", "http://[x", True),
    ],
)
def test_what_is_stored_takes_the_place_of_a_secret_where_the_rest_is_the_same(
    text: str, stored: str, kept: bool
) -> None:
    filled = fill(text, stored, {})
    assert (filled.text == stored, not filled.missing) == (kept, kept)


async def test_the_settings_of_a_plugin_are_given_out_without_what_may_be_secret(parts: Components) -> None:
    settings = {
        "threshold": 0.5,
        "api_key": "k-123456789",
        "deep": [{"password": "p-123456789", "label": "plain"}],
        "credentials": {"openai": "o-123456789", "regions": {"eu": ["e-123456789"]}},
        "pin": 4711,
    }
    rule = GuardRule("shout", "plugin", "deny", options={"plugin": "presidio", "settings": settings})
    plain = ConfiguredGuards(parts.guards.rules)
    await parts.database.execute(
        "set_guard_rule", 1, rule.name, 1, "plugin", "deny", list(rule.stages), ["tools"], None, None, None, None,
        "closed", 300, True, dict(rule.options), None,
    )  # fmt: skip
    (entry,) = await plain.export(1, set())
    assert entry.options["settings"] == {
        "threshold": 0.5,
        "api_key": "${GUARD_SHOUT_API_KEY}",
        "deep": [{"password": "${GUARD_SHOUT_PASSWORD}", "label": "plain"}],
        "credentials": {
            "openai": "${GUARD_SHOUT_CREDENTIALS_OPENAI}",
            "regions": {"eu": ["${GUARD_SHOUT_CREDENTIALS_REGIONS_EU}"]},
        },
        "pin": "${GUARD_SHOUT_PIN}",
    }


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"guard": "magic"}, "guard has to be one of secrets"),
        ({"action": "shout"}, "action"),
        ({"stages": ["later"]}, "stages"),
        ({"category": "cats"}, "category has to be one of"),
        ({"budget_ms": 0}, "budget"),
        ({"options": {"colour": "red"}}, "option colour"),
        ({"secret": "${GUARD_X_SECRET}"}, "secret is for a webhook"),
        ({"name": "-x"}, "name of a guard"),
        ({"guard": "webhook", "options": {"url": "ftp://x"}}, "url of a webhook"),
        ({"guard": "plugin", "options": {"plugin": "gone"}}, "no plugin 'gone'"),
    ],
)
async def test_a_guard_that_cannot_be_is_named_before_anything_is_changed(
    parts: Components, entry: dict[str, Any], told: str
) -> None:
    await configure(parts)
    document = parse_configuration(
        "modelgate: 1\nroles: [{name: fresh}]\nguards: [{name: x, guard: secrets, action: deny}]"
    )
    assert document.guards is not None
    bad = replace(document, guards=(replace(document.guards[0], **entry),))
    update = ConfigurationUpdate(
        parts.database,
        parts.servers,
        ToolOverrides(parts.database, parts.spaces),
        ConfiguredGuards(parts.guards.rules),
        1,
        ApplyOptions(),
    )
    with pytest.raises(InvalidInputError, match=f"The guard '{entry.get('name', 'x')}' cannot be: .*{told}"):
        await update.apply(bad)
    assert "fresh" not in await export(parts)
    assert (await role_by_name(parts.database, 1, "office")).approve == "destructive"
