"""Errors between the processes of one database."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class LinkLostError(ModelGateError, code="worker-link"):
    """Another process of the gateway cannot be reached, or has ended."""

    def __init__(self) -> None:
        super().__init__("Another process of the gateway cannot be reached; try again in a moment.")


class LinkRefusedError(LinkLostError):
    """What is reached at the address of another process is not that process; `reason` says why not."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class LinkFailedError(ModelGateError, code="worker-link"):
    """Another process of the gateway broke down at a request, and says why in its log."""

    def __init__(self) -> None:
        super().__init__("Another process of the gateway failed at this request; its log says why.")


class NotOwnerError(ModelGateError, code="worker-link"):
    """Another process of the gateway was asked about a server that it does not own."""

    def __init__(self) -> None:
        super().__init__("Another process of the gateway runs this server by now; try again in a moment.")


class WorkerFailedError(ModelGateError, code="worker-failed"):
    """A worker ended before it was ready; `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"A worker ended with exit code {code} before it was ready; what it said last is above.")
        self.code = code
