"""On how many cases a property is tried: on few in the suite, on many by `make thorough`."""

from __future__ import annotations

import os


def cases(few: int, many: int) -> int:
    """`many` where the environment has THOROUGH."""
    return many if os.environ.get("THOROUGH") else few
