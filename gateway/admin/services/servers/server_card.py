"""Servers as people are shown them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from gateway.catalog.review.review_state import OnChange
from gateway.catalog.servers.server_definition import TransportKind
from gateway.catalog.servers.server_record import ServerRecord
from gateway.masking import MASK, url_without_secrets
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerState, ServerStatus


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """How the gateway's sessions with a server do in this process; `latency_ms` is that of the last check,
    `startup_line` what a server that is starting wrote last.
    """

    state: ServerState
    last_seen: datetime | None
    latency_ms: float | None
    restarts: int
    last_error: str | None
    startup_line: str


@dataclass(frozen=True, slots=True)
class SkippedToolView:
    """A tool of the last listing that could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """What happens to tools of a server that change, and how many of them are in quarantine, or flagged."""

    on_change: OnChange
    quarantined: int
    flagged: int


@dataclass(frozen=True, slots=True)
class ServerName:
    """What a server is called."""

    id: int
    name: str
    slug: str


@dataclass(frozen=True, slots=True)
class ServerCard:
    """A server as a list shows it. `state`: disabled, failing, synced or "never synced"; `version` counts changes.

    `quarantined` of its `tools` are hidden until they are approved, `flagged` are not but wait for a look; `on_change`
    says what happens to those that change. `personal` is the kind of personal credentials, None where all share
    `credential`.
    """

    id: int
    name: str
    slug: str
    description: str
    transport: TransportKind
    state: str
    enabled: bool
    tools: int
    quarantined: int
    flagged: int
    on_change: OnChange
    version: int | None
    synced_at: datetime | None
    sync_error: str | None
    sync_failed_at: datetime | None
    skipped: tuple[SkippedToolView, ...]
    protocol_version: str | None
    credential: str
    personal: str | None
    connection: ConnectionView


@dataclass(frozen=True, slots=True)
class TuningView:
    """How a server is used; null is as the gateway's settings say. Timeouts and intervals in seconds."""

    connect_timeout_seconds: float | None
    start_timeout_seconds: float | None
    list_timeout_seconds: float | None
    call_timeout_seconds: float | None
    max_calls_in_flight: int | None
    session: Literal["shared", "per_client"]
    idle_stop_seconds: float
    sync_every_seconds: float | None


@dataclass(frozen=True, slots=True)
class ServerDetail:
    """A server with how it is reached; of its secrets only the names. A viewer sees arguments and URL masked."""

    card: ServerCard
    command: str | None
    args: tuple[str, ...]
    cwd: str | None
    url: str | None
    env_names: tuple[str, ...]
    header_names: tuple[str, ...]
    prefix: str | None
    document_url: str | None
    has_document: bool
    has_certificate: bool
    tuning: TuningView


@dataclass(frozen=True, slots=True)
class PersonalDetail:
    """How each person is let in at a server, as a document has it, `${NAME}` in place of its secrets; None where all
    share the server's own credential. `list_as` is the number of the person by whose connection it is listed.
    """

    entry: Mapping[str, Any] | None
    list_as: int | None


def build_server_card(record: ServerRecord, status: ServerStatus, review: ReviewSummary) -> ServerCard:
    """A server and how it does."""
    return ServerCard(
        id=record.id,
        name=record.name,
        slug=record.slug,
        description=record.description,
        transport=record.transport,
        state=record.state,
        enabled=record.enabled,
        tools=record.tool_count,
        quarantined=review.quarantined,
        flagged=review.flagged,
        on_change=review.on_change,
        version=record.version,
        synced_at=record.synced_at,
        sync_error=record.sync_error,
        sync_failed_at=record.sync_failed_at,
        skipped=tuple(SkippedToolView(each["name"], each["reason"]) for each in record.skipped_tools),
        protocol_version=record.protocol_version,
        credential=record.credential,
        personal=record.personal,
        connection=build_connection_view(status),
    )


def without_startup_line(card: ServerCard) -> ServerCard:
    """The card as a viewer sees it: what a server's process writes may hold secrets."""
    return replace(card, connection=replace(card.connection, startup_line=""))


def build_connection_view(status: ServerStatus) -> ConnectionView:
    """How the sessions with a server do."""
    return ConnectionView(
        status.state, status.last_seen, status.latency_ms, status.restarts, status.last_error, status.startup_line
    )


def build_server_detail(record: ServerRecord, spec: ServerSpec, card: ServerCard, *, masked: bool) -> ServerDetail:
    """All of a server; arguments and URLs may hold secrets and can be `masked`."""
    tuning = record.tuning
    return ServerDetail(
        card=without_startup_line(card) if masked else card,
        command=spec.command,
        args=(MASK,) * len(spec.args) if masked else spec.args,
        cwd=spec.cwd,
        url=_masked_url(spec.url) if masked else spec.url,
        env_names=tuple(sorted(spec.env)),
        header_names=tuple(sorted(spec.headers)),
        prefix=spec.prefix,
        document_url=_masked_url(spec.document_url) if masked else spec.document_url,
        has_document=spec.document is not None,
        has_certificate=spec.certificate is not None,
        tuning=TuningView(**asdict(tuning)),
    )


def _masked_url(url: str | None) -> str | None:
    return None if url is None else url_without_secrets(url)
