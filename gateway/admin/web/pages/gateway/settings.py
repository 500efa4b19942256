"""The settings in force, and where each comes from."""

from __future__ import annotations

from itertools import groupby

from starlette.responses import Response

from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext


async def show_settings(context: PageContext) -> Response:
    """Every setting by section, those that `q` names, and on demand only those that were set."""
    text, only_set = context.query("q").lower(), context.query("set") == "1"
    views = [
        view
        for view in context.services.overview.setting_views()
        if text in f"{view.section}.{view.key}" and (view.source or not only_set)
    ]
    sections = [(section, list(of_section)) for section, of_section in groupby(views, lambda view: view.section)]
    return context.render("settings.html", sections=sections, q=context.query("q"), only_set=only_set)


PAGES = (get("/settings", show_settings, gateway_wide=True),)
