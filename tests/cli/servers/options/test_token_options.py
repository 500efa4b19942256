"""What the options of the command line say about OAuth tokens of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from gateway.access.tenants import tenant_by_slug
from gateway.cli.servers.options.credential_options import credential_options
from gateway.cli.servers.options.personal_options import personal_options, read_personal
from gateway.cli.servers.options.token_options import token_options
from gateway.components import Components
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth
from gateway.upstream.credentials.personal import personal_from_dict, personal_to_dict
from gateway.upstream.credentials.token_client import TokenClient
from tests.cli.process import CommandLine


def given(**options: Any) -> dict[str, Any]:
    """The options of `servers set`, of which these are given, for each person."""

    def command() -> None:
        raise AssertionError

    for group in (credential_options, personal_options, token_options):
        group(command)
    names = [parameter.name for parameter in command.__click_params__]  # type: ignore[attr-defined]
    assert set(options) <= {*names}
    return {**dict.fromkeys(names), "credential": "per_user", **options}


def test_each_person_signs_in() -> None:
    options = given(kind="oauth", oauth_client_id="gate", oauth_scope="tools")
    assert read_personal(options) == PersonalOAuth(AuthorizationCode("gate", scope="tools"))
    # It is not for the server's own credential, too.
    assert options["oauth_client_id"] is None


def test_tokens_are_exchanged_in_both_forms(tmp_path: Path) -> None:
    client = {"oauth_client_id": "gate", "oauth_client_secret": "s"}
    basic = TokenClient("gate", "client_secret_basic", "s")
    assert read_personal(given(kind="exchange", audience="docs", **client)) == PersonalExchange(basic, "docs")
    on_behalf = read_personal(given(kind="exchange", on_behalf_of=True, oauth_scope="api://docs/.default", **client))
    assert on_behalf == PersonalExchange(basic, scope="api://docs/.default", variant="on_behalf_of")
    key = tmp_path / "key.pem"
    key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    signed = read_personal(
        given(kind="exchange", resource="https://docs.example/mcp", oauth_client_id="gate", oauth_private_key=key)
    )
    assert isinstance(signed, PersonalExchange)
    assert (signed.client.method, signed.resource) == ("private_key_jwt", "https://docs.example/mcp")
    signed.check()


def test_a_provider_vouches(tmp_path: Path) -> None:
    options = given(
        kind="id_jag", oauth_issuer="https://as.example", oauth_client_id="gate", oauth_client_secret="s", resource="r"
    )
    client = TokenClient("gate", "client_secret_basic", "s")
    assert read_personal(options) == PersonalIdJag("https://as.example", client, "r")
    key = tmp_path / "key.pem"
    key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    asked_by = {"provider_client_id": "agent", "provider_private_key": key, "provider_key_id": "k1"}
    kind = read_personal(given(kind="id_jag", oauth_issuer="https://as.example", oauth_client_id="gate", **asked_by))
    assert isinstance(kind, PersonalIdJag)
    assert kind.provider_client is not None
    assert (kind.provider_client.client_id, kind.provider_client.method) == ("agent", "private_key_jwt")
    kind.check()
    assert personal_from_dict(personal_to_dict(kind)) == kind


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "oauth", "audience": "docs"}, "--audience: not for --kind oauth"),
        ({"kind": "exchange", "oauth_issuer": "https://x.example"}, "--oauth-issuer: not for --kind exchange"),
        ({"kind": "id_jag", "on_behalf_of": True}, "--on-behalf-of: not for --kind id_jag"),
        ({"kind": "id_jag", "provider_client_id": "agent"}, "--provider-client-id and --provider-private-key go"),
        ({"kind": "secret", "subject": "id_token"}, "--subject: not for --kind secret"),
        ({"kind": "exchange", "to": "header:X"}, "--to, --form and --from are for"),
        ({"credential": "shared", "audience": "docs"}, "--audience: for --credential per_user"),
        ({"kind": "exchange", "oauth_private_key": Path("/nowhere")}, "/nowhere cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read_personal(given(**options))


async def test_an_exchange_is_set_and_nothing_of_it_is_shown(servers: CommandLine, parts: Components) -> None:
    await servers.succeed("add", "Docs", "https://docs.example/mcp")
    own = ("--oauth-client-id", "gate", "--oauth-client-secret", "s3cret-of-gate")
    per_user = ("set", "Docs", "--credential", "per_user", "--kind", "exchange")
    assert "needs the audience or the resource" in await servers.fail(*per_user, *own)
    await servers.succeed(*per_user, "--audience", "docs", *own)
    tenant = await tenant_by_slug(parts.database)
    spec = await parts.servers.spec(tenant.id, (await parts.servers.get_by_name(tenant.id, "Docs")).id)
    client = TokenClient("gate", "client_secret_basic", "s3cret-of-gate")
    assert (spec.personal, spec.credential) == (PersonalExchange(client, "docs"), None)
    shown = await servers.succeed("show", "Docs")
    assert "exchange" in shown
    assert "s3cret-of-gate" not in shown
