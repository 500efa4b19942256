"""How values are written on pages: times, numbers, and texts of which nobody knows what they hold."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MAX_CHARACTERS = 2_000


def display_text(text: object, max_characters: int = _MAX_CHARACTERS) -> str:
    """`text` cut to a length, each character that would not be seen, or would turn others around, by its number."""
    whole = str(text)
    cut = whole[:max_characters]
    if not cut.isprintable():
        cut = "".join(_escape_invisible(character) for character in cut)
    return cut if len(whole) <= max_characters else f"{cut}… ({format_number(len(whole))} characters)"


def _escape_invisible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs"):
        return character
    return f"⟨U+{ord(character):04X}⟩"


def relative_time(moment: datetime | None, now: datetime | None = None) -> Markup:
    """How long ago (or in how long) as a `time` element that holds the exact moment."""
    if moment is None:
        return Markup('<span class="muted">never</span>')
    seconds = ((now or datetime.now(timezone.utc)) - moment).total_seconds()
    size = abs(seconds)
    words = "just now" if size < 5 else f"{size:.0f} s"
    for length, unit in _UNITS:
        if size >= length:
            words = f"{size // length:.0f} {unit}"
            break
    if words != "just now":
        words = f"{words} ago" if seconds > 0 else f"in {words}"
    exact = moment.astimezone(timezone.utc)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


def format_number(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def format_milliseconds(value: float | None) -> str:
    """A duration given in milliseconds, with three digits that count."""
    if value is None:
        return "–"
    if value >= 1_000:
        return f"{value / 1_000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def format_count(value: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: 1 tool, 2 tools."""
    return f"{format_number(value)} {singular if value == 1 else plural or singular + 's'}"


def format_json(value: Any) -> str:
    """JSON over several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def json_word(value: Any) -> str:
    """A value in a line of text, as JSON has it: true and not True; a text stands as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
