"""What a guard says of content."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.guards.content import Content


@dataclass(frozen=True, slots=True)
class Change:
    """Content as it is after a guard has changed it."""

    value: Any


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found: how often, and in words; nothing where `count` is 0.

    `what` goes on after "the arguments" and "the contents of the result", as "hold 2 tokens" does, and holds nothing
    of these. `change` is the content without it, None where the guard cannot take it out. `decided`: the guard has
    decided itself whether this may be, as webhooks do; where it may not, `change` is None.
    """

    count: int = 0
    what: str = ""
    change: Change | None = None
    decided: bool = False


NOTHING_FOUND = Inspection()


class Guard(Protocol):
    """Looks at content. Raises ModelGateError, or anything else, where it cannot tell."""

    def inspect(self, content: Content) -> Coroutine[Any, Any, Inspection]: ...


class QuickGuard(Protocol):
    """A guard that needs nobody else to look at content, in time linear in the content's size."""

    def inspect_now(self, content: Content) -> Inspection: ...


def format_counts(counts: Mapping[str, int]) -> str:
    """Findings by kind as a part of a sentence: "2 tokens and 1 password"."""
    words = [f"{count:,} {kind}{plural(count)}" for kind, count in counts.items()]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(count: int) -> str:
    """What is put behind a noun of which there are so many."""
    return "" if count == 1 else "s"
