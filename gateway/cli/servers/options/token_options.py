"""Options that say by which OAuth tokens each person is let in at a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli.options import option_group
from gateway.cli.servers.options.credential_options import read_pem
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCertificate
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth
from gateway.upstream.credentials.token_client import CLIENT_METHODS, ClientMethod, TokenClient

_FILE = click.Path(path_type=Path)

token_options = option_group(
    click.option(
        "--oauth-client-auth",
        type=click.Choice(CLIENT_METHODS),
        help="exchange, id_jag: how the gateway proves to be the client; by default by what else is given.",
    ),
    click.option("--oauth-private-key", type=_FILE, help="private_key_jwt: the key, in PEM or as a JWK."),
    click.option("--oauth-key-id", metavar="ID", help="private_key_jwt: the id of the key."),
    click.option("--oauth-algorithm", metavar="ALG", help="private_key_jwt: RS256, PS256, ES256 …"),
    click.option("--oauth-cert", type=_FILE, help="The client's certificate: for tls_client_auth, or of the key."),
    click.option("--oauth-cert-key", type=_FILE, help="tls_client_auth: the key of the certificate."),
    click.option("--oauth-ca", type=_FILE, help="tls_client_auth: who signed the authorization server's certificate."),
    click.option("--audience", metavar="TEXT", help="exchange: whom the provider makes the token for."),
    click.option(
        "--resource", metavar="URL", help="exchange, id_jag: the server, as its authorization server names it."
    ),
    click.option(
        "--on-behalf-of", is_flag=True, help="exchange: in the form of Entra; --oauth-scope names the server."
    ),
    click.option("--provider-client-id", metavar="ID", help="id_jag: another client than people sign in with, and …"),
    click.option("--provider-private-key", type=_FILE, help="… its key, by which it asks the company's provider."),
    click.option("--provider-key-id", metavar="ID", help="… and the id of that."),
    click.option(
        "--subject",
        type=click.Choice(["id_token", "refresh_token"]),
        help="id_jag: what the provider is shown of a person's sign-in.",
    ),
)

_OF_CLIENTS = ("client_auth", "private_key", "key_id", "algorithm", "cert", "cert_key", "ca")
_OF_PROVIDER = ("provider_client_id", "provider_private_key", "provider_key_id")


def read_oauth(options: dict[str, Any]) -> PersonalOAuth:
    """The kind oauth. What is read here is taken out of `options`: it is not for the server's own credential."""
    others = (f"oauth_{name}" for name in _OF_CLIENTS)
    _refuse(options, "oauth", *others, *_OF_PROVIDER, "audience", "resource", "subject", "on_behalf_of")
    names = ("client_id", "client_secret", "scope", "metadata_url", "issuer")
    return PersonalOAuth(AuthorizationCode(**{name: _pop_option(options, f"oauth_{name}") for name in names}))


def read_exchange(options: dict[str, Any]) -> PersonalExchange:
    """The kind exchange. Raises InvalidInputError."""
    _refuse(options, "exchange", *_OF_PROVIDER, "oauth_issuer", "oauth_metadata_url", "subject")
    return PersonalExchange(
        _read_client(options),
        audience=_pop_option(options, "audience"),
        resource=_pop_option(options, "resource"),
        scope=_pop_option(options, "oauth_scope"),
        variant="on_behalf_of" if options["on_behalf_of"] else "token_exchange",
    )


def read_id_jag(options: dict[str, Any]) -> PersonalIdJag:
    """The kind id_jag. Raises InvalidInputError."""
    _refuse(options, "id_jag", "oauth_metadata_url", "audience", "on_behalf_of")
    return PersonalIdJag(
        _pop_option(options, "oauth_issuer"),
        _read_client(options),
        resource=_pop_option(options, "resource"),
        scope=_pop_option(options, "oauth_scope"),
        subject=options["subject"] or "id_token",
        provider_client=_read_provider_client(options),
    )


def given_token_options(options: dict[str, Any]) -> list[str]:
    """The options of this group that are given, as they are written."""
    names = (
        *(f"oauth_{name}" for name in _OF_CLIENTS),
        *_OF_PROVIDER,
        "audience",
        "resource",
        "on_behalf_of",
        "subject",
    )
    return [f"--{name.replace('_', '-')}" for name in names if options[name]]


def _read_client(options: dict[str, Any]) -> TokenClient:
    secret, key_file = _pop_option(options, "oauth_client_secret"), options["oauth_private_key"]
    certificate = None
    if options["oauth_cert"] is not None or options["oauth_ca"] is not None:
        certificate = ClientCertificate(
            read_pem(options["oauth_cert"]), read_pem(options["oauth_cert_key"]), read_pem(options["oauth_ca"])
        )
    usual: ClientMethod = "none"
    if key_file is not None:
        usual = "private_key_jwt"
    elif secret:
        usual = "client_secret_basic"
    elif certificate is not None:
        usual = "tls_client_auth"
    return TokenClient(
        _pop_option(options, "oauth_client_id"),
        options["oauth_client_auth"] or usual,
        secret,
        "" if key_file is None else _read_key(key_file),
        options["oauth_key_id"] or "",
        options["oauth_algorithm"] or "",
        certificate,
    )


def _read_provider_client(options: dict[str, Any]) -> TokenClient | None:
    client_id, key_file = options["provider_client_id"], options["provider_private_key"]
    if not client_id and key_file is None:
        return None
    if not client_id or key_file is None:
        raise InvalidInputError("--provider-client-id and --provider-private-key go together.")
    key_id = options["provider_key_id"] or ""
    return TokenClient(client_id, "private_key_jwt", private_key=_read_key(key_file), key_id=key_id)


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError(f"{path} cannot be read; it has to be a key in PEM or a JWK.") from None


def _pop_option(options: dict[str, Any], name: str) -> str:
    value, options[name] = options[name], None
    return value or ""


def _refuse(options: dict[str, Any], kind: str, *names: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in names if options[name]]
    if given:
        raise InvalidInputError(f"{', '.join(given)}: not for --kind {kind}; leave it out.")
