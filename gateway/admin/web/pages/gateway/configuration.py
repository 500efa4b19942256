"""A tenant's configuration as one document: downloaded, looked at, and applied."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.configuration import ConfigurationInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError


async def show_configuration(context: PageContext) -> Response:
    """Where the document is taken out and put in."""
    return context.render("configuration.html", submitted={}, changes=None)


async def download_configuration(context: PageContext) -> Response:
    """The document, in YAML, without secrets."""
    document = await context.services.configuration.export(context.tenant.id)
    headers = {
        "Content-Disposition": f'attachment; filename="modelgate-{context.tenant.slug}.yaml"',
        "Cache-Control": "no-store",
    }
    return Response(document, headers=headers, media_type="application/yaml")


async def apply_configuration(context: PageContext) -> Response:
    """What a document would change, or, once that was seen, has changed."""
    submitted = await context.form()
    is_preview = submitted.get("action") != "apply"
    given = {
        "document": submitted.get("document", ""),
        "prune": submitted.get("prune") == "true",
        "dry_run": is_preview,
    }
    try:
        document = parse_form(ConfigurationInput, given)
        changes = await context.services.configuration.apply(context.tenant.id, document, context.principal)
    except ModelGateError as error:
        return context.render_form_errors("configuration.html", error, submitted, changes=None)
    return context.render("configuration.html", submitted=submitted, changes=changes, is_preview=is_preview)


PAGES = (
    get("/configuration", show_configuration, write=True),
    get("/configuration/download", download_configuration, write=True),
    post("/configuration", apply_configuration),
)
