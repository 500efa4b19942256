"""A token for one server in exchange for the caller's own: RFC 8693, and the on-behalf-of form of Entra."""

from __future__ import annotations

from gateway.errors import GrantRefusedError
from gateway.upstream.credentials.delegation import PersonalExchange
from gateway.upstream.oauth.token_endpoint import TokenEndpoint
from gateway.upstream.oauth.token_response import IssuedToken

TOKEN_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - its name
JWT_BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - its name
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


async def exchange_token(
    server: str, endpoint: TokenEndpoint, exchange: PersonalExchange, subject_token: str
) -> IssuedToken:
    """A token of `server` for the person whose access token `subject_token` is. Raises what `endpoint.request` does."""
    if exchange.variant == "on_behalf_of":
        form = {
            "grant_type": JWT_BEARER_GRANT,
            "assertion": subject_token,
            "requested_token_use": "on_behalf_of",
            "scope": exchange.scope,
        }
    else:
        form = {
            "grant_type": TOKEN_EXCHANGE_GRANT,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
            "requested_token_type": ACCESS_TOKEN_TYPE,
            **present(audience=exchange.audience, resource=exchange.resource, scope=exchange.scope),
        }
    issued = await endpoint.request(form)
    # On-behalf-of says no kind.
    if issued.kind not in ("", ACCESS_TOKEN_TYPE, JWT_TYPE):
        raise GrantRefusedError(
            server, f"The authorization server of {server} issued another kind of token than an access token."
        )
    if issued.token == subject_token:
        raise GrantRefusedError(
            server,
            f"The authorization server of {server} gave back the caller's own token, which is not passed on; set up "
            "the exchange for another audience.",
        )
    return issued


def present(**values: str) -> dict[str, str]:
    """The form fields that have a value."""
    return {name: value for name, value in values.items() if value}
