"""A tenant's configuration as one document."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from starlette.responses import Response

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.configuration import ConfigurationInput
from gateway.catalog.configuration.change import ConfigurationChange

_YAML = "application/yaml"


@operation("GET", "/configuration", write=True, returns=Mapping[str, JsonValue], media=(_YAML,))
async def export_configuration(context: RestContext) -> Response:
    """Export servers, roles, rules, profiles, guards and overrides as one document, without secrets.

    In place of a secret stands `${NAME}`.
    """
    headers = {
        "Content-Disposition": f'attachment; filename="modelgate-{context.tenant.slug}.yaml"',
        "Cache-Control": "no-store",
    }
    document = await context.services.configuration.export(context.tenant.id)
    return Response(document, headers=headers, media_type=_YAML)


@operation("POST", "/configuration")
async def apply_configuration(context: RestContext, body: ConfigurationInput) -> tuple[ConfigurationChange, ...]:
    """Apply a document as it is exported, and say what was done.

    What it does not name stays, unless it is pruned. A server whose secrets are neither stored nor given is left
    disabled. Applied once more, everything is unchanged.
    """
    return await context.services.configuration.apply(context.tenant.id, body, context.principal)


OPERATIONS = (export_configuration, apply_configuration)
