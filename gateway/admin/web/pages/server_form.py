"""The forms that add a server, change it, and try it before it is saved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from starlette.responses import Response

from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.servers.credential_input import CredentialsInput
from gateway.admin.services.servers.server_card import MASK, ServerDetail
from gateway.admin.services.servers.server_input import ServerChange, ServerInput
from gateway.admin.services.servers.trials import ServerTest
from gateway.admin.web.page import get, post
from gateway.admin.web.pages.credential_form import KINDS, certificate_of, credential_of
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import InvalidInputError, ModelGateError

Form = Mapping[str, str]

_RENAMED = {"document": "document_text", "document_url": "url"}


async def show_add(visit: PageContext) -> Response:
    """An empty form."""
    return visit.page("server_add.html", sent={"transport": "stdio"}, imported=(), kinds=KINDS)


async def add(visit: PageContext) -> Response:
    """Add a server, sync it at once, and show how that goes."""
    sent = await visit.form()
    try:
        detail = await visit.actions.servers.add(visit.tenant.id, _input(sent), visit.principal)
    except ModelGateError as error:
        return visit.refused("server_add.html", error, sent, renamed=_RENAMED, imported=(), kinds=KINDS)
    await visit.actions.syncs.start(visit.tenant.id, detail.card.id)
    return visit.to(f"/servers/{detail.card.id}")


async def paste(visit: PageContext) -> Response:
    """Add the servers of an `mcpServers` document, and sync those that could be added."""
    sent = await visit.form()
    try:
        outcomes = await visit.actions.servers.import_json(visit.tenant.id, sent.get("document", ""), visit.principal)
    except ModelGateError as error:
        return visit.refused("server_add.html", error, {**sent, "transport": "stdio"}, imported=(), kinds=KINDS)
    for outcome in outcomes:
        if outcome.id is not None:
            await visit.actions.syncs.start(visit.tenant.id, outcome.id)
    if all(outcome.error is None for outcome in outcomes):
        return visit.to("/servers")
    return visit.page("server_add.html", 422, sent={**sent, "transport": "stdio"}, imported=outcomes, kinds=KINDS)


async def show_edit(visit: PageContext) -> Response:
    """The form with what is stored; secrets by name only."""
    visit.principal.require_change()
    detail = await visit.actions.servers.get(visit.tenant.id, visit.number("server"), visit.principal)
    return visit.page("server_edit.html", server=detail.card, detail=detail, sent=_stored(detail), kinds=KINDS)


async def edit(visit: PageContext) -> Response:
    """Save what was changed."""
    server_id = visit.number("server")
    detail = await visit.actions.servers.get(visit.tenant.id, server_id, visit.principal)
    sent = await visit.form()
    try:
        change = _change(sent, detail)
        await visit.actions.servers.change(visit.tenant.id, server_id, change, visit.principal)
    except ModelGateError as error:
        return visit.refused(
            "server_edit.html", error, sent, renamed=_RENAMED, server=detail.card, detail=detail, kinds=KINDS
        )
    return visit.to(f"/servers/{server_id}")


async def set_credential(visit: PageContext) -> Response:
    """What the gateway is let in with at a server from now on."""
    server_id = visit.number("server")
    detail = await visit.actions.servers.get(visit.tenant.id, server_id, visit.principal)
    sent = await visit.form()
    try:
        values = {"credential": credential_of(sent), "certificate": certificate_of(sent)}
        given = read_form(CredentialsInput, values)
        await visit.actions.servers.set_credentials(visit.tenant.id, server_id, given, visit.principal)
    except ModelGateError as error:
        kept = {**_stored(detail), **sent}
        return visit.refused("server_edit.html", error, kept, server=detail.card, detail=detail, kinds=KINDS)
    return visit.to(f"/servers/{server_id}")


async def try_new(visit: PageContext) -> Response:
    """Connect to what the form describes, and list its tools."""
    sent = await visit.form()
    try:
        test = ServerTest(server=_input(sent))
        tried = await visit.actions.trials.run(visit.tenant.id, test, visit.principal)
    except ModelGateError as error:
        return visit.page("server_trial.html", problem_of(error).status, tried=None, errors=errors_of(error))
    return visit.page("server_trial.html", tried=tried)


async def try_changed(visit: PageContext) -> Response:
    """The same for a server that is there, with its stored secrets."""
    server_id = visit.number("server")
    detail = await visit.actions.servers.get(visit.tenant.id, server_id, visit.principal)
    try:
        test = ServerTest(server_id=server_id, change=_change(await visit.form(), detail))
        tried = await visit.actions.trials.run(visit.tenant.id, test, visit.principal)
    except ModelGateError as error:
        return visit.page("server_trial.html", problem_of(error).status, tried=None, errors=errors_of(error))
    return visit.page("server_trial.html", tried=tried)


def _input(sent: Form) -> ServerInput:
    """The server that a form describes. Raises InvalidInputError."""
    transport = sent.get("transport", "")
    values: dict[str, object] = {
        "name": sent.get("name", "").strip(),
        "transport": transport,
        "description": sent.get("description", "").strip(),
    }
    if transport == "stdio":
        command, args = _command(sent)
        values |= {"command": command, "args": args, "env": _lines(sent, "env", "=")}
        values["cwd"] = sent.get("cwd", "").strip() or None
    elif transport == "openapi":
        values |= _document(sent)
    else:
        values |= {"url": sent.get("url", "").strip(), "headers": _lines(sent, "headers", ":")}
    if transport != "stdio":
        values |= {"credential": credential_of(sent), "certificate": certificate_of(sent)}
    return read_form(ServerInput, values)


def _change(sent: Form, detail: ServerDetail) -> ServerChange:
    values: dict[str, object] = {
        "name": sent.get("name", "").strip(),
        "description": sent.get("description", "").strip(),
    }
    if detail.card.transport == "stdio":
        command, args = _command(sent)
        values |= {"command": command, "args": args, "cwd": sent.get("cwd", "").strip()}
        values["env"] = _kept(_lines(sent, "env", "="), detail.env_names)
    elif detail.card.transport == "openapi":
        values |= {name: value for name, value in _document(sent).items() if value}
    else:
        values["url"] = sent.get("url", "").strip()
        values["headers"] = _kept(_lines(sent, "headers", ":"), detail.header_names)
    return read_form(ServerChange, values)


def _command(sent: Form) -> tuple[str, list[str]]:
    """The words of a command line, as a shell splits them. Raises InvalidInputError."""
    try:
        words = shlex.split(sent.get("command", ""))
    except ValueError:
        raise InvalidInputError("A quotation mark in the command is not closed; close it.", "command") from None
    if not words:
        raise InvalidInputError("The command is missing; write it as in a shell.", "command")
    return words[0], words[1:]


def _document(sent: Form) -> dict[str, str | None]:
    """An OpenAPI document, or its address, whichever was given."""
    return {
        "document": sent.get("document_text", "").strip() or None,
        "document_url": sent.get("url", "").strip() or None,
    }


def _lines(sent: Form, name: str, mark: str) -> dict[str, str]:
    """Lines of `NAME=value` or `Name: value`. Raises InvalidInputError."""
    found: dict[str, str] = {}
    for position, line in enumerate(sent.get(name, "").splitlines(), 1):
        if not line.strip():
            continue
        key, there, value = line.partition(mark)
        if not there or not key.strip():
            raise InvalidInputError(f"Line {position} has to be a name, {mark} and a value.", name)
        found[key.strip()] = value.strip()
    return found


def _kept(given: Mapping[str, str], stored: tuple[str, ...]) -> dict[str, str | None]:
    """A value left as the mask that stands for the stored one keeps that."""
    return {name: None if value == MASK and name in stored else value for name, value in given.items()}


def _stored(detail: ServerDetail) -> dict[str, str]:
    return {
        "name": detail.card.name,
        "transport": detail.card.transport,
        "description": detail.card.description,
        "command": shlex.join([detail.command or "", *detail.args]) if detail.command else "",
        "cwd": detail.cwd or "",
        "env": "\n".join(f"{name}={MASK}" for name in detail.env_names),
        "url": detail.url or detail.document_url or "",
        "headers": "\n".join(f"{name}: {MASK}" for name in detail.header_names),
    }


PAGES = (
    get("/servers/add", show_add),
    post("/servers/add", add),
    post("/servers/paste", paste),
    post("/servers/try", try_new),
    get("/servers/{server:int}/edit", show_edit),
    post("/servers/{server:int}/edit", edit),
    post("/servers/{server:int}/credential", set_credential),
    post("/servers/{server:int}/try", try_changed),
)
