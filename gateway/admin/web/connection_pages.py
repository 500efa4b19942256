"""My connections: what everybody sees who can sign in, and where links of calls without a credential lead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.access.connections.links import LINKS_PATH, ConnectionLink, ConnectionLinks
from gateway.access.keys import ApiKeys
from gateway.access.persons import Person, Persons
from gateway.admin.oauth_callback import CALLBACK_PATH, DONE_PATH, bind_login, client_metadata_url, new_login_browser
from gateway.admin.paths import CONNECTIONS_PATH, SIGN_IN_PATH
from gateway.admin.person_guard import PersonGuard, SignedIn
from gateway.admin.problem_details import build_problem
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import CSRF_FIELD
from gateway.admin.services.connections import ConnectionService
from gateway.admin.session_cookie import SessionCookie
from gateway.admin.web.error_page import PageEndpoint
from gateway.admin.web.page_context import errors_by_field
from gateway.admin.web.renderer import PageRenderer
from gateway.database.actor import Actor, acting_as
from gateway.errors import CredentialError, ForbiddenError, HttpError, InvalidInputError, ModelGateError, NotFoundError
from gateway.upstream.credentials.personal import PersonalSecret, personal_kind
from gateway.upstream.spec import ServerSpec

_Handler = Callable[[Request, SignedIn], Awaitable[Response]]
_SERVER_PATH = f"{CONNECTIONS_PATH}/servers/{{server:int}}"
_KEY_PATH = f"{CONNECTIONS_PATH}/keys/{{key:int}}"


class ConnectionPages:
    """The pages of one's own connections."""

    def __init__(
        self,
        connections: ConnectionService,
        guard: PersonGuard,
        persons: Persons,
        keys: ApiKeys,
        links: ConnectionLinks,
        renderer: PageRenderer,
        public_url: PublicUrl,
        cookie: SessionCookie,
    ) -> None:
        """`cookie` is that of people who run nothing."""
        self._connections = connections
        self._guard = guard
        self._persons = persons
        self._keys = keys
        self._links = links
        self._renderer = renderer
        self._public_url = public_url
        self._cookie = cookie

    def routes(self) -> list[Route]:
        """One route for each address."""
        return [
            self._route("GET", CONNECTIONS_PATH, self._list),
            self._route("GET", _SERVER_PATH, self._show),
            self._route("POST", _SERVER_PATH, self._connect),
            self._route("POST", f"{_SERVER_PATH}/disconnect", self._disconnect),
            self._route("POST", f"{_SERVER_PATH}/listing", self._listing),
            self._route("POST", f"{_KEY_PATH}/accept", self._accept_key),
            self._route("POST", f"{_KEY_PATH}/release", self._release_key),
            self._route("POST", f"{CONNECTIONS_PATH}/signout", self._sign_out),
            Route(f"{LINKS_PATH}/{{token}}", PageEndpoint(self._renderer, self._follow_link)),
            Route(DONE_PATH, PageEndpoint(self._renderer, self._done)),
        ]

    def _route(self, method: str, path: str, handle: _Handler) -> Route:
        async def answer(request: Request) -> Response:
            async with self._guard.admit(request) as signed_in:
                return await handle(request, signed_in)

        return Route(path, PageEndpoint(self._renderer, answer), methods=[method])

    async def _list(self, request: Request, signed_in: SignedIn, error: ModelGateError | None = None) -> Response:
        person = await self._person(request, signed_in)
        values = {
            "connections": await self._connections.of_person(person),
            "keys": await self._connections.keys(person, signed_in.account),
            "done": request.query_params.get("done", "")[:200],
        }
        return self._page(request, signed_in, "connections.html", error, **values)

    async def _show(self, request: Request, signed_in: SignedIn, error: ModelGateError | None = None) -> Response:
        person = await self._person(request, signed_in)
        spec = await self._connections.server(person, request.path_params["server"])
        return self._form(request, spec, error, signed_in=signed_in, is_listed_as=spec.list_as == person.id)

    async def _connect(self, request: Request, signed_in: SignedIn) -> Response:
        person = await self._person(request, signed_in)
        spec = await self._connections.server(person, request.path_params["server"])
        try:
            address = await self._connect_as(request, person, spec, "")
        except ModelGateError as error:
            return await self._show(request, signed_in, error)
        return address or self._back(request, f"{spec.name} is connected.")

    async def _disconnect(self, request: Request, signed_in: SignedIn) -> Response:
        person = await self._person(request, signed_in)
        await self._connections.disconnect(person, request.path_params["server"])
        return self._back(request, "It is disconnected.")

    async def _listing(self, request: Request, signed_in: SignedIn) -> Response:
        person = await self._person(request, signed_in)
        agreed = (await request.form()).get("agreed") == "true"
        await self._connections.agree_to_listing(person, request.path_params["server"], agreed)
        return self._back(request, "It may be listed by your connection." if agreed else "It may not any more.")

    async def _accept_key(self, request: Request, signed_in: SignedIn) -> Response:
        person = await self._person(request, signed_in)
        await self._connections.accept_key(person, request.path_params["key"], signed_in.account)
        return self._back(request, "The key acts for you now.")

    async def _release_key(self, request: Request, signed_in: SignedIn) -> Response:
        person = await self._person(request, signed_in)
        await self._connections.release_key(person, request.path_params["key"])
        return self._back(request, "The key does not act for you any more.")

    async def _sign_out(self, request: Request, signed_in: SignedIn) -> Response:
        await self._guard.sign_out(request)
        response = RedirectResponse(SIGN_IN_PATH, 303)
        self._cookie.delete(request, response)
        return response

    async def _follow_link(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD", "POST"):
            raise HttpError(405, "That cannot be done at this address.", Allow="GET, POST")
        async with self._guard.admit_anybody(request):
            token = request.path_params["token"]
            link = await self._links.find(token)
            if link is None:
                raise NotFoundError(
                    "This link has been used, or is older than ten minutes; repeat the call in your client for another."
                )
            if link.key_id is not None:
                return await self._follow_with_key(request, token, link)
        async with self._guard.admit(request) as signed_in:
            return await self._follow_signed_in(request, signed_in, token, link)

    async def _follow_signed_in(
        self, request: Request, signed_in: SignedIn, token: str, link: ConnectionLink
    ) -> Response:
        person = await self._persons.get(link.tenant_id, link.person_id)
        if person.identity != signed_in.identity:
            raise ForbiddenError(
                f"This link was made for somebody else, and you are signed in as {signed_in.name}: nothing is "
                "connected. Make the call yourself for a link of your own."
            )
        spec = await self._connections.server(person, link.server_id)
        error: ModelGateError | None = None
        if request.method == "POST":
            try:
                return await self._connect_by_link(request, person, spec, token)
            except ModelGateError as failure:
                error = failure
        return self._form(request, spec, error, signed_in=signed_in, is_listed_as=spec.list_as == person.id)

    async def _follow_with_key(self, request: Request, token: str, link: ConnectionLink) -> Response:
        """A key that nobody owns is its own person: who has the key is who the link was made for."""
        person = await self._persons.get(link.tenant_id, link.person_id)
        spec = await self._connections.server(person, link.server_id)
        error: ModelGateError | None = None
        if request.method == "POST":
            try:
                caller = await self._keys.authenticate(str((await request.form()).get("key", "")).strip())
                if (caller.tenant_id, caller.person) != (link.tenant_id, person.identity):
                    raise CredentialError("This is another key than the one that the link was made for.")
                actor = Actor("key", caller.key_name, caller.key_id)
                with acting_as(actor):
                    return await self._connect_by_link(request, person, spec, token)
            except CredentialError as failure:
                error = InvalidInputError(failure.message, "key")
            except ModelGateError as failure:
                error = failure
        return self._form(request, spec, error, signed_in=None, asks_key=True)

    async def _connect_by_link(self, request: Request, person: Person, spec: ServerSpec, token: str) -> Response:
        answer = await self._connect_as(request, person, spec, token)
        # Before anybody else may: what it was good for is done, or on its way.
        await self._links.use(token)
        return answer or RedirectResponse(DONE_PATH, 303)

    async def _connect_as(self, request: Request, person: Person, spec: ServerSpec, token: str) -> Response | None:
        """Connect a server: at once (None), or by a page from which the person goes on to sign in elsewhere."""
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        if isinstance(spec.personal, PersonalSecret):
            agreed = form.get("listing_agreed") == "true"
            await self._connections.connect_secret(person, spec.id, form, listing_agreed=agreed)
            return None
        base, browser = self._public_url.base(request), new_login_browser(request)
        address = await self._connections.begin_sign_in(
            person, spec.id, base + CALLBACK_PATH, browser, client_metadata_url(base), token
        )
        # A form may not lead to another site, and a person should see where they go.
        response = self._renderer.response(
            request, "connection_sign_in.html", {"address": address, "server": spec.name, "errors": {}}
        )
        bind_login(request, response, self._public_url, browser)
        return response

    async def _done(self, request: Request) -> Response:
        async with self._guard.admit_anybody(request):
            without = request.query_params.get("without", "")
            return self._renderer.response(request, "connection_done.html", {"without": without})

    async def _person(self, request: Request, signed_in: SignedIn) -> Person:
        return await self._guard.person(signed_in, request.query_params.get("tenant") or None)

    def _form(
        self,
        request: Request,
        spec: ServerSpec,
        error: ModelGateError | None,
        *,
        signed_in: SignedIn | None,
        is_listed_as: bool = False,
        asks_key: bool = False,
    ) -> Response:
        values: Mapping[str, Any] = {
            "server": spec.name,
            "kind": "" if spec.personal is None else personal_kind(spec.personal),
            "basic": isinstance(spec.personal, PersonalSecret) and spec.personal.basic,
            "is_listed_as": is_listed_as,
            "asks_key": asks_key,
        }
        return self._page(request, signed_in, "connection.html", error, **values)

    def _page(
        self,
        request: Request,
        signed_in: SignedIn | None,
        template: str,
        error: ModelGateError | None = None,
        **values: Any,
    ) -> Response:
        tenant = request.query_params.get("tenant", "")
        shown = {
            "errors": {} if error is None else errors_by_field(error),
            "signed_in": signed_in,
            "tenant": tenant if signed_in is not None and tenant in signed_in.tenants else "",
            "csrf_field": CSRF_FIELD,
            "csrf_token": "" if signed_in is None else signed_in.csrf_token,
            **values,
        }
        return self._renderer.response(request, template, shown, 200 if error is None else build_problem(error).status)

    def _back(self, request: Request, done: str) -> Response:
        query = {
            "done": done,
            **({"tenant": request.query_params["tenant"]} if "tenant" in request.query_params else {}),
        }
        return RedirectResponse(f"{CONNECTIONS_PATH}?{urlencode(query)}", 303)
