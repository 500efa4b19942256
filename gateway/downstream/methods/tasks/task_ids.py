"""Ids of tasks as clients have them: sealed, so that nobody makes one up, and bound to the caller.

They hold whose task it is and where; nothing is kept of them, and any process of the gateway reads them.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from gateway.access.caller import Caller
from gateway.errors import SettingsError
from gateway.vault import Vault

_MAX_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class UpstreamTask:
    """A task of a server, by the server's own id, and the tool that was called. `named` is the person behind the caller
    whose task it is, as `named_person` has it.
    """

    server_id: int
    tool_id: int
    id: str
    named: str = ""


class TaskIds:
    """Makes and reads the ids."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def issue(self, caller: Caller, task: UpstreamTask) -> str:
        """The id under which `caller` knows a task."""
        values = {"s": task.server_id, "t": task.tool_id, "i": task.id, **({"p": task.named} if task.named else {})}
        sealed = self._vault.seal(values, _owner(caller))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def resolve(self, caller: Caller, task_id: object) -> UpstreamTask | None:
        """The task that `caller`, or a person behind it, knows by this id; None where there is none."""
        if not isinstance(task_id, str) or len(task_id) > _MAX_CHARACTERS:
            return None
        try:
            sealed = base64.b64decode(task_id + "=" * (-len(task_id) % 4), altchars=b"-_", validate=True)
            values = self._vault.open(sealed, _owner(caller))
        except (binascii.Error, ValueError, SettingsError):
            return None
        return UpstreamTask(values["s"], values["t"], values["i"], values.get("p", ""))


def _owner(caller: Caller) -> str:
    return f"tasks of {caller.tenant_id} {caller.identity}"
