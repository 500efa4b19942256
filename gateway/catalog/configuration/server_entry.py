"""A server as an entry of the document, its secrets replaced by `${NAME}`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.audit.redaction import Redactor
from gateway.catalog.configuration.document import LimitsEntry, ServerEntry
from gateway.catalog.configuration.placeholders import PlaceholderNames, fill
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.errors import InvalidInputError
from gateway.settings import AuditSettings
from gateway.upstream.credentials.credential import (
    CREDENTIAL_TYPES,
    ClientCertificate,
    Credential,
    credential_from_dict,
    credential_to_dict,
)

_SECRET_FIELDS = ("token", "password", "client_secret", "key")


def export_server(server: ServerDefinition, tuning: Tuning, names: PlaceholderNames, *, enabled: bool) -> ServerEntry:
    """The entry of a server. Values of variables and headers count as secrets, whatever they are."""
    credential = credential_to_dict(server.credential)
    certificate = None if server.certificate is None else asdict(server.certificate)
    return ServerEntry(
        name=server.name,
        transport=server.transport,
        enabled=enabled,
        description=server.description,
        command=server.command,
        args=_without_secrets(server.args, names),
        env={name: names.of(name) for name in sorted(server.env)},
        cwd=server.cwd,
        url=names.in_url(server.url, "URL"),
        headers={name: names.of(name) for name in sorted(server.headers)},
        prefix=server.prefix,
        credential=None if credential is None else _masked(credential, names),
        certificate=None if certificate is None else _masked(certificate, names),
        document=server.document,
        document_url=names.in_url(server.document_url, "DOCUMENT_URL"),
        limits=LimitsEntry(**asdict(tuning)),
    )


@dataclass(frozen=True, slots=True)
class ResolvedServer:
    """The server that an entry describes; `missing` are the names of secrets that nobody gave and none has stored."""

    definition: ServerDefinition
    tuning: Tuning
    missing: tuple[str, ...]


def resolve_server(entry: ServerEntry, current: ServerDefinition | None, values: Mapping[str, str]) -> ResolvedServer:
    """The server of an entry, with secrets from `values` by name, else as they are stored of the `current` one.

    What is stored for one destination, or one authorization server, is not used for another. Raises InvalidInputError
    for a credential that is none.
    """
    before = current or ServerDefinition(entry.name, entry.transport)
    url = fill(entry.url, before.url, values)
    document_url = fill(entry.document_url, before.document_url, values)
    bare = ServerDefinition(
        entry.name, entry.transport, url=url.text, document=entry.document, document_url=document_url.text
    )
    if current is not None and bare.destination != current.destination:
        before = ServerDefinition(entry.name, entry.transport, args=current.args)
    args = [
        fill(arg, before.args[position] if position < len(before.args) else None, values)
        for position, arg in enumerate(entry.args)
    ]
    env = {name: fill(value, before.env.get(name), values) for name, value in entry.env.items()}
    headers = {name: fill(value, before.headers.get(name), values) for name, value in entry.headers.items()}
    credential, credential_missing = _credential(entry, before.credential, values)
    certificate, certificate_missing = _certificate(entry, before.certificate, values)
    parts = (url, document_url, *args, *env.values(), *headers.values())
    missing = [*(name for part in parts for name in part.missing), *credential_missing, *certificate_missing]
    definition = ServerDefinition(
        name=entry.name,
        transport=entry.transport,
        command=entry.command,
        args=tuple(arg.text or "" for arg in args),
        env={name: value.text or "" for name, value in env.items()},
        cwd=entry.cwd,
        url=url.text,
        headers={name: value.text or "" for name, value in headers.items()},
        description=entry.description,
        # The names of tools are made with it once and for all.
        prefix=entry.prefix if current is None else current.prefix,
        credential=credential,
        certificate=certificate,
        document=entry.document,
        document_url=document_url.text,
    )
    return ResolvedServer(definition, Tuning(**asdict(entry.limits)), tuple(dict.fromkeys(missing)))


def _fields(
    entry: Mapping[str, str], stored: Mapping[str, str], values: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    filled = {name: fill(value, stored.get(name), values) for name, value in entry.items()}
    missing = tuple(name for part in filled.values() for name in part.missing)
    return {name: part.text or "" for name, part in filled.items()}, missing


def _credential(
    entry: ServerEntry, stored: Credential | None, values: Mapping[str, str]
) -> tuple[Credential | None, tuple[str, ...]]:
    if entry.credential is None:
        return None, ()
    kind = entry.credential.get("kind", "")
    if kind not in CREDENTIAL_TYPES:
        raise InvalidInputError(
            f"The credential of {entry.name!r} has to have a kind: one of {', '.join(CREDENTIAL_TYPES)}."
        )
    same = credential_to_dict(stored) or {}
    # As with the origin of the server: a secret that was given for one authorization server is not for another.
    issuer = same.get("issuer", "")
    is_for_it = same.get("kind") == kind and fill(entry.credential.get("issuer", ""), issuer, values).text == issuer
    fields, missing = _fields(entry.credential, same if is_for_it else {}, values)
    try:
        return (None if missing else credential_from_dict(fields)), missing
    except TypeError:
        raise InvalidInputError(f"The credential of {entry.name!r} is not one of the kind {kind}.") from None


def _certificate(
    entry: ServerEntry, stored: ClientCertificate | None, values: Mapping[str, str]
) -> tuple[ClientCertificate | None, tuple[str, ...]]:
    if entry.certificate is None:
        return None, ()
    fields, missing = _fields(entry.certificate, {} if stored is None else asdict(stored), values)
    try:
        return (None if missing else ClientCertificate(**fields)), missing
    except TypeError:
        raise InvalidInputError(f"The certificate of {entry.name!r} has certificate, key and authority.") from None


def _masked(values: Mapping[str, str], names: PlaceholderNames) -> dict[str, str]:
    return {
        name: names.of(name) if name in _SECRET_FIELDS and value else value for name, value in values.items() if value
    }


def _without_secrets(args: tuple[str, ...], names: PlaceholderNames) -> tuple[str, ...]:
    """Arguments of a command, those that look like secrets or follow an option for one replaced."""
    redactor = Redactor(AuditSettings(argument_bytes=1_000_000))
    shown = []
    for position, arg in enumerate(args):
        option = args[position - 1].lstrip("-") if position and args[position - 1].startswith("-") else "argument"
        is_secret = redactor.redact_json({option: arg}).get(option) != arg
        shown.append(names.of(f"arg_{position + 1}") if is_secret else arg)
    return tuple(shown)
