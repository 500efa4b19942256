"""Who makes a request, once that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from gateway.access.persons import KEY_ISSUER, Identity

ListMode = Literal["search", "all", "chosen"]
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

Right = Literal["embed", "approve"]
"""What a key may do beside what its roles let it see and call; `embed`: have texts embedded; `approve`: let calls of
others through that wait for a person.
"""


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

    `acts_for` is the person whom an API key acts for, None where it acts for itself; `awaits` names the owner who has
    not accepted it yet. `issuer` vouches for `subject`, who signed in elsewhere. `token` is what they did it with, and
    `proxy_headers`, names in lower case, are what a trusted proxy put on the request; neither is for anybody else.
    `base_url` is the gateway's address as the client wrote it.
    """

    tenant_id: int
    key_id: int
    key_name: str
    role_ids: tuple[int, ...]
    limits: Limits = Limits()
    rights: tuple[Right, ...] = ()
    profile: Profile | None = None
    subject: str = ""
    issuer: str = ""
    acts_for: Identity | None = None
    awaits: str = ""
    # Of the request that is under way; the next of the same caller has others.
    token: str = field(default="", compare=False, repr=False)
    proxy_headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, compare=False, repr=False)
    base_url: str = field(default="", compare=False)
    # Where the request came from; the same caller may come from anywhere.
    address: str = field(default="", compare=False)

    @property
    def person(self) -> Identity:
        """Who is behind the call: by whose connections it is let in at servers, whatever endpoint it came to."""
        if self.acts_for is not None:
            return self.acts_for
        return Identity(KEY_ISSUER, str(self.key_id)) if self.key_id else Identity(self.issuer, self.subject)

    @property
    def person_name(self) -> str:
        """What that person is called; empty where the name of the key does not say."""
        return "" if self.acts_for is not None else self.key_name

    @property
    def audited_person(self) -> str:
        """Who signed in, or for whom a key acts, for the audit log; empty for a key that acts for itself."""
        person = self.person
        return "" if person.issuer == KEY_ISSUER or not person.subject else f"{person.subject} of {person.issuer}"

    @property
    def identity(self) -> str:
        """Whose sessions are whose: the key or the person, at the endpoint that was opened."""
        # A subject may be any text, so it comes last: nothing that it says can be taken for a profile, or an issuer,
        # whose length says where it ends.
        who = f"key-{self.key_id}" if self.key_id else f"issuer-{len(self.issuer)}-{self.issuer}:{self.subject}"
        return who if self.profile is None else f"profile-{self.profile.id}:{who}"
