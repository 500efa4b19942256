"""What the weather of large cities is usually like, from a small built-in table."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError

# Typical daily high and low of each month, January first, in whole degrees Celsius, rounded from long-term averages.
CLIMATE = {
    "Beijing": ("2 6 13 21 27 31 31 30 26 19 10 4", "-7 -5 1 9 15 20 23 22 16 9 1 -5"),
    "Berlin": ("3 5 9 15 20 23 25 25 20 14 8 4", "-2 -2 1 5 9 12 15 14 11 7 2 -1"),
    "Buenos Aires": ("30 29 27 23 19 16 15 18 19 23 26 29", "20 19 18 14 11 8 7 9 11 13 16 18"),
    "Cairo": ("19 20 24 28 32 34 35 34 33 30 25 20", "9 10 12 15 18 20 22 22 20 18 14 10"),
    "Cape Town": ("27 27 26 23 20 18 18 18 20 22 24 26", "16 16 15 12 10 8 7 8 9 11 13 15"),
    "Chicago": ("0 2 8 15 21 27 29 28 24 17 9 3", "-7 -6 -1 5 11 17 20 19 15 8 2 -4"),
    "Delhi": ("20 24 30 36 40 39 35 34 34 33 28 23", "8 11 16 21 26 28 27 27 25 20 13 9"),
    "Istanbul": ("9 9 11 16 21 26 28 29 25 20 15 11", "4 4 5 8 13 17 20 20 17 13 9 6"),
    "Lagos": ("32 33 33 32 31 29 28 28 29 30 31 32", "22 24 24 24 23 23 22 22 22 22 23 22"),
    "London": ("8 9 11 14 18 21 24 23 20 16 11 9", "3 3 4 6 9 12 14 14 11 9 5 3"),
    "Madrid": ("10 12 17 19 23 29 33 32 27 20 14 10", "3 4 7 9 12 17 20 20 16 11 6 4"),
    "Mexico City": ("22 24 26 27 27 25 24 24 23 23 23 22", "7 8 10 12 13 14 13 13 13 11 9 7"),
    "Moscow": ("-4 -3 3 11 19 22 25 23 16 9 1 -3", "-9 -9 -4 3 9 12 15 13 8 3 -3 -7"),
    "Mumbai": ("31 31 33 33 34 32 30 30 31 34 34 32", "17 18 21 24 27 27 25 25 25 24 21 19"),
    "Nairobi": ("26 27 27 25 24 23 23 23 26 26 24 25", "12 13 14 15 13 12 11 11 12 13 13 13"),
    "New York": ("4 6 10 17 22 27 30 29 25 18 12 7", "-2 -1 2 8 13 18 21 21 17 11 6 1"),
    "Paris": ("8 9 13 16 20 23 26 26 21 17 11 8", "3 3 5 7 11 14 16 16 13 10 6 4"),
    "Rome": ("12 13 16 19 23 27 31 31 27 22 17 13", "2 3 5 8 12 16 18 18 15 11 7 4"),
    "San Francisco": ("14 16 17 17 18 19 19 20 21 21 17 14", "8 9 9 10 11 12 13 13 13 13 11 8"),
    "São Paulo": ("28 29 28 27 24 23 23 25 25 27 27 28", "19 20 19 17 15 13 13 13 15 16 17 19"),
    "Singapore": ("31 32 32 32 32 32 31 31 32 32 31 30", "24 24 25 25 25 25 25 25 25 25 24 24"),
    "Sydney": ("27 27 25 23 20 18 17 19 21 23 24 26", "20 20 18 15 12 10 9 10 12 14 16 18"),
    "Tokyo": ("10 11 14 19 23 26 30 31 28 22 17 12", "1 2 5 10 15 19 23 24 21 15 9 4"),
    "Toronto": ("-1 0 5 12 19 24 27 26 22 14 8 2", "-7 -6 -2 4 10 15 18 17 13 7 2 -3"),
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class TypicalWeather:
    """What a month is usually like in a city; temperatures in degrees Celsius."""

    city: str
    month: str
    typical_high_celsius: int
    typical_low_celsius: int
    note: str


def typical_weather(city: str, month: int) -> TypicalWeather:
    """The table's figures for `city` in `month` (1…12), or ToolError where the table has no such city."""
    wanted = _folded(city)
    found = next((name for name in CLIMATE if _folded(name) == wanted), None)
    if found is None:
        raise ToolError(f"There are no figures for {city!r}; the built-in table has {', '.join(CLIMATE)}.")
    high, low = (int(column.split()[month - 1]) for column in CLIMATE[found])
    note = "Typical for this month from long-term averages: not a measurement and not a forecast."
    return TypicalWeather(found, _MONTHS[month - 1], high, low, note)


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.split(",")[0])
    return "".join(character for character in plain if not unicodedata.combining(character)).strip().casefold()
