"""How much an example counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.database.connection import Row
from gateway.errors import SettingsError
from gateway.settings import Settings

HALF_LIFE_DAYS = 90.0
"""After so long without use an example from use counts half."""

_DAY_SECONDS = 86_400.0
_FROM_MODEL = 0.5
# Changes with how vectors are made of examples, so that those of the former way are made anew.
_FORM = 2


@dataclass(frozen=True, slots=True)
class ExampleRules:
    """Which examples have effect: all that people gave or approved; those from use where they have effect, from so many
    calls or callers on.
    """

    from_use: Literal["off", "observe", "on"] = "observe"
    min_calls: int = 3
    min_callers: int = 2

    @property
    def fingerprint(self) -> str:
        """Equal where the same examples have the same effect."""
        return f"{_FORM} {self.from_use} {self.min_calls} {self.min_callers}"

    def weight(self, example: Row | Mapping[str, Any], *, is_trusted: bool) -> float:
        """How much a row of `learning_examples` counts, 0 where it has no effect. What is learnt from use has none
        where the tool is not as it was approved.
        """
        if example["state"] in ("waiting", "dismissed"):
            return 0.0
        if example["source"] == "llm":
            return _FROM_MODEL
        if example["state"] == "approved":
            return 1.0
        enough = example["calls"] >= self.min_calls or example["callers"] >= self.min_callers
        if self.from_use != "on" or not is_trusted or not enough:
            return 0.0
        return float(0.5 ** (example["age_seconds"] / (_DAY_SECONDS * HALF_LIFE_DAYS)))


def example_rules(settings: Settings) -> ExampleRules:
    """The rules that `settings` mean. Where the trace may not hold what was searched for, nothing is learnt from it.

    Raises SettingsError where they ask for it all the same.
    """
    learn, has_texts = settings.learn, settings.audit.queries == "text"
    if learn.from_use == "auto":
        return ExampleRules("observe" if has_texts else "off", learn.min_calls, learn.min_callers)
    if not has_texts and learn.from_use != "off":
        raise SettingsError(
            f'learn.from_use is "{learn.from_use}" and audit.queries is "hash", which keeps no text of a search; set '
            'learn.from_use to "auto" or "off", or audit.queries to "text".'
        )
    return ExampleRules(learn.from_use, learn.min_calls, learn.min_callers)
