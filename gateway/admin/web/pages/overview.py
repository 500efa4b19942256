"""The first page: what there is, what happens, what people miss, and what to do next at a first start."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.reading import read_form
from gateway.admin.services.usage import Usage, UsageFilter
from gateway.admin.web.chart import Column, bars
from gateway.admin.web.page import get
from gateway.admin.web.visit import PageContext

_WINDOWS = {"1h": "1 hour", "24h": "24 hours", "30d": "30 days"}


async def show_overview(visit: PageContext) -> Response:
    """Numbers and charts of a window of time."""
    window = visit.asked("window") if visit.asked("window") in _WINDOWS else "24h"
    counts = await visit.actions.overview.get(visit.tenant.id)
    usage = await visit.actions.usage.get(visit.tenant.id, read_form(UsageFilter, {"span": window}))
    keys = await visit.actions.keys.list(visit.tenant.id)
    steps = {
        "server": counts.servers > 0,
        "tools": counts.tools > 0,
        "key": counts.keys > 0,
        "client": any(key.last_used_at is not None for key in keys),
    }
    return visit.page(
        "overview.html",
        counts=counts,
        usage=usage,
        window=window,
        windows=_WINDOWS,
        steps=steps,
        done=all(steps.values()),
        charts=_charts(usage),
    )


def _charts(usage: Usage) -> list[tuple[str, object]]:
    counted, times = [], []
    for step in usage.steps:
        when = step.starts.strftime("%d %b %H:%M")
        label = f"{when}: {step.calls} calls, {step.searches} searches, {step.call_errors} errors"
        parts = (
            ("search", step.searches),
            ("call", max(step.calls - step.call_errors, 0)),
            ("error", step.call_errors),
        )
        counted.append(Column(step.starts, parts, label))
        slow = step.p95_ms or 0.0
        times.append(Column(step.starts, (("search", slow),), f"{when}: 95% within {slow:.3g} ms"))
    return [("Searches, calls and errors", bars(counted)), ("95% answered within", bars(times, " ms"))]


PAGES = (get("/overview", show_overview),)
