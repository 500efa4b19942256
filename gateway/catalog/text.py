"""The texts that stand for a tool in search."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from gateway.catalog.category import split_words
from gateway.catalog.terms import terms_of
from gateway.catalog.tool import ToolDefinition

# A definition may be long: more tells nothing new.
_LEXICAL_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class ToolTexts:
    """What is embedded (`name`, `description`, `combined`) and what terms are made of (`lexical`)."""

    name: str
    description: str
    combined: str
    lexical: str

    @property
    def hash(self) -> bytes:
        """Of the embedded texts: as long as it is the same, so are the vectors."""
        return hashlib.sha256("\x00".join((self.name, self.description, self.combined)).encode()).digest()

    @property
    def terms(self) -> Counter[str]:
        """How often each term occurs."""
        return Counter(terms_of(self.lexical))


def build_tool_texts(server: str, tool: ToolDefinition) -> ToolTexts:
    """The texts of a tool on the server of that name."""
    name = " ".join(split_words(tool.name)) or tool.name
    described = [f"{' '.join(split_words(key)) or key}{f' ({text})' if text else ''}" for key, text in tool.parameters]
    combined = f"{server}: {name}. {tool.description}"
    if described:
        combined += f" Parameters: {', '.join(described)}"
    # The name counts twice: it says in two words what the rest explains.
    lexical = f"{name} {name} {server} {tool.description} {' '.join(described)}"
    return ToolTexts(name, tool.description or name, combined, lexical[:_LEXICAL_CHARACTERS])
