"""The first page: what there is, what happens, what people miss, and what to do next at a first start."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.usage import Usage, UsageFilter
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.presentation.chart import Column, bar_chart

_WINDOWS = {"1h": "1 hour", "24h": "24 hours", "30d": "30 days"}


async def show_overview(context: PageContext) -> Response:
    """Numbers and charts of a window of time."""
    window = context.query("window") if context.query("window") in _WINDOWS else "24h"
    counts = await context.services.overview.get(context.tenant.id)
    usage = await context.services.usage.get(context.tenant.id, parse_form(UsageFilter, {"span": window}))
    asked = [query.query for query in usage.missed] if context.principal.may_write else []
    nearest = await context.services.nearest_tools.of(context.tenant.id, asked)
    steps = {
        "server": counts.servers > 0,
        "tools": counts.tools > 0,
        "key": counts.keys > 0,
        "client": counts.has_client,
    }
    return context.render(
        "overview.html",
        counts=counts,
        usage=usage,
        nearest=nearest,
        window=window,
        windows=_WINDOWS,
        steps=steps,
        done=all(steps.values()),
        charts=_charts(usage),
    )


def _charts(usage: Usage) -> list[tuple[str, object]]:
    counts, times = [], []
    for step in usage.steps:
        when = step.starts.strftime("%d %b %H:%M")
        label = f"{when}: {step.calls} calls, {step.searches} searches, {step.call_errors} errors"
        parts = (
            ("search", step.searches),
            ("call", max(step.calls - step.call_errors, 0)),
            ("error", step.call_errors),
        )
        counts.append(Column(step.starts, parts, label))
        slow = step.p95_ms or 0.0
        times.append(Column(step.starts, (("search", slow),), f"{when}: 95% within {slow:.3g} ms"))
    return [("Searches, calls and errors", bar_chart(counts)), ("Latency, 95th percentile", bar_chart(times, " ms"))]


PAGES = (get("/overview", show_overview),)
