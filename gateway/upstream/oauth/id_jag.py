"""Enterprise-managed authorization of MCP: the company's provider vouches for a person at a server's own provider.

draft-ietf-oauth-identity-assertion-authz-grant; MCP extension io.modelcontextprotocol/enterprise-managed-authorization.
"""

from __future__ import annotations

from gateway.errors import GrantRefusedError
from gateway.upstream.credentials.delegation import PersonalIdJag, SubjectKind
from gateway.upstream.oauth.token_endpoint import TokenEndpoint
from gateway.upstream.oauth.token_exchange import JWT_BEARER_GRANT, TOKEN_EXCHANGE_GRANT, present
from gateway.upstream.oauth.token_response import IssuedToken

ID_JAG_TYPE = "urn:ietf:params:oauth:token-type:id-jag"
_TYPE_PREFIX = "urn:ietf:params:oauth:token-type:"


async def request_id_jag(
    server: str, provider: TokenEndpoint, kind: PersonalIdJag, subject_token: str, subject: SubjectKind
) -> str:
    """The assertion of the company's provider that a person may use `server`.

    `subject_token` is what the provider gave when the person signed in to the gateway, `subject` what that is. Raises
    GrantRefusedError, UpstreamUnavailableError.
    """
    issued = await provider.request(
        {
            "grant_type": TOKEN_EXCHANGE_GRANT,
            "requested_token_type": ID_JAG_TYPE,
            "subject_token": subject_token,
            "subject_token_type": _TYPE_PREFIX + subject,
            "audience": kind.issuer,
            **present(resource=kind.resource, scope=kind.scope),
        },
        bearer=False,
    )
    if issued.kind != ID_JAG_TYPE:
        raise GrantRefusedError(
            server,
            f"The provider of the company gave no ID-JAG for {server} but something else; check that it supports "
            "enterprise-managed authorization.",
        )
    return issued.token


async def redeem_id_jag(authorization_server: TokenEndpoint, kind: PersonalIdJag, id_jag: str) -> IssuedToken:
    """The access token that the server's authorization server gives for an ID-JAG.

    Raises GrantRefusedError, UpstreamUnavailableError.
    """
    return await authorization_server.request(
        {
            "grant_type": JWT_BEARER_GRANT,
            "assertion": id_jag,
            **present(resource=kind.resource, scope=kind.scope),
        }
    )
