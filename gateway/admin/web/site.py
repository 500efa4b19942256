"""The whole site: every page, what they load, and the way from the root to the first of them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.paths import HOME_PATH
from gateway.admin.web.assets import STATIC_PATH, Assets
from gateway.admin.web.error_page import PageEndpoint
from gateway.admin.web.page_router import PageRouter
from gateway.admin.web.pages import approvals, audit, embedding, guards, models, overview, palette, playground, profiles
from gateway.admin.web.pages.access import admins, connections, key, keys, roles, tenants
from gateway.admin.web.pages.diagnosis import calls, gateway_log
from gateway.admin.web.pages.gateway import configuration, documents, settings
from gateway.admin.web.pages.servers import (
    offerings,
    personal_form,
    registry,
    server,
    server_form,
    server_limits,
    server_list,
)
from gateway.admin.web.pages.tools import tool, tool_examples, tool_map, tool_settings, tools
from gateway.admin.web.renderer import PageRenderer
from gateway.admin.web.sign_in_pages import SignInPages
from gateway.errors import NotFoundError

PAGES = (
    *overview.PAGES,
    *server_form.PAGES,
    *server_list.PAGES,
    *registry.PAGES,
    *server_limits.PAGES,
    *personal_form.PAGES,
    *offerings.PAGES,
    *server.PAGES,
    *tools.PAGES,
    *tool.PAGES,
    *tool_settings.PAGES,
    *tool_examples.PAGES,
    *playground.PAGES,
    *tool_map.PAGES,
    *roles.PAGES,
    *guards.PAGES,
    *keys.PAGES,
    *key.PAGES,
    *connections.PAGES,
    *profiles.PAGES,
    *palette.PAGES,
    *configuration.PAGES,
    *settings.PAGES,
    *documents.PAGES,
    *approvals.PAGES,
    *audit.PAGES,
    *calls.PAGES,
    *gateway_log.PAGES,
    *embedding.PAGES,
    *models.PAGES,
    *tenants.PAGES,
    *admins.PAGES,
)
"""Every page for people who have signed in."""


def site_routes(router: PageRouter, sign_in_pages: SignInPages, assets: Assets, renderer: PageRenderer) -> list[Route]:
    """The root, the static files, the pages without and with a sign-in, and all that is not there."""
    return [
        Route("/", _root),
        Route(f"{STATIC_PATH}/{{path}}", assets.serve),
        *sign_in_pages.routes(),
        *router.routes(PAGES),
        Route(f"{HOME_PATH}/{{path:path}}", PageEndpoint(renderer, _not_found)),
    ]


async def _root(request: Request) -> Response:
    return RedirectResponse(HOME_PATH, 303)


async def _not_found(request: Request) -> Response:
    raise NotFoundError("There is no page at this address.")
