"""How a server of the document lets each person in, its secrets replaced by `${NAME}`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.catalog.configuration.placeholders import PlaceholderNames
from gateway.catalog.naming import slugify
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.personal import PERSONAL_KINDS, PersonalKind, personal_from_dict, personal_to_dict

_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_SECRET_FIELDS = ("secret", "client_secret", "private_key", "key")
_NONE = "none"


def export_personal(names: PlaceholderNames, personal: PersonalKind | None) -> Mapping[str, Any] | None:
    """What stands in the entry of the server that `names` are of; nothing where all share its credential."""
    values = personal_to_dict(personal)
    return None if values is None else _exported(values, f"{slugify(names.owner)}_personal", names)


def resolve_personal(
    server: str, entry: Mapping[str, Any] | None, stored: PersonalKind | None, values: Mapping[str, str]
) -> PersonalKind | None:
    """What an entry says, with secrets from `values` by name, else as they are `stored`; of the kind "none" nothing.

    A document that says nothing of it, as those of before, leaves it as it is stored. What is stored for one
    authorization server is not used for another. Raises InvalidInputError for what is no such kind, and where a secret
    is neither given nor stored.
    """
    if entry is None:
        return stored
    kind = entry.get("kind")
    if kind == _NONE and len(entry) == 1:
        return None
    if kind not in PERSONAL_KINDS:
        raise InvalidInputError(
            f"personal of {server!r} has to have a kind: {_NONE}, or one of {', '.join(PERSONAL_KINDS)}."
        )
    same = personal_to_dict(stored) or {}
    before = same if same.get("kind") == kind else {}
    if before and _issuer(entry) != _issuer(before):
        # At whom persons sign in to the gateway, whose client the provider's is, is not for a document to say.
        before = {name: value for name, value in before.items() if name == "provider_client"}
    filled = _filled(server, entry, before, values)
    try:
        return personal_from_dict(filled)
    except (TypeError, KeyError, ValueError):
        raise InvalidInputError(f"personal of {server!r} is not one of the kind {kind}.") from None


def _issuer(entry: Mapping[str, Any]) -> Any:
    """The authorization server to which secrets of an entry go; None where the settings say which."""
    sign_in = entry.get("sign_in")
    return (sign_in.get("issuer") if isinstance(sign_in, Mapping) else entry.get("issuer")) or None


def _exported(values: Mapping[str, Any], path: str, names: PlaceholderNames) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            shown[name] = _exported(value, f"{path}_{name}", names)
        elif name in _SECRET_FIELDS and value:
            shown[name] = names.free(re.sub(r"[^A-Z0-9]+", "_", f"S_{path}_{name}".upper()))
        elif value not in (None, ""):
            shown[name] = value
    return shown


def _filled(
    server: str, entry: Mapping[str, Any], stored: Mapping[str, Any], values: Mapping[str, str]
) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for name, value in entry.items():
        kept = stored.get(name)
        if isinstance(value, Mapping):
            filled[name] = _filled(server, value, kept if isinstance(kept, Mapping) else {}, values)
            continue
        asked = _PLACEHOLDER.findall(value) if isinstance(value, str) else []
        lacking = [each for each in asked if each not in values]
        if lacking and not kept:
            raise InvalidInputError(
                f"There is no value for {', '.join(lacking)}, by which {server!r} lets persons in, or it was given for "
                "another authorization server; give it anew.",
                name,
            )
        filled[name] = kept if lacking else value
        if asked and not lacking:
            filled[name] = _PLACEHOLDER.sub(lambda match: values[match[1]], value)
    return filled
