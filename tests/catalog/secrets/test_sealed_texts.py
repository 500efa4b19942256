"""What is sealed in the database: bound to its row, and sealed anew under another key while the gateway runs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.access.connections.oauth.registrations import OAuthRegistrations
from gateway.access.connections.oauth.sign_in_tokens import SignInTokens
from gateway.access.persons import Identity
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.secrets.key_rotation import KeyRotation, Rotated
from gateway.catalog.secrets.oauth_grants import GrantRenewals, StoredGrant
from gateway.catalog.secrets.sealed_texts import SealedTexts
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.errors import ConflictError, SettingsError
from gateway.guards.rule import GuardRule
from gateway.settings import Settings
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.credentials.oauth_grant import OAuthClient, OAuthGrant
from gateway.vault import Vault, open_keys
from tests.support.rows import rows

GRANT = OAuthGrant(OAuthClient("https://as.example", "https://as.example/token", "id"), "access", "refresh")
HEADERS = {"X-API-Key": "s3cret"}


async def add(parts: Components, name: str = "Docs") -> tuple[int, int]:
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition(
        name, "http", url="https://docs.example/mcp", headers=HEADERS, credential=AuthorizationCode("id")
    )
    key = (tenant.id, await parts.servers.add(tenant.id, new))
    grants = (await parts.servers.spec(*key)).grants
    assert grants is not None
    await grants.replace(GRANT)
    return key


async def opened(parts: Components, key: tuple[int, int]) -> tuple[Any, Any]:
    spec = await parts.servers._read_spec(*key)
    assert spec.grants is not None
    return dict(spec.headers), await spec.grants.load()


async def sealed(parts: Components, key: tuple[int, int]) -> list[bytes]:
    row = await parts.database.fetchrow("server_by_id", *key)
    assert row is not None
    return [row["sealed_secrets"], row["sealed_grant"]]


async def seal_as_in_0_1(parts: Components, key: tuple[int, int], slug: str) -> None:
    """Have the secrets of a server be as 0.1 left them."""
    (vault_key,) = open_keys("", "", parts.settings.data_dir).read()
    for column, value, owner in (
        ("sealed_secrets", {"headers": HEADERS}, f"server {slug} of tenant {key[0]}"),
        ("sealed_grant", GRANT.to_dict(), f"grant of server {key[1]} of tenant {key[0]}"),
    ):
        nonce = os.urandom(12)
        text = nonce + AESGCM(vault_key).encrypt(nonce, json.dumps(value).encode(), owner.encode())
        await rows(parts.database.url, f"UPDATE servers SET {column} = $1 WHERE id = $2", text, key[1])


async def test_what_was_sealed_for_a_server_opens_in_no_other_of_its_name(parts: Components) -> None:
    key = await add(parts)
    secrets, grant = await sealed(parts, key)
    await parts.servers.remove(*key)
    again = await add(parts)
    assert (await parts.servers.list(again[0]))[0].slug == "docs"
    await rows(parts.database.url, "UPDATE servers SET sealed_secrets = $1 WHERE id = $2", secrets, again[1])
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        await parts.servers._read_spec(*again)
    await rows(parts.database.url, "UPDATE servers SET sealed_secrets = NULL, sealed_grant = $1", grant)
    store = (await parts.servers._read_spec(*again)).grants
    assert store is not None
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        await store.load()


async def test_what_0_1_sealed_is_bound_to_its_row_at_the_start_and_nothing_is_ever_after(parts: Components) -> None:
    texts = SealedTexts(parts.database, Vault(open_keys("", "", parts.settings.data_dir)))
    old, new = await add(parts, "Old"), await add(parts, "New")
    await rows(parts.database.url, "INSERT INTO servers_of_0_1 VALUES ($1, $2)", *old)
    await seal_as_in_0_1(parts, old, "old")
    await seal_as_in_0_1(parts, new, "new")
    await texts.adopt_from_0_1()
    assert await opened(parts, old) == (HEADERS, GRANT)
    assert await rows(parts.database.url, "SELECT * FROM servers_of_0_1") == []
    await texts.adopt_from_0_1()
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        await parts.servers._read_spec(*new)


async def test_a_key_file_is_rotated_while_a_gateway_runs(parts: Components) -> None:
    folder = parts.settings.data_dir
    keys = [await add(parts, f"Docs {number}") for number in range(3)]
    before = [await sealed(parts, key) for key in keys]
    (former,) = open_keys("", "", folder).read()
    assert await KeyRotation(parts.database, open_keys("", "", folder), settle_seconds=0.0).run() == Rotated(3, 0)
    (in_force,) = open_keys("", "", folder).read()
    assert in_force != former
    # The gateway that has run all the while opens what is there, and seals under the new key.
    for key, texts in zip(keys, before, strict=True):
        assert await opened(parts, key) == (HEADERS, GRANT)
        assert not set(texts) & set(await sealed(parts, key))
    await add(parts, "Later")
    assert await KeyRotation(parts.database, open_keys("", "", folder), settle_seconds=0.0).run() == Rotated(4, 0)
    with pytest.raises(SettingsError):
        Vault(open_keys(former.hex(), "", folder)).open((await sealed(parts, keys[0]))[0], "any")


async def test_what_persons_have_is_sealed_anew_and_stays_what_it_was(parts: Components) -> None:
    tenant_id, server_id = await add(parts)
    person = await parts.persons.ensure(tenant_id, Identity("https://login.example", "ada"), "ada")
    client = OAuthClient("https://as.example", "https://as.example/token", "gateway", "s3cret")
    ring = open_keys("", "", parts.settings.data_dir)
    registrations = OAuthRegistrations(parts.database, Vault(ring))
    tokens = SignInTokens("https://login.example", "id", "refresh")
    await registrations.save(tenant_id, server_id, client)
    await parts.token_sources.sign_in_tokens.store(tenant_id, person.id, tokens)
    await parts.connections.connect(person, server_id, "secret", {"secret": "own"})
    tables = ("oauth_registrations", "sign_in_tokens", "connections")
    before = [await rows(parts.database.url, f"SELECT sealed FROM {table}") for table in tables]
    assert await KeyRotation(parts.database, ring, settle_seconds=0.0).run() == Rotated(4, 0)
    after = [await rows(parts.database.url, f"SELECT sealed FROM {table}") for table in tables]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert await registrations.get(tenant_id, server_id) == client
    assert await parts.token_sources.sign_in_tokens.get(tenant_id, person.id) == tokens
    connection = await parts.connections.load((tenant_id, person.id, server_id))
    assert connection is not None
    assert connection.secret == {"secret": "own"}
    # With a key that is not there any more, nothing is anybody's: the gateway registers anew, and people sign in anew.
    lost = Vault(open_keys("ab" * 32, "", parts.settings.data_dir))
    assert await OAuthRegistrations(parts.database, lost).get(tenant_id, server_id) is None


async def test_the_secret_of_a_webhook_that_judges_is_sealed_anew_and_stays_what_it_was(parts: Components) -> None:
    rule = GuardRule("judge", "webhook", "deny", options={"url": "https://example.com"})
    rules = parts.guards.rules
    made = (await rules.set(1, rule)).new_secret
    (before,) = await rows(parts.database.url, "SELECT sealed_secret FROM guard_rules")
    ring = open_keys("", "", parts.settings.data_dir)
    assert await KeyRotation(parts.database, ring, settle_seconds=0.0).run() == Rotated(0, 0)
    (after,) = await rows(parts.database.url, "SELECT sealed_secret FROM guard_rules")
    assert before != after
    assert made is not None
    assert await rules.secret(1, "judge") == made


async def test_a_rotation_that_was_cut_short_is_finished_and_two_are_never_under_way(parts: Components) -> None:
    folder = parts.settings.data_dir
    key = await add(parts)
    ring = open_keys("", "", folder)
    async with parts.database.dedicated_connection() as other:
        assert await other.fetchval("try_lock_rotation")
        with pytest.raises(ConflictError, match="being rotated already"):
            await KeyRotation(parts.database, ring, settle_seconds=0.0).run()
    assert hasattr(ring, "begin_rotation")
    ring.begin_rotation()
    assert await opened(parts, key) == (HEADERS, GRANT)
    in_force = ring.read()[0]
    assert await KeyRotation(parts.database, open_keys("", "", folder), settle_seconds=0.0).run() == Rotated(1, 0)
    assert list(ring.read()) == [in_force]
    assert await opened(parts, key) == (HEADERS, GRANT)


async def test_keys_of_the_settings_are_rotated_with_the_former_beside_them(settings: Settings) -> None:
    first, second = bytes(range(32)).hex(), bytes(32).hex()

    def with_keys(key: str, former: str) -> Settings:
        return replace(settings, server=replace(settings.server, encryption_key=key, former_encryption_key=former))

    async with open_components(with_keys(first, "")) as parts:
        key = await add(parts)
    async with open_components(with_keys(second, first)) as parts:
        assert await opened(parts, key) == (HEADERS, GRANT)
        ring = open_keys(second, first, settings.data_dir)
        assert await KeyRotation(parts.database, ring).run() == Rotated(1, 0)
        assert await KeyRotation(parts.database, ring).run() == Rotated(0, 0)
    async with open_components(with_keys(second, "")) as parts:
        assert await opened(parts, key) == (HEADERS, GRANT)


async def test_what_no_key_opens_is_counted_and_left(parts: Components) -> None:
    await add(parts)
    other = await add(parts, "Other")
    await rows(parts.database.url, "UPDATE servers SET sealed_secrets = 'x' WHERE slug = 'other'")
    ring = open_keys("", "", parts.settings.data_dir)
    assert await KeyRotation(parts.database, ring, settle_seconds=0.0).run() == Rotated(1, 1)
    # Its tokens are another text, and have not been lost with the former key.
    store = StoredGrant(*other, parts.database, Vault(ring), GrantRenewals())
    assert await store.load() == GRANT
