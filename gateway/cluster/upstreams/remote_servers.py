"""What a member knows of servers that others own, as their owners told it last."""

from __future__ import annotations

from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus


class RemoteServers:
    """By server what was negotiated, its status, and what was said of its lists; None where nothing is known."""

    def __init__(self) -> None:
        self._infos: dict[int, tuple[ServerSpec, SessionInfo, str | None]] = {}
        self._statuses: dict[int, ServerStatus] = {}
        self._listing_notes: dict[tuple[int, str], str] = {}

    def session_info(self, spec: ServerSpec) -> SessionInfo | None:
        """What was negotiated with the server, as long as it is the one that `spec` says."""
        known_spec, info, _ = self._infos.get(spec.id, (None, None, None))
        return info if known_spec == spec else None

    def info_mark(self, spec: ServerSpec) -> str | None:
        """By what the owner knows that what `session_info` gives is known here; None where that is nothing."""
        known_spec, _, mark = self._infos.get(spec.id, (None, None, None))
        return mark if known_spec == spec else None

    def set_session_info(self, spec: ServerSpec, info: SessionInfo | None, mark: str | None) -> None:
        """The owner says what it has negotiated, None that it is not known any more; `mark` goes with it, None from one
        of the version before.
        """
        if info is None:
            self._infos.pop(spec.id, None)
        else:
            self._infos[spec.id] = (spec, info, mark)

    def status(self, server_id: int) -> ServerStatus | None:
        """How the server did when its owner was asked last."""
        return self._statuses.get(server_id)

    def set_status(self, server_id: int, status: ServerStatus) -> None:
        """The owner says how the server does."""
        self._statuses[server_id] = status

    def listing_note(self, server_id: int, method: str) -> str | None:
        """What the owner said of the last list of `method`."""
        return self._listing_notes.get((server_id, method))

    def set_listing_note(self, server_id: int, method: str, note: str) -> None:
        """The owner says `note` of a list that it gave."""
        self._listing_notes[server_id, method] = note

    def forget(self, server_id: int) -> None:
        """The server is owned by this member, or closed."""
        self._infos.pop(server_id, None)
        self._statuses.pop(server_id, None)
        for key in [key for key in self._listing_notes if key[0] == server_id]:
            del self._listing_notes[key]
