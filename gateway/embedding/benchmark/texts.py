"""What an embedder is measured with: texts as tools have them, and pairs of which it is known how alike they are."""

from __future__ import annotations

import itertools
import secrets

_ACTIONS = ("Create", "List", "Search", "Update", "Delete", "Export", "Compare", "Summarize")
_OBJECTS = (
    "an issue of a repository",
    "the messages of a channel",
    "files in a folder by name or content",
    "the rows of a table that match a condition",
    "the weather forecast of a city",
    "an invoice with its line items",
    "meetings in a calendar",
    "running containers and their logs",
)
_DETAILS = (
    "Takes a name and a number of results",
    "Needs the right to write",
    "Returns JSON with an identifier, a title and the time of the last change",
    "Pages through the results with a cursor and keeps their order",
)

LIKE_PAIRS = (
    ("Get the current weather of a city", "Look up what the weather is like in a town right now"),
    ("Send an email message to a recipient", "Write and send a mail to somebody"),
    ("Create a new issue in a repository", "Open an issue in a repository"),
    ("Delete a file from a folder", "Remove a file from a directory"),
    ("Translate text into another language", "Translate a sentence from one language to another"),
    ("List the upcoming events of a calendar", "Show the next appointments in the calendar"),
)
"""Pairs that say the same in other words."""

UNLIKE_PAIRS = (
    ("Get the current weather of a city", "Delete a row from a database table"),
    ("Send an email message to a recipient", "Convert an image to grayscale"),
    ("Create a new issue in a repository", "Play a song by its title"),
    ("Delete a file from a folder", "Find flights between two airports"),
    ("Translate text into another language", "Restart a virtual machine"),
    ("List the upcoming events of a calendar", "Compute the inverse of a matrix"),
)
"""Pairs that have nothing to do with each other."""


def make_texts(count: int) -> list[str]:
    """So many texts, all different, and none the same as at any other time: nothing has them in a cache."""
    run = secrets.token_hex(3)
    parts = itertools.cycle(itertools.product(_DETAILS, _OBJECTS, _ACTIONS))
    return [
        f"{action} {thing}, number {number} of {run}. {detail}."
        for number, (detail, thing, action) in zip(range(1, count + 1), parts, strict=False)
    ]
