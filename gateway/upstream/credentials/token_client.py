"""The gateway as a client of one authorization server that an admin has registered it with, and how it proves that.

RFC 6749, section 2.3 (secrets); RFC 7523, section 2.2 (private_key_jwt); RFC 8705, section 2 (mutual TLS).
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import httpx2
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import ClientCertificate, build_tls_context
from gateway.upstream.credentials.oauth_grant import OAuthClient

ClientMethod: TypeAlias = Literal[
    "none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"
]
CLIENT_METHODS: tuple[ClientMethod, ...] = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
)

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Keycloak takes no assertion that lasts longer than a minute.
_ASSERTION_SECONDS = 60
_CURVE_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_KEY_TYPES: Mapping[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@dataclass(frozen=True, slots=True)
class TokenClient:
    """A client id and what proves it: `secret`, a `private_key` (PEM or JWK), or a client certificate for TLS.

    `key_id` and `algorithm` go into the header of assertions; without an algorithm it is RS256, or that of the key's
    curve. With private_key_jwt a `certificate` adds its thumbprint `x5t#S256`, by which Entra finds the key.
    """

    client_id: str
    method: ClientMethod = "none"
    secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    key_id: str = ""
    algorithm: str = ""
    certificate: ClientCertificate | None = None

    def check(self) -> None:
        """Raises InvalidInputError for a client that could never prove to be itself."""
        if not self.client_id:
            raise InvalidInputError("The gateway needs a client id at the authorization server.", "client_id")
        if self.method not in CLIENT_METHODS:
            raise InvalidInputError(
                f"{self.method[:50]!r} is no way in which a client proves itself; it may be "
                f"{', '.join(CLIENT_METHODS)}.",
                "method",
            )
        if self.method.startswith("client_secret") and not self.secret:
            raise InvalidInputError(f"The method {self.method} needs the client secret.", "secret")
        if self.method == "private_key_jwt":
            self._sign("https://check.invalid/", 0)
        if self.method == "tls_client_auth":
            if self.certificate is None or not self.certificate.certificate:
                raise InvalidInputError("The method tls_client_auth needs a client certificate.", "certificate")
            build_tls_context(self.certificate)

    @property
    def tls_certificate(self) -> ClientCertificate | None:
        """What TLS connections to the authorization server show; None where nothing does."""
        return self.certificate if self.method == "tls_client_auth" else None

    def request(
        self, endpoint: str, form: Mapping[str, str], audience: str = "", clock_offset: float = 0.0
    ) -> httpx2.Request:
        """A request to `endpoint` in the gateway's name.

        `audience` is whom an assertion is for, the endpoint where it is empty; `clock_offset` is how many seconds the
        clock there is ahead of ours.
        """
        if self.method == "private_key_jwt":
            data = {
                **form,
                "client_id": self.client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._sign(audience or endpoint, clock_offset),
            }
            return httpx2.Request("POST", endpoint, data=data, headers={"Accept": "application/json"})
        # With mutual TLS the client id is sent as by a client without a secret (RFC 8705, section 2).
        method = "none" if self.method == "tls_client_auth" else self.method
        return OAuthClient("", endpoint, self.client_id, self.secret, method).token_request(form)

    def _sign(self, audience: str, clock_offset: float) -> str:
        try:
            key = _import_private_key(self.private_key)
            algorithm = self.algorithm or _usual_algorithm(key)
            header: dict[str, object] = {"alg": algorithm, "typ": "JWT"}
            if self.key_id:
                header["kid"] = self.key_id
            if self.certificate is not None and self.certificate.certificate:
                header["x5t#S256"] = _thumbprint(self.certificate.certificate)
            now = int(time.time() + clock_offset)
            claims = {
                "iss": self.client_id,
                "sub": self.client_id,
                "aud": audience,
                "jti": secrets.token_urlsafe(24),
                "iat": now,
                "exp": now + _ASSERTION_SECONDS,
            }
            return jwt.encode(header, claims, key, algorithms=_algorithms(key))
        except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            raise InvalidInputError(
                "The private key of the client cannot be used; give an unencrypted RSA or EC key, in PEM or as a "
                "JWK, and an algorithm that it can sign with.",
                "private_key",
            ) from None


def _import_private_key(text: str) -> RSAKey | ECKey:
    """The key of a PEM or JWK. Raises ValueError, TypeError, JoseError."""
    if text.lstrip().startswith("{"):
        values = json.loads(text)
        kind: type[RSAKey | ECKey] = _KEY_TYPES[values["kty"]]
        key: RSAKey | ECKey = kind.import_key(values)
    else:
        loaded = serialization.load_pem_private_key(text.encode(), None)
        if not isinstance(loaded, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
            raise ValueError("the key is of another kind")
        kind = RSAKey if isinstance(loaded, rsa.RSAPrivateKey) else ECKey
        key = kind.import_key(text)
    if not key.is_private:
        raise ValueError("the key is a public one")
    return key


def _usual_algorithm(key: RSAKey | ECKey) -> str:
    return "RS256" if isinstance(key, RSAKey) else _CURVE_ALGORITHMS[key.curve_name]


def _algorithms(key: RSAKey | ECKey) -> tuple[str, ...]:
    return _RSA_ALGORITHMS if isinstance(key, RSAKey) else (_usual_algorithm(key),)


def _thumbprint(certificate: str) -> str:
    digest = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256())
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
