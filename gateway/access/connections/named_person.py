"""Whom a trusted proxy names: behind one key there may be many people, and what is one's is no other's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.access.caller import Caller
from gateway.access.persons import Identity
from gateway.upstream.credentials.personal import PersonalHeader
from gateway.upstream.spec import ServerSpec

_BEHIND = " behind "
_SHOWN_CHARACTERS = 100
_PREFIX = re.compile(r"header-([0-9a-f]{64}|):")


def named_person(caller: Caller, spec: ServerSpec) -> str:
    """A digest of the person whom the header of the server's kind names on this very request; empty where it names
    nobody, or the server takes another kind of credential.

    Of a token that is fresh each time (RFC 7519) issuer and subject say who it is; of any other value, all of it.
    """
    kind = spec.personal
    value = caller.proxy_headers.get(kind.name.lower(), "") if isinstance(kind, PersonalHeader) else ""
    if not value or not isinstance(kind, PersonalHeader):
        return ""
    return _digest(kind, *(_subject(value) or (value,)))


def shown_person(caller: Caller, spec: ServerSpec) -> str:
    """Who it is, for people: the caller's name and, behind it, whom the header of the server's kind names. A value that
    is no token, and may be secret, is told by the beginning of its digest.
    """
    named = named_person(caller, spec)
    if not named or not isinstance(spec.personal, PersonalHeader):
        return caller.key_name
    claims = _claims(caller.proxy_headers[spec.personal.name.lower()])
    told = (claims.get(name) for name in ("preferred_username", "email", "sub"))
    name = next((text for text in told if isinstance(text, str) and text.strip()), "")
    shown = "".join(letter for letter in name if letter.isprintable()).strip()[:_SHOWN_CHARACTERS]
    return f"{shown or f'person {named[:8]}'}{_BEHIND}{caller.key_name}"


def audited_person(caller: Caller, spec: ServerSpec) -> str:
    """Whom the header names, for the audit log; empty where it names nobody."""
    named = named_person(caller, spec)
    if not named or not isinstance(spec.personal, PersonalHeader):
        return ""
    token = _subject(caller.proxy_headers[spec.personal.name.lower()])
    who = f"person {named[:8]}" if token is None else f"{token[1]} of {token[0]}"
    return f"{who}, by {spec.personal.name}"


def names_in(shown: str) -> frozenset[str]:
    """All names in what `shown_person` said."""
    return frozenset((shown, *shown.split(_BEHIND)))


def names_at(spec: ServerSpec, identity: Identity | None, name: str) -> frozenset[str]:
    """What `named_person` says of somebody where the header of the server's kind names them, as far as can be told by
    who they are here, and by the `name` that they go by.
    """
    kind = spec.personal
    if not isinstance(kind, PersonalHeader):
        return frozenset()
    names = {_digest(kind, name)}
    if identity is not None:
        names |= {_digest(kind, identity.issuer, identity.subject), _digest(kind, identity.subject)}
    return frozenset(names)


def identity_at(caller: Caller, spec: ServerSpec) -> str:
    """Whose a call of a server, and all that comes of it, is: the caller's, and of a server that learns from a header
    who it is, that of the one person behind the caller.
    """
    if not isinstance(spec.personal, PersonalHeader):
        return caller.identity
    return f"header-{named_person(caller, spec)}:{caller.identity}"


def named_in(identity: str) -> str:
    """What `named_person` said when `identity_at` made this identity."""
    match = _PREFIX.match(identity)
    return match[1] if match is not None else ""


def _digest(kind: PersonalHeader, *who: str) -> str:
    return hashlib.sha256(json.dumps([kind.name.lower(), *who]).encode()).hexdigest()


def _subject(value: str) -> tuple[str, str] | None:
    """Issuer and subject of a token; None of any other value."""
    claims = _claims(value)
    issuer, subject = claims.get("iss", ""), claims.get("sub")
    if not isinstance(issuer, str) or not isinstance(subject, str) or not subject.strip():
        return None
    return issuer, subject


def _claims(value: str) -> Mapping[str, Any]:
    """What a token in JWT form says, nothing where it is none. It is not verified here: the proxy is trusted, and
    nobody else says what stands in its header.
    """
    scheme, _, rest = value.strip().partition(" ")
    token = rest.strip() if scheme.lower() == "bearer" else value.strip()
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
