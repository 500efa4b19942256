"""A guard rule: which guard looks at what, and what is done about what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

GuardKind = Literal["secrets", "personal", "injection", "size", "schema", "path", "host", "webhook", "plugin"]
GuardAction = Literal["observe", "mask", "deny"]
Stage = Literal["arguments", "result"]
Subject = Literal["tools", "prompts", "resources"]
FailMode = Literal["open", "closed"]

GUARD_KINDS: tuple[GuardKind, ...] = get_args(GuardKind)
GUARD_ACTIONS: tuple[GuardAction, ...] = get_args(GuardAction)
STAGES: tuple[Stage, ...] = get_args(Stage)
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
FAIL_MODES: tuple[FailMode, ...] = get_args(FailMode)


@dataclass(frozen=True, slots=True)
class GuardRule:
    """One rule. Those of a tenant are gone through by `position`, and by name where it is the same.

    It holds for all of `subjects` at all of `stages`, for callers with the role and for what is of the server, goes by
    a name that `pattern` fits (`*` stands for any characters, case does not count; of a resource its address) and is in
    the category; None leaves it open. `action` is the most that is done: `observe` only records. A guard that takes
    longer than `budget_ms`, or raises, keeps the call from being made where it fails `closed`. `options` are its own.
    """

    name: str
    guard: GuardKind
    action: GuardAction
    stages: tuple[Stage, ...] = STAGES
    subjects: tuple[Subject, ...] = ("tools",)
    position: int = 100
    role_id: int | None = None
    server_id: int | None = None
    pattern: str | None = None
    category: str | None = None
    fail: FailMode = "closed"
    budget_ms: int = 300
    enabled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredGuardRule:
    """A rule as it is stored, with the names of its role and server.

    `new_secret` is what a webhook's requests are signed with where it was just made, to be shown once.
    """

    id: int
    version: int
    rule: GuardRule
    role: str | None = None
    server: str | None = None
    new_secret: str | None = None
