"""The forms that add a server, change it, and try it before it is saved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.servers.credential_input import CredentialsInput
from gateway.admin.services.servers.server_card import ServerDetail
from gateway.admin.services.servers.server_input import ServerChange, ServerInput
from gateway.admin.services.servers.trials import ServerTest
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.pages.servers.credential_form import CREDENTIAL_KINDS, certificate_values, credential_values
from gateway.errors import InvalidInputError, ModelGateError
from gateway.masking import MASK

FormFields = Mapping[str, str]

# What a form calls otherwise than the service does.
_INPUT_NAMES = {"document": "document_text"}
_OPENAPI_INPUT_NAMES = {**_INPUT_NAMES, "document_url": "url", "url": "address"}
_ADD_VALUES: Mapping[str, Any] = {"imported": (), "asked": (), "credential_kinds": CREDENTIAL_KINDS}
_VALUE_PREFIX = "value."


async def show_add_form(context: PageContext) -> Response:
    """An empty form."""
    return context.render("server_add.html", **_ADD_VALUES, submitted={"transport": "stdio"})


async def add_server(context: PageContext) -> Response:
    """Add a server, sync it at once, and show how that goes."""
    submitted = await context.form()
    try:
        detail = await context.services.servers.add(context.tenant.id, _server_input(submitted), context.principal)
    except ModelGateError as error:
        names = _input_names(submitted.get("transport"))
        return context.render_form_errors("server_add.html", error, submitted, input_names=names, **_ADD_VALUES)
    await context.services.syncs.start(context.tenant.id, detail.card.id)
    return context.redirect(f"/servers/{detail.card.id}")


async def import_servers(context: PageContext) -> Response:
    """Add the servers of an `mcpServers` document, and sync those that could be added.

    What it leaves open is asked for first, unless they are to be added without.
    """
    submitted = {**await context.form(), "transport": "stdio"}
    document = submitted.get("document", "")
    values = {
        name.removeprefix(_VALUE_PREFIX): value
        for name, value in submitted.items()
        if name.startswith(_VALUE_PREFIX) and value
    }
    try:
        if "without" not in submitted and context.services.servers.missing_values(document, values):
            asked = context.services.servers.missing_values(document, {})
            return context.render("server_add.html", **{**_ADD_VALUES, "submitted": submitted, "asked": asked})
        outcomes = await context.services.servers.import_json(
            context.tenant.id, document, context.principal, context.admission.record_denial, values
        )
    except ModelGateError as error:
        return context.render_form_errors("server_add.html", error, submitted, **_ADD_VALUES)
    for outcome in outcomes:
        if outcome.id is not None and outcome.note is None:
            await context.services.syncs.start(context.tenant.id, outcome.id)
    if all(outcome.error is None and outcome.note is None for outcome in outcomes):
        return context.redirect("/servers")
    status = 200 if all(outcome.error is None for outcome in outcomes) else 422
    return context.render("server_add.html", status, **{**_ADD_VALUES, "submitted": submitted, "imported": outcomes})


async def show_edit_form(context: PageContext) -> Response:
    """The form with what is stored; secrets by name only."""
    detail = await context.services.servers.get(context.tenant.id, context.path_id("server"), context.principal)
    return context.render("server_edit.html", **_edit_values(detail), submitted=_stored_fields(detail))


async def change_server(context: PageContext) -> Response:
    """Save what was changed."""
    server_id = context.path_id("server")
    detail = await context.services.servers.get(context.tenant.id, server_id, context.principal)
    submitted = await context.form()
    try:
        change = _server_change(submitted, detail)
        await context.services.servers.change(context.tenant.id, server_id, change, context.principal)
    except ModelGateError as error:
        values = _edit_values(detail)
        names = _input_names(detail.card.transport)
        return context.render_form_errors("server_edit.html", error, submitted, input_names=names, **values)
    return context.redirect(f"/servers/{server_id}")


async def set_server_credentials(context: PageContext) -> Response:
    """What the gateway is let in with at a server from now on."""
    server_id = context.path_id("server")
    detail = await context.services.servers.get(context.tenant.id, server_id, context.principal)
    submitted = await context.form()
    try:
        values = {"credential": credential_values(submitted), "certificate": certificate_values(submitted)}
        credentials = parse_form(CredentialsInput, values)
        await context.services.servers.set_credentials(context.tenant.id, server_id, credentials, context.principal)
    except ModelGateError as error:
        fields = {**_stored_fields(detail), **submitted}
        return context.render_form_errors("server_edit.html", error, fields, **_edit_values(detail))
    return context.redirect(f"/servers/{server_id}")


async def test_new_server(context: PageContext) -> Response:
    """Connect to what the form describes, and list its tools."""
    submitted = await context.form()
    try:
        return await _test(context, ServerTest(server=_server_input(submitted)))
    except ModelGateError as error:
        return _untested(context, error)


async def test_changed_server(context: PageContext) -> Response:
    """The same for a server that is there, with its stored secrets."""
    server_id = context.path_id("server")
    detail = await context.services.servers.get(context.tenant.id, server_id, context.principal)
    try:
        change = _server_change(await context.form(), detail)
        return await _test(context, ServerTest(server_id=server_id, change=change))
    except ModelGateError as error:
        return _untested(context, error)


async def _test(context: PageContext, test: ServerTest) -> Response:
    tested = await context.services.trials.run(context.tenant.id, test, context.principal)
    return context.render("server_trial.html", tested=tested)


def _untested(context: PageContext, error: ModelGateError) -> Response:
    rejection = context.rejection(error)
    return context.render("server_trial.html", rejection.status, tested=None, errors=rejection.errors)


def _input_names(transport: str | None) -> Mapping[str, str]:
    """Where the fields of the service are in the form."""
    return _OPENAPI_INPUT_NAMES if transport == "openapi" else _INPUT_NAMES


def _server_input(submitted: FormFields) -> ServerInput:
    """The server that a form describes. Raises InvalidInputError."""
    transport = submitted.get("transport", "")
    values: dict[str, object] = {
        "name": submitted.get("name", "").strip(),
        "transport": transport,
        "description": submitted.get("description", "").strip(),
        "prefix": submitted.get("prefix", "").strip() or None,
    }
    if transport == "stdio":
        command, args = _parse_command(submitted)
        values |= {"command": command, "args": args, "env": _parse_lines(submitted, "env", "=")}
        values["cwd"] = submitted.get("cwd", "").strip() or None
    elif transport == "openapi":
        values |= _parse_document(submitted)
        values |= {"url": submitted.get("address", "").strip() or None}
        values |= {"headers": _parse_lines(submitted, "headers", ":")}
    else:
        values |= {"url": submitted.get("url", "").strip(), "headers": _parse_lines(submitted, "headers", ":")}
    if transport != "stdio":
        values |= {"credential": credential_values(submitted), "certificate": certificate_values(submitted)}
    return parse_form(ServerInput, values)


def _server_change(submitted: FormFields, detail: ServerDetail) -> ServerChange:
    values: dict[str, object] = {
        "name": submitted.get("name", "").strip(),
        "description": submitted.get("description", "").strip(),
    }
    if detail.card.transport == "stdio":
        command, args = _parse_command(submitted)
        values |= {"command": command, "args": args, "cwd": submitted.get("cwd", "").strip()}
        values["env"] = _unmask(_parse_lines(submitted, "env", "="), detail.env_names)
    elif detail.card.transport == "openapi":
        values |= {name: value for name, value in _parse_document(submitted).items() if value}
        if address := submitted.get("address", "").strip():
            values["url"] = address
        values["headers"] = _unmask(_parse_lines(submitted, "headers", ":"), detail.header_names)
    else:
        values["url"] = submitted.get("url", "").strip()
        values["headers"] = _unmask(_parse_lines(submitted, "headers", ":"), detail.header_names)
    return parse_form(ServerChange, values)


def _parse_command(submitted: FormFields) -> tuple[str, list[str]]:
    """The words of a command line, as a shell splits them. Raises InvalidInputError."""
    try:
        words = shlex.split(submitted.get("command", ""))
    except ValueError:
        raise InvalidInputError("A quotation mark in the command is not closed; close it.", "command") from None
    if not words:
        raise InvalidInputError("The command is missing; write it as in a shell.", "command")
    return words[0], words[1:]


def _parse_document(submitted: FormFields) -> dict[str, str | None]:
    """An OpenAPI document, or its address, whichever was given."""
    return {
        "document": submitted.get("document_text", "").strip() or None,
        "document_url": submitted.get("url", "").strip() or None,
    }


def _parse_lines(submitted: FormFields, name: str, separator: str) -> dict[str, str]:
    """Lines of `NAME=value` or `Name: value`. Raises InvalidInputError."""
    parsed: dict[str, str] = {}
    for position, line in enumerate(submitted.get(name, "").splitlines(), 1):
        if not line.strip():
            continue
        key, found_separator, value = line.partition(separator)
        if not found_separator or not key.strip():
            raise InvalidInputError(f"Line {position} has to be a name, {separator} and a value.", name)
        parsed[key.strip()] = value.strip()
    return parsed


def _unmask(given: Mapping[str, str], stored_names: tuple[str, ...]) -> dict[str, str | None]:
    """A value left as the mask that stands for the stored one keeps that."""
    return {name: None if value == MASK and name in stored_names else value for name, value in given.items()}


def _edit_values(detail: ServerDetail) -> dict[str, Any]:
    return {"server": detail.card, "detail": detail, "credential_kinds": CREDENTIAL_KINDS}


def _stored_fields(detail: ServerDetail) -> dict[str, str]:
    return {
        "name": detail.card.name,
        "transport": detail.card.transport,
        "description": detail.card.description,
        "command": shlex.join([detail.command or "", *detail.args]) if detail.command else "",
        "cwd": detail.cwd or "",
        "env": "\n".join(f"{name}={MASK}" for name in detail.env_names),
        "url": (detail.document_url if detail.card.transport == "openapi" else detail.url) or "",
        "address": detail.url or "" if detail.card.transport == "openapi" else "",
        "headers": "\n".join(f"{name}: {MASK}" for name in detail.header_names),
    }


PAGES = (
    get("/servers/add", show_add_form),
    post("/servers/add", add_server),
    post("/servers/paste", import_servers),
    post("/servers/try", test_new_server),
    get("/servers/{server:int}/edit", show_edit_form, write=True),
    post("/servers/{server:int}/edit", change_server),
    post("/servers/{server:int}/credential", set_server_credentials),
    post("/servers/{server:int}/try", test_changed_server),
)
