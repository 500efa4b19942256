"""Opening a session: first the server has to be there, then it has to agree on how to speak."""

from __future__ import annotations

import functools
import logging
import shlex
from dataclasses import dataclass

import anyio

from gateway.errors import UpstreamError, UpstreamHttpError, UpstreamProtocolError, UpstreamTimeoutError
from gateway.json_codec import Message
from gateway.upstream.failure_line import last_line
from gateway.upstream.rpc.negotiation import SessionInfo, negotiate
from gateway.upstream.rpc.peer import Peer
from gateway.upstream.rpc.protocol_era import HandshakeEra, ModernEra, ProtocolEra
from gateway.upstream.rpc.session_loss import SessionLossDetector
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import Transport

logger = logging.getLogger(__name__)

# Some servers ignore what they do not know.
_PROBE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What was agreed; `loss_detector` is there where the server keeps a session that it may forget."""

    info: SessionInfo
    era: ProtocolEra
    loss_detector: SessionLossDetector | None


class SessionOpening:
    """One attempt to open a session."""

    def __init__(self, spec: ServerSpec, peer: Peer, capabilities: Message, *, probe: bool) -> None:
        """`probe` asks for the modern era first."""
        self._spec = spec
        self._peer = peer
        self._capabilities = capabilities
        self._probe = probe
        self._scope: anyio.CancelScope | None = None

    @property
    def awaits_start(self) -> bool:
        """Whether the process of a stdio server runs, and has not answered yet."""
        return self._spec.transport == "stdio" and self._scope is not None and not self._peer.answered

    async def run(self, transport: Transport) -> OpenedSession:
        """Open it. Raises UpstreamError where the server does not answer within `first_answer_timeout` of its spec, or
        the session is not open within `connect_timeout` from then; RequestNotSentError where it ended meanwhile.
        """
        spec = self._spec
        try:
            with anyio.fail_after(spec.first_answer_timeout) as self._scope:
                await transport.wait_ready()
                info = await negotiate(
                    spec.name,
                    self._peer,
                    self._capabilities,
                    probe=self._probe,
                    probe_seconds=spec.connect_timeout * _PROBE_SHARE,
                )
                era: ProtocolEra
                if info.era == "handshake":
                    era = HandshakeEra(info.protocol_version)
                    await self._notify_initialized(era)
                else:
                    era = ModernEra(info.protocol_version, self._capabilities)
                await transport.set_protocol_version(info.protocol_version)
                send = functools.partial(self._peer.request, era=era)
                judge = SessionLossDetector(spec.name, send, info) if transport.has_session else None
                return OpenedSession(info, era, judge)
        except (TimeoutError, UpstreamTimeoutError):
            raise self._timeout_error(transport) from None
        finally:
            self._scope = None

    def handle_first_message(self) -> None:
        """The server is there: from now on it has the time to shake hands, no longer that to start."""
        if self._scope is not None:
            self._scope.deadline = min(self._scope.deadline, anyio.current_time() + self._spec.connect_timeout)

    async def _notify_initialized(self, era: HandshakeEra) -> None:
        """Say that the session is open. Some servers want params in whatever is sent, and some none where there are
        none; one that refuses both has opened the session all the same.
        """
        everything: tuple[Message | None, ...] = ({}, None)
        for params in everything:
            try:
                await self._peer.notify("notifications/initialized", params, era.headers)
            except UpstreamHttpError as error:
                logger.info("server %s refuses notifications/initialized: %s", self._spec.name, error)
            else:
                return

    def _timeout_error(self, transport: Transport) -> UpstreamError:
        name, spec = self._spec.name, self._spec
        noise = transport.non_mcp_output()
        if noise is not None:
            return UpstreamProtocolError(name, f"Server {name} does not speak MCP; it says {noise!r}.")
        if spec.transport != "stdio" or self._peer.answered:
            return UpstreamTimeoutError(
                name,
                f"Server {name} did not start a session within {spec.connect_timeout:.3g} s; check that it runs and "
                "speaks MCP.",
            )
        said = last_line(transport.stderr())
        last_words = f", and said last: {said}" if said else ""
        return UpstreamTimeoutError(
            name,
            f"Server {name} did not answer within {spec.start_timeout:.3g} s of its start{last_words}. Check that it "
            "speaks MCP; if it was still being installed, raise upstream.start_timeout_seconds, or for it alone: "
            f"modelgate servers set {shlex.quote(name)} --start-timeout {2 * spec.start_timeout:.3g}",
        )
