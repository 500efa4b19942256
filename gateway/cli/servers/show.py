"""`modelgate servers show`: what is known of one server."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from gateway.catalog.servers.server_record import ServerRecord
from gateway.catalog.servers.tuning import TUNABLE_LIMITS, Tuning
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog_server
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, printable
from gateway.cli.runner import load_command_settings
from gateway.database.connection import Row
from gateway.masking import url_without_secrets
from gateway.settings import UpstreamSettings

if TYPE_CHECKING:
    from gateway.upstream.spec import ServerSpec

_LABEL_WIDTH = 24
# As many intervals as a gateway lets pass between two checks before it says nothing of the time between.
_RECENT_CHECKS = 3
_MIN_CHECK_SECONDS = 10.0
_ON_CHANGE = {"accept": "are accepted", "flag": "are accepted and flagged", "quarantine": "are quarantined"}


@click.command()
@click.argument("name")
@tenant_option
@json_option
@click.pass_context
def show(context: click.Context, name: str, tenant: str, *, as_json: bool) -> None:
    """Show a server: how it is reached, how it is used and how it does. No secret is shown."""

    upstream = load_command_settings(context).upstream

    async def work(parts: CatalogParts, server: ServerRecord) -> _Known:
        # The command line starts faster without it.
        from gateway.admin.services.servers.health import ServerHealthService

        tenant_id = server.tenant_id
        reviews = await parts.database.fetch("server_review_counts", tenant_id)
        day = await ServerHealthService(parts.database, parts.servers).last_day(tenant_id, server.id)
        return _Known(
            server,
            await parts.servers.spec(tenant_id, server.id),
            next(row for row in reviews if row["id"] == server.id),
            day.availability,
            upstream,
        )

    known = run_with_catalog_server(context, tenant, name, work)
    server = known.server
    if as_json:
        print_json(
            {
                **{label.lower().replace(" ", "_"): value for label, value in _describe(known)},
                # What both have is here as servers list has it: a number is a number.
                **server_as_json(server),
            }
        )
        return
    for label, value in _describe(known):
        click.echo(f"{label + ':':<{_LABEL_WIDTH}} {printable(value)}")
    for skipped in server.skipped_tools:
        click.echo(f"{printable(skipped['name'])} is left out: {printable(skipped['reason'])}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    server: ServerRecord
    spec: ServerSpec
    review: Row
    availability: float | None
    defaults: UpstreamSettings


def _describe(known: _Known) -> list[tuple[str, str]]:
    server, spec, review = known.server, known.spec, known.review
    facts = [
        ("Name", server.name),
        ("Slug", server.slug),
        ("Description", server.description),
        ("Names begin", {None: f"{server.slug}__", "": "as they are"}.get(spec.prefix, f"{spec.prefix}__")),
        ("Transport", server.transport),
        ("Command", " ".join([server.command or "", *("…" for _ in spec.args)]) if server.command else ""),
        ("URL", _mask_url(server.url)),
        ("Document", _mask_url(spec.document_url) or ("kept here" if spec.document is not None else "")),
        ("Directory", spec.cwd or ""),
        ("Environment", ", ".join(sorted(spec.env))),
        ("Headers", ", ".join(sorted(spec.headers))),
        ("Credential", server.credential + (" + client certificate" if spec.certificate is not None else "")),
        ("Personal credentials", server.personal or ""),
        ("State", server.state),
        ("Protocol", server.protocol_version or ""),
        ("Tools", str(server.tool_count)),
        ("Quarantined", str(review["quarantined"] or "")),
        ("Flagged", str(review["flagged"] or "")),
        ("Changed tools", _ON_CHANGE[review["on_change"]]),
        ("Version", str(server.version or "")),
        ("Without vectors", str(server.tools_lacking_vectors or "")),
        ("Last sync", "never" if server.synced_at is None else f"{server.synced_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Sync error", server.sync_error or ""),
        ("Health", format_health(server, known.defaults.check_every_seconds)),
        ("Last 24 hours", "" if known.availability is None else f"reachable in {known.availability:.1%}"),
        ("Last seen", "" if server.last_seen_at is None else f"{server.last_seen_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Restarts", str(server.restarts)),
        ("Last error", server.last_error or ""),
        *_describe_limits(server.tuning, known.defaults),
    ]
    return [(label, value) for label, value in facts if value]


def _describe_limits(tuning: Tuning, defaults: UpstreamSettings) -> list[tuple[str, str]]:
    """What is in force, and whether that is the server's own or the gateway's."""
    described: list[tuple[str, str]] = [("Session", tuning.session)]
    for name in (*TUNABLE_LIMITS, "sync_every_seconds"):
        own = getattr(tuning, name)
        described.append((name, f"{getattr(defaults, name):g} (default)" if own is None else f"{own:g}"))
    return [*described, ("idle_stop_seconds", f"{tuning.idle_stop_seconds:g}")]


def server_as_json(server: ServerRecord) -> dict[str, Any]:
    """What is known of a server, without what may hold secrets: arguments of its command and parts of its URL."""
    values = {field.name: getattr(server, field.name) for field in dataclasses.fields(server) if field.name != "args"}
    return {**values, "url": _mask_url(server.url) or None, "state": server.state}


def has_recent_health(server: ServerRecord, check_every_seconds: float) -> bool:
    """Whether a gateway has checked the server lately; where none runs, nobody knows how it does."""
    if not server.enabled or server.health is None or server.checked_at is None:
        return False
    longest = _RECENT_CHECKS * max(check_every_seconds, _MIN_CHECK_SECONDS)
    return (datetime.now(timezone.utc) - server.checked_at).total_seconds() <= longest


def format_health(server: ServerRecord, check_every_seconds: float) -> str:
    """How a server did at its last check, in a few words; empty where that was not lately."""
    if server.health is None or not has_recent_health(server, check_every_seconds):
        return ""
    state = server.health.replace("_", " ")
    if server.startup_line:
        return f"{state}: {server.startup_line}"
    return f"{state}, {server.latency_ms:.1f} ms" if server.latency_ms and state == "connected" else state


def _mask_url(url: str | None) -> str:
    if not url:
        return ""
    return url_without_secrets(url) + ("?…" if "?" in url else "")
