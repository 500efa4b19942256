"""Errors of upstream servers."""

from __future__ import annotations

from typing import Any

from gateway.errors.root import ModelGateError


class UpstreamError(ModelGateError, code="server"):
    """An upstream server failed; `server` is its name."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(message)
        self.server = server


class UpstreamUnavailableError(UpstreamError, code="server-unavailable"):
    """The upstream server cannot be reached, or ended before it answered."""


class RequestNotSentError(UpstreamUnavailableError):
    """The upstream server did not take the request, so it may safely be sent again."""


class UpstreamHttpError(UpstreamUnavailableError, code="server-http"):
    """The upstream server answered with an HTTP status instead of a message; `status` is that status.

    `said` is the beginning of what came with it. `session_lives` says that the server is known to answer other requests
    of the same session.
    """

    def __init__(self, server: str, message: str, status: int, said: str = "") -> None:
        super().__init__(server, message)
        self.status = status
        self.said = said
        self.session_lives = False


class SessionLostError(UpstreamUnavailableError, code="server-session"):
    """The upstream server has forgotten the session; `refusal` is how it says so.

    `resendable`: the request was certainly not taken, or does no harm twice. `by_ping`: the server refuses pings in the
    session too, from which this was concluded.
    """

    def __init__(
        self,
        server: str,
        refusal: UpstreamReplyError | UpstreamHttpError,
        *,
        resendable: bool = True,
        by_ping: bool = False,
    ) -> None:
        super().__init__(server, f"Server {server} has forgotten the session ({refusal.message}); try again.")
        self.refusal = refusal
        self.resendable = resendable
        self.by_ping = by_ping


class GrantRefusedError(UpstreamUnavailableError, code="server-sign-in"):
    """The authorization server of an upstream server refused the request for a token.

    `reason` is its own OAuth error code, empty where it gave none; `temporary` says that the same may be asked again.
    """

    def __init__(self, server: str, message: str, reason: str = "", *, temporary: bool = False) -> None:
        super().__init__(server, message)
        self.reason = reason
        self.temporary = temporary


class UpstreamTimeoutError(UpstreamError, code="server-timeout"):
    """The upstream server did not answer in time."""


class UpstreamDeadlineError(UpstreamTimeoutError, code="server-deadline"):
    """The upstream server still worked on a call when the longest time that any may take was over."""


class UpstreamBusyError(UpstreamError, code="server-busy"):
    """The upstream server already has as many calls in flight as it may have."""


class UpstreamProtocolError(UpstreamError, code="server-protocol"):
    """The upstream server sent something that is not MCP."""


class UpstreamReplyError(UpstreamError, code="server-error"):
    """The upstream server answered with a JSON-RPC error; `code` and `data` are the server's own."""

    def __init__(self, server: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(server, message)
        self.code = code
        self.data = data


class ConnectionNeededError(UpstreamError, code="connection-needed"):
    """The server lets each person in as who they are, and the person behind the call has not connected it.

    `server_id` is the server's, `reason` says what is missing. `link` is where the person connects it, empty where
    there is none yet; `can_connect` says whether connecting it is what helps.
    """

    def __init__(self, server: str, server_id: int, reason: str = "", *, link: str = "", next_step: str = "") -> None:
        """`reason` begins as a sentence does and ends without a full stop; so does `next_step`, where it is something
        else that helps.
        """
        self.reason = reason or f"You have not connected {server} yet"
        there = f"open {link} , connect it, and repeat the call" if link else "connect it on the page My connections"
        super().__init__(server, f"{self.reason}; {next_step or there}.")
        self.server_id = server_id
        self.link = link
        self.can_connect = not next_step


class CallerTokenNeededError(UpstreamError, code="caller-token-needed"):
    """The server takes a token in exchange for the caller's own access token, and the call came without one."""

    def __init__(self, server: str) -> None:
        super().__init__(
            server,
            f"Server {server} is called as who you are, by your own access token; sign in at the company's provider in "
            "your client, in place of an API key.",
        )


class RegistryError(ModelGateError, code="registry"):
    """A registry of servers cannot be asked, or answers with something else."""
