"""The category of a tool, told from its words."""

from __future__ import annotations

import re

CATEGORIES = ("messaging", "file-system", "database", "api", "git", "calendar", "shell", "search", "other")

# Words by category; where several match, the category with the most matches wins, then the earlier one.
_WORDS = {
    "git": "git github gitlab commit commits branch branches repository repositories repo pull merge rebase diff fork",
    "messaging": "message messages email emails mail slack chat channel sms send notify notification telegram discord",
    "calendar": "calendar event events meeting meetings schedule appointment appointments availability",
    "database": "sql database databases table tables query row rows column columns schema postgres mysql sqlite",
    "file-system": "file files directory directories folder folders path filesystem",
    "shell": "shell command commands terminal bash exec execute process script",
    "search": "search find lookup discover retrieve browse",
    "api": "api http https request endpoint url rest graphql webhook fetch",
}
# One capital before the last one of a run is enough: to read the whole run from each of its letters takes long.
_CASE_BOUNDARY = re.compile(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")
_CATEGORY_OF = {word: category for category, words in _WORDS.items() for word in words.split()}


def categorize(server: str, name: str, description: str) -> str:
    """One of CATEGORIES. `name` counts three times, the `server` twice, the first sentence of the description once."""
    scores: dict[str, int] = {}
    for text, weight in ((name, 3), (server, 2), (description.split(".")[0], 1)):
        for word in dict.fromkeys(split_words(text)):
            category = _CATEGORY_OF.get(word)
            if category is not None:
                scores[category] = scores.get(category, 0) + weight
    order = list(_WORDS)
    best = max(scores, key=lambda category: (scores[category], -order.index(category)), default="other")
    return best if scores.get(best, 0) >= 2 else "other"


def split_words(name: str) -> list[str]:
    """A name split at case, `_`, `-`, `.` and whatever else is no letter or digit, in lower case."""
    spaced = _CASE_BOUNDARY.sub(r"\1\3 \2\4", name)
    return [word.lower() for word in _SEPARATORS.split(spaced) if word]
