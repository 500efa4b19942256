"""What tools can be looked for by, beside their words."""

from __future__ import annotations

from typing import Literal

ToolState = Literal[
    "present",
    "disabled",
    "overridden",
    "pinned",
    "miscategorised",
    "quarantined",
    "changed",
    "flagged",
    "unembedded",
    "removed",
    "any",
]
