"""What a look at one part found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`detail` is a sentence for a person, `next_step` what to do, empty where nothing is; `code` that of an error."""

    part: str
    state: State
    detail: str
    next_step: str = ""
    code: str = ""
