"""Who makes a request, once that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ListMode = Literal["search", "all", "chosen"]
Right = Literal["embed"]
"""What a key may do beside what its roles let it see and call; `embed`: have texts embedded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use up; None is no limit. Calls are those passed on to upstream servers, a day is one of UTC."""

    requests_per_minute: int | None = None
    concurrent_calls: int | None = None
    calls_per_day: int | None = None

    def __bool__(self) -> bool:
        return any((self.requests_per_minute, self.concurrent_calls, self.calls_per_day))


@dataclass(frozen=True, slots=True)
class Profile:
    """A named selection of servers, tools and patterns with an endpoint of its own, /mcp/p/{name}.

    `list_mode` says what tools/list shows there beside the gateway's own tools: nothing, every tool that can be found,
    or those that the profile chooses.
    """

    id: int
    name: str
    description: str
    list_mode: ListMode
    version: int


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant, key and roles that a request acts with; everything it may see follows from these.

    `key_id` is 0 where there is no API key, as for a sign-in elsewhere; `key_name` then says who it is. At a profile,
    `role_ids` ends with the profile's id: a profile takes part as one more set of rules, which grants nothing and
    denies what it leaves out.
    """

    tenant_id: int
    key_id: int
    key_name: str
    role_ids: tuple[int, ...]
    limits: Limits = Limits()
    rights: tuple[Right, ...] = ()
    profile: Profile | None = None
    subject: str = ""
    # Where the request came from; the same caller may come from anywhere.
    address: str = field(default="", compare=False)

    @property
    def identity(self) -> str:
        """Whose sessions are whose: the key or the person, at the endpoint that was opened."""
        # A subject may be any text, so it comes last: nothing that it says can be taken for a profile.
        who = f"key-{self.key_id}" if self.key_id else f"subject-{self.subject}"
        return who if self.profile is None else f"profile-{self.profile.id}:{who}"
