"""Options that say what the gateway is let in with at a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import ask_secret, option_group
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import (
    AuthorizationCode,
    Basic,
    Bearer,
    ClientCertificate,
    ClientCredentials,
    Credential,
)

_FILE = click.Path(path_type=Path)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,60}-----(?:[\x00-,.-\x7f]|-(?!----))*-----END [A-Z0-9 ]{1,60}-----")


def _prompt_for_dash(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value != "-":
        return value
    return ask_secret(str(parameter.human_readable_name))


credential_options = option_group(
    click.option("--bearer", callback=_prompt_for_dash, metavar="TOKEN", help="A bearer token; - asks for it."),
    click.option("--basic", callback=_prompt_for_dash, metavar="USER:PASSWORD", help="HTTP basic; - asks for it."),
    click.option("--sign-in", is_flag=True, help="OAuth: somebody signs in, with modelgate servers login."),
    click.option("--oauth-issuer", metavar="URL", help="OAuth: the authorization server that the secret is for."),
    click.option("--oauth-client-id", metavar="ID", help="OAuth: the gateway's client id."),
    click.option(
        "--oauth-client-secret", callback=_prompt_for_dash, metavar="SECRET", help="OAuth: its secret; - asks for it."
    ),
    click.option("--oauth-scope", metavar="SCOPES", help="OAuth: what to ask for."),
    click.option(
        "--oauth-metadata-url", metavar="URL", help="OAuth: the gateway's client metadata document, as others reach it."
    ),
    click.option("--client-cert", type=_FILE, help="Mutual TLS: the certificate, in PEM."),
    click.option("--client-key", type=_FILE, help="Mutual TLS: its key, in PEM."),
    click.option("--ca", type=_FILE, help="The authority that signed the server's certificate, in PEM."),
)


def read_credential(options: dict[str, Any]) -> Credential | None:
    """The credential that the options say, None where they say none. Raises InvalidInputError where they say two."""
    kinds = [name for name in ("bearer", "basic", "sign_in", "oauth_issuer") if options[name]]
    if len(kinds) > 1 and kinds != ["sign_in", "oauth_issuer"]:
        raise InvalidInputError(
            "Give one of --bearer, --basic, --sign-in and --oauth-issuer; only the last two go together."
        )
    if not kinds:
        if any(options[f"oauth_{name}"] for name in ("client_id", "client_secret", "scope", "metadata_url")):
            raise InvalidInputError("OAuth takes --sign-in, or --oauth-issuer with client credentials.")
        return None
    client_id, secret = options["oauth_client_id"] or "", options["oauth_client_secret"] or ""
    if options["bearer"]:
        return Bearer(options["bearer"])
    if options["basic"]:
        user, colon, password = options["basic"].partition(":")
        if not colon:
            raise InvalidInputError("--basic is written USER:PASSWORD.")
        return Basic(user, password)
    if options["sign_in"]:
        return AuthorizationCode(
            client_id,
            secret,
            options["oauth_scope"] or "",
            options["oauth_metadata_url"] or "",
            options["oauth_issuer"] or "",
        )
    return ClientCredentials(client_id, secret, options["oauth_issuer"], options["oauth_scope"] or "")


def read_certificate(options: dict[str, Any]) -> ClientCertificate | None:
    """The certificate that the options name, None where they name none. Raises InvalidInputError."""
    if bool(options["client_cert"]) != bool(options["client_key"]):
        raise InvalidInputError("A client certificate takes both --client-cert and --client-key.")
    if not options["client_cert"] and not options["ca"]:
        return None
    return ClientCertificate(read_pem(options["client_cert"]), read_pem(options["client_key"]), read_pem(options["ca"]))


def read_pem(path: Path | None) -> str:
    """The PEM blocks of a file, empty for none, without what tools write between them."""
    if path is None:
        return ""
    try:
        blocks = _PEM.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from None
    if not blocks:
        raise InvalidInputError(f"{path} holds nothing in PEM; it has to begin with -----BEGIN.")
    return "\n".join(blocks) + "\n"
