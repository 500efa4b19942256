"""`modelgate servers show`: what is known of one server."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from gateway.catalog.server_record import ServerRecord
from gateway.cli.component_runner import run_with_server
from gateway.cli.options import tenant_option
from gateway.cli.output import printable
from gateway.masking import url_without_secrets
from gateway.upstream.spec import ServerSpec

if TYPE_CHECKING:
    from gateway.components import Components


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def show(context: click.Context, name: str, tenant: str) -> None:
    """Show a server: how it is reached, how it is used and how it does. No secret is shown."""

    async def work(components: Components, server: ServerRecord) -> tuple[ServerRecord, ServerSpec]:
        return server, await components.servers.spec(server.tenant_id, server.id)

    server, spec = run_with_server(context, tenant, name, work)
    for label, value in _describe(server, spec):
        click.echo(f"{label + ':':<16} {printable(value)}")


def _describe(server: ServerRecord, spec: ServerSpec) -> list[tuple[str, str]]:
    tuning = server.tuning
    facts = [
        ("Name", server.name),
        ("Slug", server.slug),
        ("Description", server.description),
        ("Names begin", {None: f"{server.slug}__", "": "as they are"}.get(spec.prefix, f"{spec.prefix}__")),
        ("Transport", server.transport),
        ("Command", " ".join([server.command or "", *("…" for _ in spec.args)]) if server.command else ""),
        ("URL", _mask_url(server.url)),
        ("Document", _mask_url(spec.document_url) or ("kept here" if spec.document is not None else "")),
        ("Environment", ", ".join(sorted(spec.env))),
        ("Headers", ", ".join(sorted(spec.headers))),
        ("Credential", server.credential + (" + client certificate" if spec.certificate is not None else "")),
        ("State", server.state),
        ("Tools", str(server.tool_count)),
        ("Without vectors", str(server.tools_lacking_vectors or "")),
        ("Last sync", "never" if server.synced_at is None else f"{server.synced_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Sync error", server.sync_error or ""),
        ("Health", format_health(server)),
        ("Last seen", "" if server.last_seen_at is None else f"{server.last_seen_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Restarts", str(server.restarts)),
        ("Last error", server.last_error or ""),
        ("Session", tuning.session),
    ]
    facts += [
        (field.name, f"{value:g}")
        for field in dataclasses.fields(tuning)
        if isinstance(value := getattr(tuning, field.name), (int, float))
    ]
    return [(label, value) for label, value in facts if value]


def format_health(server: ServerRecord) -> str:
    """How a server did at its last check, in a few words; empty before the first."""
    if not server.enabled or server.health is None:
        return ""
    state = server.health.replace("_", " ")
    if server.startup_line:
        return f"{state}: {server.startup_line}"
    return f"{state}, {server.latency_ms:.1f} ms" if server.latency_ms and state == "connected" else state


def _mask_url(url: str | None) -> str:
    if not url:
        return ""
    return url_without_secrets(url) + ("?…" if "?" in url else "")
