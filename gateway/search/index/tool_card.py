"""What an answer shows of a tool."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

from gateway.catalog.overrides.profile_overrides import apply_to_schema
from gateway.catalog.tool_override import ToolOverride
from gateway.database.connection import Row
from gateway.search.deprecation import says_deprecated

_FIXED_BYTES = 1_200


@dataclass(frozen=True, slots=True)
class ToolCard:
    """A tool as a client may be shown it. The fields that end in `_json` are JSON text, None where not given.

    `is_renamed`: an admin calls it otherwise than its server does, and `name` is that name too.
    """

    tool_id: int
    exposed_name: str
    name: str
    server_id: int
    server: str
    category: str
    title: str | None
    description: str
    input_schema_json: str
    annotations_json: str | None
    icons_json: str | None
    is_renamed: bool = False
    is_deprecated: bool = field(init=False)

    def __post_init__(self) -> None:
        # Read once for all the searches that meet the tool.
        is_deprecated = says_deprecated(self.title, self.description, self.annotations_json)
        object.__setattr__(self, "is_deprecated", is_deprecated)

    @classmethod
    def of(cls, row: Row, server: str) -> ToolCard:
        """The card of a row of `index_tools` or `result_tools`; `server` is the name of its server."""
        return cls(
            tool_id=row["id"],
            exposed_name=row["exposed_name"],
            name=row["exposed_name"] if row["is_renamed"] else row["name"],
            server_id=row["server_id"],
            server=server,
            category=row["category"],
            title=row["title"],
            description=row["description"],
            input_schema_json=row["input_schema"],
            annotations_json=row["annotations"],
            icons_json=row["icons"],
            is_renamed=row["is_renamed"],
        )

    def overridden(self, override: ToolOverride) -> ToolCard:
        """The card where this is said of the tool."""
        return replace(
            self,
            exposed_name=override.name or self.exposed_name,
            name=override.name or self.name,
            category=override.category or self.category,
            title=override.title or self.title,
            description=override.description or self.description,
            input_schema_json=apply_to_schema(override, self.input_schema_json),
            is_renamed=self.is_renamed or override.name is not None,
        )

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly: the texts, and a fixed cost that covers its names in the index."""
        texts = (self.exposed_name, self.name, self.title, self.description, self.input_schema_json)
        more = (self.annotations_json, self.icons_json)
        return _FIXED_BYTES + sum(sys.getsizeof(text) for text in (*texts, *more) if text)
