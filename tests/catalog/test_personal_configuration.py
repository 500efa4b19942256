"""How servers let persons in, in the document of a tenant's configuration."""

from __future__ import annotations

import pytest

from gateway.access.tenants import create_tenant
from gateway.catalog.configuration.apply import ConfigurationUpdate
from gateway.catalog.configuration.change import ApplyOptions
from gateway.catalog.configuration.document import format_configuration, parse_configuration
from gateway.catalog.configuration.export import export_configuration
from gateway.catalog.configuration.personal_entry import export_personal, resolve_personal
from gateway.catalog.configuration.placeholders import PlaceholderNames
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.errors import InvalidInputError
from gateway.guards.configured_guards import ConfiguredGuards
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth
from gateway.upstream.credentials.personal import PersonalKind, PersonalSecret
from gateway.upstream.credentials.token_client import TokenClient

SECRET = "s3cret-that-nobody-may-see"
CLIENT = TokenClient("gateway", "client_secret_basic", SECRET)
EXCHANGE = PersonalExchange(CLIENT, audience="tracker")


async def apply(parts: Components, tenant_id: int, text: str, values: dict[str, str]) -> list[str]:
    overrides = ToolOverrides(parts.database, parts.spaces)
    update = ConfigurationUpdate(
        parts.database, parts.servers, overrides, ConfiguredGuards(parts.guards.rules), tenant_id, ApplyOptions(values)
    )
    return [f"{change.name} {change.change}" for change in await update.apply(parse_configuration(text))]


@pytest.mark.parametrize(
    "kind", [PersonalSecret("header", "X-Api-Key", "{secret}"), EXCHANGE], ids=["secret", "exchange"]
)
async def test_a_document_says_how_persons_are_let_in_without_its_secrets(
    parts: Components, kind: PersonalKind
) -> None:
    server_id = await parts.servers.add(1, ServerDefinition("Tracker", "http", url="https://tracker.example/mcp"))
    await parts.servers.set_personal(1, server_id, kind)
    text = format_configuration(
        await export_configuration(parts.database, parts.servers, ConfiguredGuards(parts.guards.rules), 1)
    )
    assert SECRET not in text
    assert await apply(parts, 1, text, {}) == ["Tracker unchanged"] + ["all unchanged"] * ("name: all" in text)

    other = await create_tenant(parts.database, "other")
    text = "\n".join(text.partition("roles:")[:1])
    if isinstance(kind, PersonalExchange):
        with pytest.raises(InvalidInputError, match="There is no value for S_TRACKER_PERSONAL_CLIENT_SECRET"):
            await apply(parts, other.id, text, {})
    await apply(parts, other.id, text, {"S_TRACKER_PERSONAL_CLIENT_SECRET": SECRET})
    (record,) = await parts.servers.list(other.id)
    assert (await parts.servers.spec(other.id, record.id)).personal == kind


async def test_a_document_of_before_leaves_it_as_it_is_and_none_takes_it_away(parts: Components) -> None:
    server_id = await parts.servers.add(1, ServerDefinition("Tracker", "http", url="https://tracker.example/mcp"))
    text = format_configuration(
        await export_configuration(parts.database, parts.servers, ConfiguredGuards(parts.guards.rules), 1)
    ).partition("roles:")[0]
    await parts.servers.set_personal(1, server_id, PersonalSecret())
    assert await apply(parts, 1, text, {}) == ["Tracker unchanged"]
    assert (await parts.servers.spec(1, server_id)).personal == PersonalSecret()
    without = text.replace("- name: Tracker\n", "- name: Tracker\n  personal: {kind: none}\n")
    assert await apply(parts, 1, without, {}) == ["Tracker changed"]
    assert (await parts.servers.spec(1, server_id)).personal is None


@pytest.mark.parametrize(
    ("kind", "moved"),
    [
        (PersonalIdJag("https://auth.example", CLIENT), {"issuer": "https://evil.example"}),
        (
            PersonalOAuth(AuthorizationCode("gateway", SECRET, issuer="https://auth.example")),
            {"sign_in": {"client_id": "gateway", "client_secret": "${X}", "issuer": "https://evil.example"}},
        ),
    ],
    ids=["id_jag", "oauth"],
)
def test_a_stored_secret_is_not_used_for_another_authorization_server(
    kind: PersonalKind, moved: dict[str, object]
) -> None:
    entry = export_personal(PlaceholderNames("Tracker"), kind)
    assert entry is not None
    assert resolve_personal("Tracker", entry, kind, {}) == kind
    with pytest.raises(InvalidInputError, match="given for another authorization server"):
        resolve_personal("Tracker", {**entry, **moved}, kind, {})


@pytest.mark.parametrize("entry", [{}, {"kind": "magic"}, {"kind": "secret", "colour": "red"}, {"kind": "exchange"}])
def test_what_is_no_kind_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="personal of 'Tracker'"):
        resolve_personal("Tracker", entry, None, {})
