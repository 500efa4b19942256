"""What an admin says of a tool in place of what its server says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.catalog.category import CATEGORIES
from gateway.catalog.naming import EXPOSED_NAME_LENGTH, GATEWAY_TOOLS
from gateway.catalog.tool import ToolDefinition
from gateway.database.connection import Row
from gateway.errors import InvalidInputError

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TITLE_CHARACTERS = 200
_DESCRIPTION_CHARACTERS = 8_000
_PARAMETER_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class ToolOverride:
    """None, and a parameter that is not named, is as the server says. `name` is the whole name that clients see.

    `parameters` are descriptions of parameters by name.
    """

    name: str | None = None
    title: str | None = None
    description: str | None = None
    category: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row) -> ToolOverride:
        """The override of a row with these columns."""
        return cls(row["name"], row["title"], row["description"], row["category"], row["parameters"])

    @property
    def is_empty(self) -> bool:
        """Whether all is as the server says."""
        return self == ToolOverride()

    @property
    def changes_definition(self) -> bool:
        """Whether more is overridden than name and category, which are no part of the definition."""
        return self.title is not None or self.description is not None or bool(self.parameters)

    def apply(self, tool: ToolDefinition) -> ToolDefinition:
        """The tool as clients are to see it, and as its texts are made; its hash stays that of what the server said."""
        text = tool.json
        if self.changes_definition:
            text = json.dumps(self.apply_to(tool.raw), ensure_ascii=False, separators=(",", ":"))
        return ToolDefinition(self.name or tool.name, text, tool.content_hash)

    def apply_to(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """A definition with title, description and descriptions of parameters as they are here."""
        given = {"title": self.title, "description": self.description}
        overridden = {**definition, **{key: text for key, text in given.items() if text is not None}}
        schema = definition.get("inputSchema")
        if self.parameters and isinstance(schema, dict):
            overridden["inputSchema"] = self.describe_parameters(schema)
        return overridden

    def describe_parameters(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON schema of arguments with the descriptions that are overridden."""
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return dict(schema)
        described = {
            name: {**parameter, "description": self.parameters[name]}
            if name in self.parameters and isinstance(parameter, dict)
            else parameter
            for name, parameter in properties.items()
        }
        return {**schema, "properties": described}

    def validate(self, tool: ToolDefinition) -> None:
        """Raises InvalidInputError, which names the field, for what `tool` cannot be called or said to be."""
        if self.name is not None:
            if not _NAME.fullmatch(self.name) or len(self.name) > EXPOSED_NAME_LENGTH:
                raise InvalidInputError(
                    f"A name has to be 1 to {EXPOSED_NAME_LENGTH} letters, digits, _ or -, not {self.name[:100]!r}.",
                    "name",
                )
            if self.name in GATEWAY_TOOLS:
                raise InvalidInputError(f"{self.name} is a tool of the gateway; choose another name.", "name")
        if self.category is not None and self.category not in CATEGORIES:
            raise InvalidInputError(
                f"A category has to be one of {', '.join(CATEGORIES)}, not {self.category[:100]!r}.", "category"
            )
        _check_text(self.title, "title", _TITLE_CHARACTERS)
        _check_text(self.description, "description", _DESCRIPTION_CHARACTERS)
        known = dict(tool.parameters)
        for name, text in self.parameters.items():
            if name not in known:
                raise InvalidInputError(
                    f"The tool has no parameter {name[:100]!r}; it has {', '.join(known)[:500] or 'none'}.",
                    "parameters",
                )
            _check_text(text, "parameters", _PARAMETER_CHARACTERS)


def basis_of(tool: ToolDefinition, name: str, category: str) -> dict[str, Any]:
    """What stands behind an override, by field: what a later override of the server's is compared with."""
    title = tool.raw.get("title")
    return {
        "name": name,
        "title": title if isinstance(title, str) else None,
        "description": tool.description,
        "category": category,
        "parameters": dict(tool.parameters),
    }


def _check_text(text: str | None, field_name: str, characters: int) -> None:
    if text is not None and (not text.strip() or len(text) > characters or "\x00" in text):
        raise InvalidInputError(
            f"It has to be 1 to {characters} characters; leave it out to keep the server's.", field_name
        )
