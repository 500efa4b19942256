"""What a configuration file leaves to the user or the environment: `${…}` in the values of a server."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping

AskForValue = Callable[[str], "str | None"]
"""Asks a person for what no environment has: `input:ID`, `workspaceFolder`. None: there is no answer."""

_PLACEHOLDER = re.compile(r"\$\{\{([^{}]*)\}\}|\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What editors fill in of themselves.
_OF_EDITORS = ("workspaceFolder", "workspaceFolderBasename", "workspaceRoot", "userHome", "cwd", "file", "execPath")


def is_variable(name: str) -> bool:
    """Whether a placeholder stands for a variable of the environment."""
    return _VARIABLE.fullmatch(name) is not None and name not in _OF_EDITORS


class Placeholders:
    """Fills in the placeholders of one server and remembers which have no value: `missing`, by name, in their order.

    `${NAME}`, `${env:NAME}` and `${NAME:-default}` are variables of the environment; all others are asked for, once:
    the answers go into `values`, where everything that is known stands by name.
    """

    def __init__(self, values: MutableMapping[str, str], ask: AskForValue) -> None:
        self._values = values
        self._ask = ask
        self._missing: dict[str, None] = {}

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(self._missing)

    def fill(self, text: str) -> str:
        """`text` without placeholders; where there is no value, nothing stands."""
        return _PLACEHOLDER.sub(lambda match: self._value(match[1] if match[2] is None else match[2]), text)

    def _value(self, said: str) -> str:
        name, has_default, default = said.strip().partition(":-")
        name = name.removeprefix("env:")
        value = self._values.get(name)
        if value is None and not is_variable(name) and name not in self._missing:
            value = self._ask(name)
            if value is not None:
                self._values[name] = value
        # As in a shell: the default stands for what is empty, too.
        if has_default and not value:
            return default
        if value is None:
            self._missing[name or "${}"] = None
            return ""
        return value
