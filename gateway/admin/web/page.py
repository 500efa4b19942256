"""A page, or the answer to one of its forms, declared beside the function that makes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from gateway.admin.web.visit import PageContext

Handle = Callable[[PageContext], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """`path` is below the tenant's address, or below /admin where the page is about the whole gateway (`everywhere`).

    `changes`: only for who may change things. `own`: about the account that asks, so every account may.
    """

    method: str
    path: str
    handle: Handle
    everywhere: bool = False
    changes: bool = False
    own: bool = False


def get(path: str, handle: Handle, *, everywhere: bool = False, own: bool = False) -> Page:
    """A page to look at."""
    return Page("GET", path, handle, everywhere, own=own)


def post(path: str, handle: Handle, *, everywhere: bool = False, own: bool = False, looks: bool = False) -> Page:
    """A form's answer. `looks`: it only asks something, so a viewer may send it too."""
    return Page("POST", path, handle, everywhere, changes=not (own or looks), own=own)
