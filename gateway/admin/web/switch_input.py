"""What a form says that switches something on or off."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.admin.request_input import FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class SwitchInput:
    """On or off; a form that says neither is refused, as nobody meant it to switch anything off."""

    enabled: bool

    __pydantic_config__ = FORBID_EXTRA
