"""Who makes the changes that are written to the database: said once, by whoever lets a person or a command in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an API key, an admin, a person who has signed in and runs nothing, somebody at the command line, or the
    gateway by itself.

    `roles` are names; `address` is where a request came from, empty where it came from nowhere else.
    """

    kind: Literal["key", "admin", "person", "command line", "gateway"]
    name: str
    id: int | None = None
    roles: tuple[str, ...] = ()
    address: str = ""

    @property
    def json(self) -> str:
        """As the database is told of the actor, and writes it into the audit log."""
        return json.dumps(asdict(self))


GATEWAY = Actor("gateway", "gateway")

_current: ContextVar[Actor] = ContextVar("current_actor", default=GATEWAY)


def current_actor() -> Actor:
    """Who acts in the current task."""
    return _current.get()


@contextlib.contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Changes made inside, and by tasks started inside, are written to the audit log as those of `actor`."""
    token = _current.set(actor)
    try:
        yield
    finally:
        _current.reset(token)
