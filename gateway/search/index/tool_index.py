"""What a search asks of an index, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.tool_card import ToolCard
from gateway.search.query.parsed_query import ParsedQuery, Vocabulary
from gateway.search.ranking import CosineBaseline, Signals


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Whose search it is and what it is narrowed to."""

    tenant_id: int
    role_ids: tuple[int, ...]
    category: str | None = None
    server_id: int | None = None


class ToolIndex(Protocol):
    """A tenant's catalogue in one space, asked within what a caller may see; without a space it knows words alone.

    Every method raises DatabaseError where it has to ask the database and that does not answer.
    """

    @property
    def tenants_in_database(self) -> Collection[int]:
        """The ids of tenants that did not fit into memory when they were last searched."""
        ...

    @property
    def size_bytes(self) -> int:
        """What it holds in this process, roughly."""
        ...

    @property
    def tools(self) -> int:
        """How many tools it holds in this process, over all tenants."""
        ...

    @property
    def age_seconds(self) -> float:
        """For how long it has not read what is changed in a catalogue that it holds, at most; 0 where it has."""
        ...

    def pinned(self, tenant_id: int) -> AbstractContextManager[None]:
        """For the length of a search: what it holds of the tenant stays, however much others take."""
        ...

    async def revision(self, scope: SearchScope, space: StoredSpace) -> Hashable | None:
        """Equal for two moments where a search of this scope finds the same in both; None where that is not known."""
        ...

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """What `terms_of_each` asks of the terms of the tools in scope, for these texts."""
        ...

    async def baseline(self, tenant_id: int, space: StoredSpace | None) -> CosineBaseline:
        """What everyday requests find in the tenant's catalogue."""
        ...

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        """What is measured of every tool in scope."""
        ...

    async def named(self, scope: SearchScope, space: StoredSpace | None, name: str) -> list[int]:
        """The ids of tools in scope that go by `name`: exposed name, own name, or server and name."""
        ...

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """What to show of these tools, as far as they are in scope at this moment."""
        ...

    async def prepare(self, space: StoredSpace) -> None:
        """Make ready for searches in a space, of tenants that are searched in another one."""
        ...

    async def aclose(self) -> None:
        """End what is under way."""
        ...
