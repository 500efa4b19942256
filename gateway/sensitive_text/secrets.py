"""Keys, tokens and private keys, told by the forms in which their issuers make them.

The forms are those that the issuers document, and that scanners as gitleaks and GitHub's own look for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.linear_pattern import LinearPattern
from gateway.masking import MASK, MIN_SECRET_CHARACTERS
from gateway.sensitive_text.masked import Masked, TextSpan, mask_spans

_PRIVATE_KEY = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\z)"
)
_AUTHORIZATION = r"\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}"
_TOKENS = (
    r"mg_[0-9a-f]{64}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    # Stripe, OpenAI, Anthropic, and all who took after them.
    r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]+[-_])*[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9]+-[A-Za-z0-9_-]{20,}|\bwhsec_[A-Za-z0-9+/=]{24,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bgl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt)-[A-Za-z0-9_.-]{16,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Za-z0-9-]{10,}|\bhooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}",
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{30,}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}",
    # Azure: keys of storage accounts, of shared access, and secrets of applications.
    r"\b(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{30,}={0,2}|[?&]sig=[A-Za-z0-9%+/=]{30,}|\b[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",
    r"\b(?:hf|npm|dckr_pat|dckr_oat|dop_v1|doo_v1|dor_v1|shpat|shpca|shppa|shpss|lin_api|sbp|rubygems|pscale_tkn|pscale_pw|glsa|glc|gsk|r8|fo1|nfp|tfp|figd|ntn)_[A-Za-z0-9_=.-]{20,}",
    r"\bpypi-AgE[A-Za-z0-9_-]{40,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\bhv[sbr]\.[A-Za-z0-9_-]{20,}",
    r"\bATATT3[A-Za-z0-9_=.-]{40,}|\bdapi[0-9a-f]{32}|\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}|\bNRAK-[A-Z0-9]{27}|\bsntry[su]_[A-Za-z0-9_+/=]{30,}",
    r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9]{30,}|\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}|\b\d{8,10}:AA[A-Za-z0-9_-]{32,}",
    r"\bSK[0-9a-f]{32}\b|\bkey-[0-9a-f]{32}\b|\bEAA[A-Za-z0-9]{60,}|\bAGE-SECRET-KEY-1[A-Z0-9]{50,}",
)

SECRET_PATTERNS = (_AUTHORIZATION, _PRIVATE_KEY, *_TOKENS)
"""What secrets look like, in the syntax of RE2. The pattern of private keys looks as far as to the end of the text."""

SECRETS_IN_PLACES = LinearPattern(
    r"(://)[^/?#\s]+(@)|((?i:password|passwd|secret|token|api_?key)=)[^\s&;,\"']+", captures=True
)
"""Secrets told by where they stand; what is captured is around them, and no part of them."""

_NAMES = {"password", "passwd", "secret", "token", "apikey", "api_key"}
_BEGINS_KEY = "-----BEGIN"
_KEY_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_USER_INFO = r"://[^/?#\s]+@"
_ASSIGNED = r"(?i:password|passwd|secret|token|api_?key)=[^\s&;,\"']+"
# All in one, for text is long: where several begin at the same place, the first of them is what is found.
_ANY = LinearPattern("|".join((*_TOKENS, _AUTHORIZATION, r"-----BEGIN [A-Z ]*PRIVATE KEY", _USER_INFO, _ASSIGNED)))
_ANY_TOKEN = LinearPattern("|".join(_TOKENS))


def holds_secrets(text: str) -> bool:
    """Whether `text` holds a secret."""
    return next(find_secrets(text), None) is not None


def mask_secrets(text: str) -> Masked:
    """`text` without the secrets in it, in time linear in it. The kinds are "token", "private key" and "password"."""
    return mask_spans(text, find_secrets(text))


def find_secrets(text: str) -> Iterator[TextSpan]:
    """Where secrets stand in `text`, from left to right."""
    key_end = 0
    for start, end in _ANY.matches_in(text):
        if start < key_end:
            continue
        place = _place_of(text, start, end)
        if place is None:
            # What only looks like one may have another in it.
            for inner_start, inner_end in _ANY_TOKEN.matches_in(text[start:end]):
                yield TextSpan(start + inner_start, start + inner_end, "token")
            continue
        if place.kind == "private key":
            key_end = place.end
        yield place


def _place_of(text: str, start: int, end: int) -> TextSpan | None:
    """What a match of any of the forms is; None where it is no secret."""
    found = text[start:end]
    if found.startswith(_BEGINS_KEY):
        # One that has no end goes to that of the text.
        closing = _KEY_END.search(text, end)
        return TextSpan(start, closing.end() if closing else len(text), "private key")
    if found.startswith("://"):
        # A user without a password is an address, as git@example.com is.
        return TextSpan(start + 3, end - 1, "password") if ":" in found[3:] else None
    if found.startswith(("Bearer", "Basic")):
        return TextSpan(start, end, "token") if _is_credential(found.split(None, 1)[1]) else None
    name, _, assigned = found.partition("=")
    if name.lower() in _NAMES:
        return TextSpan(end - len(assigned), end, "password") if _is_value(assigned) else None
    return TextSpan(start, end, "token")


def _is_credential(value: str) -> bool:
    """Whether what follows "Basic" or "Bearer" is no word: both begin sentences, too."""
    if any(character.isdigit() for character in value):
        return True
    return len(value) >= MIN_SECRET_CHARACTERS * 2 and value[1:] != value[1:].lower() and value != value.upper()


def _is_value(assigned: str) -> bool:
    """Whether what is assigned to a password is one, and no expression of a program, and not masked already."""
    return len(assigned) >= MIN_SECRET_CHARACTERS and assigned != MASK and not any(sign in assigned for sign in "(${<[")
