"""A guard for ModelGate: tools are called during working hours only.

`make_guard` is called once with the settings of the rule, in a process of its own, and returns what is called for each
question: a function that takes a dictionary and returns one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Question = dict[str, Any]
Answer = dict[str, Any]


def make_guard(settings: dict[str, Any]) -> Callable[[Question], Answer]:
    """`settings` may have `from` and `until` (hours, 0 to 24) and `zone`, as Europe/Berlin."""
    begin, end = int(settings.get("from", 8)), int(settings.get("until", 18))
    zone = ZoneInfo(settings.get("zone", "UTC"))

    def judge(question: Question) -> Answer:
        hour = datetime.now(zone).hour
        if question["stage"] == "arguments" and not begin <= hour < end:
            return {"verdict": "deny", "reason": f"{question['name']} is called from {begin} to {end} o'clock only"}
        return {"verdict": "allow"}

    return judge
