"""The form that says as whom calls of a server are made: by one credential for all, or as each person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.connections import PersonConnectionFilter
from gateway.admin.services.servers.credential_input import PersonalInput
from gateway.admin.services.servers.server_card import PersonalDetail
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError
from gateway.upstream.credentials.token_client import CLIENT_METHODS

FormFields = Mapping[str, str]
_Values = Mapping[str, JsonValue]

_KINDS = (
    ("", "all by the server's own credential"),
    ("secret", "each by a token, key or password that they give"),
    ("oauth", "each by signing in at the server's authorization server"),
    ("exchange", "each by their access token, exchanged for one of the server"),
    ("id_jag", "each by the word of your company's provider"),
    ("header", "each by what your proxy adds to the request"),
)
_METHODS = {
    "none": "nothing: a public client",
    "client_secret_basic": "client secret, as user and password",
    "client_secret_post": "client secret, in the body",
    "private_key_jwt": "private key (private_key_jwt)",
    "tls_client_auth": "client certificate (mutual TLS)",
}
_CLIENT = ("client_id", "method", "key_id", "algorithm")
_MAX_LISTERS = 500

# What errors are about, and where that stands in the form of each kind.
_INPUT_NAMES: Mapping[str, Mapping[str, str]] = {
    "secret": {"place": "to", "name": "place_name"},
    "header": {"name": "from_header"},
    "oauth": {name: f"sign_in_{name}" for name in ("client_id", "client_secret", "issuer", "scope")},
}


async def show_personal_form(context: PageContext) -> Response:
    """The form with what is in force; secrets are not in it."""
    values = await _form_values(context)
    return context.render("server_personal.html", **values, submitted=_stored_fields(values["personal"]))


async def set_personal(context: PageContext) -> Response:
    """Let persons in as the form says from now on."""
    server_id, submitted = context.path_id("server"), await context.form()
    values = await _form_values(context)
    kind = submitted.get("kind", "")
    stored = values["personal"].entry or {}
    entry = _entry(submitted, stored if stored.get("kind") == kind else {}, values["server"].transport)
    try:
        given = parse_form(PersonalInput, {"personal": entry, "list_as": submitted.get("list_as") or None})
        await context.services.servers.set_personal(context.tenant.id, server_id, given, context.principal)
    except ModelGateError as error:
        names = _INPUT_NAMES.get(kind, {})
        return context.render_form_errors("server_personal.html", error, submitted, input_names=names, **values)
    return context.redirect(f"/servers/{server_id}")


async def _form_values(context: PageContext) -> dict[str, Any]:
    server_id = context.path_id("server")
    detail = await context.services.servers.get(context.tenant.id, server_id, context.principal)
    personal = await context.services.servers.personal(context.tenant.id, server_id)
    query = PersonConnectionFilter(server_id, limit=_MAX_LISTERS)
    connected = (await context.services.connections.page(context.tenant.id, query)).items
    listers = {str(each.person_id): each.person_name or each.person_subject for each in connected}
    if personal.list_as is not None:
        listers.setdefault(str(personal.list_as), "a person who has not connected it")
    return {
        "server": detail.card,
        "personal": personal,
        "kinds": [kind for kind in _KINDS if detail.card.transport != "stdio" or kind[0] in ("", "secret")],
        "methods": [(name, _METHODS[name]) for name in CLIENT_METHODS],
        "listers": [("", "the server's own credential"), *listers.items()],
    }


def _stored_fields(personal: PersonalDetail) -> dict[str, str]:
    """What is stored, by the names of the form."""
    entry = personal.entry or {}
    kind = str(entry.get("kind", ""))
    fields = {"kind": kind, "list_as": "" if personal.list_as is None else str(personal.list_as)}
    if kind == "secret":
        fields |= {"to": "basic" if entry.get("basic") else _text(entry, "place"), "form": _text(entry, "form")}
        fields |= {"place_name": _text(entry, "name")}
    elif kind == "header":
        fields |= {"from_header": _text(entry, "name"), "send_as": _text(entry, "send_as")}
    elif kind == "oauth":
        sign_in = _part(entry, "sign_in")
        fields |= {f"sign_in_{name}": _text(sign_in, name) for name in ("client_id", "issuer", "scope")}
    else:
        names = ("variant", "audience", "resource", "scope", "issuer", "subject")
        fields |= {name: _text(entry, name) for name in names}
        for prefix, part in (("", "client"), ("provider_", "provider_client")):
            client = _part(entry, part)
            fields |= {f"{prefix}{name}": _text(client, name) for name in _CLIENT}
            fields[f"{prefix}certificate"] = _text(_part(client, "certificate"), "certificate")
    return fields


def _entry(submitted: FormFields, stored: _Values, transport: str) -> dict[str, JsonValue] | None:
    """What the form says, as a document has it; a secret that is left empty is the `stored` one."""
    kind = submitted.get("kind", "")

    def given(name: str) -> str:
        return submitted.get(name, "").strip()

    if kind == "secret" and transport == "stdio":
        return {"kind": kind, "place": "env", "name": given("place_name"), "form": given("form") or "{secret}"}
    if kind == "secret" and given("to") == "basic":
        return {"kind": kind, "basic": True}
    if kind == "secret":
        name = given("place_name") or ("Authorization" if given("to") == "header" else "")
        form = "Bearer {secret}" if name.lower() == "authorization" else "{secret}"
        return {"kind": kind, "place": given("to"), "name": name, "form": given("form") or form}
    if kind == "header":
        return {"kind": kind, "name": given("from_header"), "send_as": given("send_as") or given("from_header")}
    if kind == "oauth":
        before = _part(stored, "sign_in")
        names = ("client_id", "issuer", "scope")
        sign_in: dict[str, JsonValue] = {name: given(f"sign_in_{name}") for name in names}
        sign_in["client_secret"] = given("sign_in_client_secret") or _text(before, "client_secret")
        return {"kind": kind, "sign_in": {**sign_in, "metadata_url": _text(before, "metadata_url")}}
    if kind == "exchange":
        client = _client(submitted, "", _part(stored, "client"))
        exchange = {name: given(name) for name in ("variant", "audience", "resource", "scope")}
        if exchange["variant"] == "on_behalf_of":
            # It knows neither, and the form shows neither.
            exchange |= {"audience": "", "resource": ""}
        return {"kind": kind, "client": client, **exchange}
    if kind == "id_jag":
        said = {name: given(name) for name in ("issuer", "resource", "scope", "subject")}
        jag: dict[str, JsonValue] = {"kind": kind, **said}
        jag["client"] = _client(submitted, "", _part(stored, "client"))
        if given("provider_client_id"):
            jag["provider_client"] = _client(submitted, "provider_", _part(stored, "provider_client"))
        return jag
    # What is no kind is refused: without one, all are let in by the server's own credential.
    return {"kind": kind} if kind or "kind" not in submitted else None


def _client(submitted: FormFields, prefix: str, stored: _Values) -> dict[str, JsonValue]:
    """The gateway as a client, with what its method takes and nothing else."""

    def given(name: str) -> str:
        return submitted.get(f"{prefix}{name}", "").strip()

    method = given("method")
    client: dict[str, JsonValue] = {"client_id": given("client_id"), "method": method}
    if method.startswith("client_secret"):
        client["secret"] = given("secret") or _text(stored, "secret")
    if method == "private_key_jwt":
        client |= {"private_key": given("private_key") or _text(stored, "private_key")}
        client |= {"key_id": given("key_id"), "algorithm": given("algorithm")}
    if method in ("private_key_jwt", "tls_client_auth") and given("certificate"):
        before = _part(stored, "certificate")
        client["certificate"] = {
            "certificate": given("certificate"),
            "authority": _text(before, "authority"),
            "key": given("key") or _text(before, "key"),
        }
    return client


def _text(values: _Values, name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _part(values: _Values, name: str) -> _Values:
    value = values.get(name)
    return value if isinstance(value, dict) else {}


PAGES = (
    get("/servers/{server:int}/personal", show_personal_form, write=True),
    post("/servers/{server:int}/personal", set_personal),
)
