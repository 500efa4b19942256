"""Servers as people are shown them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from gateway.catalog.review.review_state import OnChange
from gateway.catalog.server_definition import TransportKind
from gateway.catalog.server_record import ServerRecord
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
    """What happens to tools of a server that change, and how many of them are in quarantine."""

    on_change: OnChange
    quarantined: int


@dataclass(frozen=True, slots=True)
class ServerCard:
    """A server as a list shows it. `state`: disabled, failing, synced or "never synced"; `version` counts changes.

    `quarantined` of its `tools` are hidden until they are approved; `on_change` says what happens to those that change.
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
    on_change: OnChange
    version: int | None
    synced_at: datetime | None
    sync_error: str | None
    sync_failed_at: datetime | None
    skipped: tuple[SkippedToolView, ...]
    protocol_version: str | None
    credential: str
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
        on_change=review.on_change,
        version=record.version,
        synced_at=record.synced_at,
        sync_error=record.sync_error,
        sync_failed_at=record.sync_failed_at,
        skipped=tuple(SkippedToolView(each["name"], each["reason"]) for each in record.skipped_tools),
        protocol_version=record.protocol_version,
        credential=record.credential,
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
        tuning=TuningView(
            tuning.connect_timeout_seconds,
            tuning.start_timeout_seconds,
            tuning.list_timeout_seconds,
            tuning.call_timeout_seconds,
            tuning.max_calls_in_flight,
            tuning.session,
            tuning.idle_stop_seconds,
            tuning.sync_every_seconds,
        ),
    )


def _masked_url(url: str | None) -> str | None:
    return None if url is None else url_without_secrets(url)
