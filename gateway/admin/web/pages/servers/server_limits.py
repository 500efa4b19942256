"""Timeouts and limits of a server, and when it is stopped and synced by itself: shown, and changed by form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.servers.server_card import TuningView
from gateway.admin.services.servers.servers import TuningInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError
from gateway.settings import UpstreamSettings

_LABELS = (
    ("connect_timeout_seconds", "Connect timeout", "s"),
    ("start_timeout_seconds", "Start timeout", "s"),
    ("list_timeout_seconds", "List timeout", "s"),
    ("call_timeout_seconds", "Call timeout", "s"),
    ("max_calls_in_flight", "Calls at the same time", ""),
    ("sync_every_seconds", "Sync every", "s"),
)


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit: `own` is what this server has instead of the gateway's `default`, None where it has the default."""

    name: str
    label: str
    unit: str
    own: float | None
    default: float

    @property
    def in_force(self) -> str:
        """What counts, with its unit."""
        return f"{self.default if self.own is None else self.own:g} {self.unit}".strip()


def describe_limits(tuning: TuningView, defaults: UpstreamSettings) -> tuple[LimitView, ...]:
    """The limits of a server, in the order of a form."""
    return tuple(
        LimitView(name, label, unit, getattr(tuning, name), float(getattr(defaults, name)))
        for name, label, unit in _LABELS
    )


async def show_limits(context: PageContext) -> Response:
    """The form with what is in force."""
    values = await _form_values(context)
    tuning: TuningView = values["detail"].tuning
    submitted = {limit.name: "" if limit.own is None else f"{limit.own:g}" for limit in values["limits"]}
    submitted |= {"session": tuning.session, "idle_stop_seconds": f"{tuning.idle_stop_seconds:g}"}
    return context.render("server_limits.html", **values, submitted=submitted)


async def set_limits(context: PageContext) -> Response:
    """Keep what was given; an empty field is as the gateway's settings say."""
    server_id, submitted = context.path_id("server"), await context.form()
    try:
        given: dict[str, Any] = {name: text.strip() for name, text in submitted.items() if text.strip()}
        tuning = parse_form(TuningInput, given)
        await context.services.servers.tune(context.tenant.id, server_id, tuning, context.principal)
    except ModelGateError as error:
        return context.render_form_errors("server_limits.html", error, submitted, **await _form_values(context))
    return context.redirect(f"/servers/{server_id}")


async def _form_values(context: PageContext) -> Mapping[str, Any]:
    detail = await context.services.servers.get(context.tenant.id, context.path_id("server"), context.principal)
    limits = describe_limits(detail.tuning, context.services.servers.default_limits)
    return {"server": detail.card, "detail": detail, "limits": limits}


PAGES = (
    get("/servers/{server:int}/limits", show_limits, write=True),
    post("/servers/{server:int}/limits", set_limits),
)
