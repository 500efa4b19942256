"""What members tell each other of upstream servers, as it arrives."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from mcp.shared.exceptions import MCPError

from gateway.cluster.upstreams.upstream_wire import (
    error_from_wire,
    error_to_wire,
    info_from_wire,
    info_to_wire,
    status_from_wire,
    status_to_wire,
)
from gateway.errors import (
    GrantRefusedError,
    ModelGateError,
    RequestNotSentError,
    SessionLostError,
    UpstreamBusyError,
    UpstreamHttpError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.status import ServerStatus
from tests.cluster.conftest import Pair


@pytest.mark.parametrize(
    "error",
    [
        MCPError(code=-32002, message="It is not there.", data={"uri": "file:///a"}),
        ModelGateError("Nobody answers questions here."),
        UpstreamReplyError("Web", -32602, "Wrong.", {"at": "name"}),
        UpstreamHttpError("Web", "Server Web answered 503.", 503, "<html>"),
        GrantRefusedError("Web", "Server Web let nobody in.", "invalid_grant", temporary=True),
        UpstreamTimeoutError("Web", "Server Web did not answer."),
        UpstreamBusyError("Web", "Server Web is busy."),
        RequestNotSentError("Web", "Server Web did not take it."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_raised_at_the_other_side_as_it_was(error: ModelGateError | MCPError) -> None:
    arrived = error_from_wire(json.loads(json.dumps(error_to_wire(error))))
    assert type(arrived) is type(error)
    told = ("message", "server", "code", "data", "status", "said", "reason", "temporary")
    assert [getattr(arrived, name, None) for name in told] == [getattr(error, name, None) for name in told]


def test_an_error_that_matters_only_where_it_arose_arrives_as_the_nearest_kind() -> None:
    lost = SessionLostError("Web", UpstreamReplyError("Web", -32600, "Who?"))
    arrived = error_from_wire(error_to_wire(lost))
    assert type(arrived) is UpstreamUnavailableError
    assert arrived.message == lost.message


@pytest.mark.parametrize("seen", [None, datetime(2026, 1, 31, 10, 5, tzinfo=timezone.utc)], ids=["never", "seen"])
def test_a_status_is_read_as_it_was_and_what_a_later_version_says_of_it_is_left_out(seen: datetime | None) -> None:
    status = ServerStatus("failing", seen, 1.5, 2, "It ended.", "Traceback", "starting")
    wire = json.loads(json.dumps(status_to_wire(status)))
    assert status_from_wire(wire) == status
    assert status_from_wire({**wire, "mood": "fine"}) == status


def test_what_a_server_said_of_itself_is_read_the_same_way() -> None:
    info = SessionInfo("handshake", "2025-06-18", {"name": "web"}, {"tools": {}}, None)
    assert info_from_wire(info_to_wire(info)) == info
    assert info_from_wire({**(info_to_wire(info) or {}), "mood": "fine"}) == info
    assert info_from_wire(info_to_wire(None)) is None


async def test_a_server_is_checked_and_its_state_read_where_its_sessions_are(pair: Pair) -> None:
    talker = await pair.add_talker()
    other = pair.other_than(pair.owner_of(talker)).parts
    spec = await other.servers.spec(1, talker.id)
    checked = await other.pool.check(spec)
    assert (checked.state, checked.last_error) == ("connected", None)
    assert checked.latency_ms is not None
    fetched = await other.pool.fetch_status(spec)
    assert (fetched.state, fetched.last_seen) == ("connected", checked.last_seen)
    assert other.pool.status(talker.id) == fetched
