"""The root of all errors."""

from __future__ import annotations

import inspect
from typing import ClassVar


class ModelGateError(Exception):
    """Something went wrong in ModelGate."""

    error_code: ClassVar[str] = "error"

    def __init_subclass__(cls, code: str | None = None) -> None:
        """`code` is the `error_code` of the class; without one it has that of the class above."""
        if code is not None:
            cls.error_code = code

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)

    @property
    def message(self) -> str:
        return str(self.args[0])
