"""Options that say what the gateway is let in with at a server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.errors import InvalidInputError
from gateway.upstream.credential import (
    AuthorizationCode,
    Basic,
    Bearer,
    ClientCertificate,
    ClientCredentials,
    Credential,
)

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----[\x00-\x7f]*?-----END [A-Z0-9 ]+-----")


def _asked(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value != "-":
        return value
    return str(click.prompt(f"{parameter.human_readable_name}", hide_input=True, err=True))


_OPTIONS = (
    click.option("--bearer", callback=_asked, metavar="TOKEN", help="A bearer token; - asks for it."),
    click.option("--basic", callback=_asked, metavar="USER:PASSWORD", help="HTTP basic; - asks for it."),
    click.option("--sign-in", is_flag=True, help="OAuth: somebody signs in, with modelgate servers login."),
    click.option("--oauth-issuer", metavar="URL", help="OAuth client credentials: the authorization server."),
    click.option("--oauth-client-id", metavar="ID", help="OAuth: the gateway's client id."),
    click.option("--oauth-client-secret", callback=_asked, metavar="SECRET", help="OAuth: its secret; - asks for it."),
    click.option("--oauth-scope", metavar="SCOPES", help="OAuth: what to ask for."),
    click.option(
        "--oauth-metadata-url", metavar="URL", help="OAuth: the gateway's client metadata document, as others reach it."
    ),
    click.option("--client-cert", type=_FILE, help="Mutual TLS: the certificate, in PEM."),
    click.option("--client-key", type=_FILE, help="Mutual TLS: its key, in PEM."),
    click.option("--ca", type=_FILE, help="The authority that signed the server's certificate, in PEM."),
)


def credential_options(command: CommandT) -> CommandT:
    """The options, for a command that hands them to `read_credential` and `read_certificate`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_credential(given: dict[str, Any]) -> Credential | None:
    """The credential that the options say, None where they say none. Raises InvalidInputError where they say two."""
    kinds = [name for name in ("bearer", "basic", "sign_in", "oauth_issuer") if given[name]]
    if len(kinds) > 1:
        raise InvalidInputError("Give one of --bearer, --basic, --sign-in and --oauth-issuer, not several.")
    if not kinds:
        if any(given[f"oauth_{name}"] for name in ("client_id", "client_secret", "scope", "metadata_url")):
            raise InvalidInputError("OAuth takes --sign-in, or --oauth-issuer with client credentials.")
        return None
    client_id, secret = given["oauth_client_id"] or "", given["oauth_client_secret"] or ""
    if given["bearer"]:
        return Bearer(given["bearer"])
    if given["basic"]:
        user, colon, password = given["basic"].partition(":")
        if not colon:
            raise InvalidInputError("--basic is written USER:PASSWORD.")
        return Basic(user, password)
    if given["sign_in"]:
        return AuthorizationCode(client_id, secret, given["oauth_scope"] or "", given["oauth_metadata_url"] or "")
    return ClientCredentials(client_id, secret, given["oauth_issuer"], given["oauth_scope"] or "")


def read_certificate(given: dict[str, Any]) -> ClientCertificate | None:
    """The certificate that the options name, None where they name none. Raises InvalidInputError."""
    if bool(given["client_cert"]) != bool(given["client_key"]):
        raise InvalidInputError("A client certificate takes both --client-cert and --client-key.")
    if not given["client_cert"] and not given["ca"]:
        return None
    return ClientCertificate(_text(given["client_cert"]), _text(given["client_key"]), _text(given["ca"]))


def _text(path: Path | None) -> str:
    """The PEM blocks of a file, without what tools write between them."""
    if path is None:
        return ""
    try:
        blocks = _PEM.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from None
    if not blocks:
        raise InvalidInputError(f"{path} holds nothing in PEM; it has to begin with -----BEGIN.")
    return "\n".join(blocks) + "\n"
