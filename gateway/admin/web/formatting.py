"""How values are written on pages: times, numbers, and texts of which nobody knows what they hold."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_LONGEST = 2_000


def shown(text: object, longest: int = _LONGEST) -> str:
    """`text` cut to a length, each character that would not be seen, or would turn others around, by its number."""
    given = str(text)
    cut = given[:longest]
    if not cut.isprintable():
        cut = "".join(_visible(character) for character in cut)
    return cut if len(given) <= longest else f"{cut}… ({number(len(given))} characters)"


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs"):
        return character
    return f"⟨U+{ord(character):04X}⟩"


def ago(moment: datetime | None, now: datetime | None = None) -> Markup:
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


def number(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def milliseconds(value: float | None) -> str:
    """A duration given in milliseconds, with three digits that count."""
    if value is None:
        return "–"
    if value >= 1_000:
        return f"{value / 1_000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def counted(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 tool, 2 tools."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def pretty(value: Any) -> str:
    """JSON over several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False)
