"""The texts that stand for a tool in search."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from gateway.catalog.category import split_words
from gateway.catalog.tool import ToolDefinition

# PostgreSQL counts a word no more often than this, and a definition may be long: more tells nothing new.
_LEXICAL_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class ToolTexts:
    """What is embedded (`name`, `description`, `combined`) and what is stemmed into terms (`lexical`)."""

    name: str
    description: str
    combined: str
    lexical: str

    @property
    def hash(self) -> bytes:
        """Of the embedded texts: as long as it is the same, so are the vectors."""
        return hashlib.sha256("\x00".join((self.name, self.description, self.combined)).encode()).digest()


def build_tool_texts(server: str, tool: ToolDefinition) -> ToolTexts:
    """The texts of a tool on the server of that name."""
    name = " ".join(split_words(tool.name)) or tool.name
    described = [f"{' '.join(split_words(key)) or key}{f' ({text})' if text else ''}" for key, text in tool.parameters]
    combined = f"{server}: {name}. {tool.description}"
    if described:
        combined += f" Parameters: {', '.join(described)}"
    # The name counts twice: it says in two words what the rest explains.
    lexical = f"{name} {name} {server} {tool.description} {' '.join(described)}"
    return ToolTexts(name, tool.description or name, combined, lexical_text(lexical[:_LEXICAL_CHARACTERS]))


def lexical_text(text: str) -> str:
    """Words alone, for PostgreSQL to stem: its parser would take paths, hosts and dotted names for one word each.

    A word that is split at case stands whole as well: GitHub is asked for as `github`, getWeather as `get weather`.
    """
    words = []
    for word in re.split(r"[\W_]+", text):
        parts = split_words(word)
        words += parts
        if len(parts) > 1:
            words.append(word.lower())
    return " ".join(words)
