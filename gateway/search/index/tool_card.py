"""What an answer shows of a tool."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from gateway.database.connection import Row

_FIXED_BYTES = 1_200


@dataclass(frozen=True, slots=True)
class ToolCard:
    """A tool as a client may be shown it. The fields that end in `_json` are JSON text, None where not given."""

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

    @classmethod
    def of(cls, row: Row, server: str) -> ToolCard:
        """The card of a row of `index_tools` or `result_tools`; `server` is the name of its server."""
        return cls(
            tool_id=row["id"],
            exposed_name=row["exposed_name"],
            name=row["name"],
            server_id=row["server_id"],
            server=server,
            category=row["category"],
            title=row["title"],
            description=row["description"],
            input_schema_json=row["input_schema"],
            annotations_json=row["annotations"],
            icons_json=row["icons"],
        )

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly: the texts, and a fixed cost that covers its names in the index."""
        texts = (self.exposed_name, self.name, self.title, self.description, self.input_schema_json)
        more = (self.annotations_json, self.icons_json)
        return _FIXED_BYTES + sum(sys.getsizeof(text) for text in (*texts, *more) if text)
