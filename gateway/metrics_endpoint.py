"""`GET /metrics`: the metrics, for whoever has the token or asks from this machine."""

from __future__ import annotations

import asyncio
import secrets

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from gateway.cluster.http_forwarder import HttpForwarder
from gateway.cluster.http_wire import FORWARDED_KEY
from gateway.edge.forwarded_headers import IS_FORWARDED
from gateway.settings import MetricsSettings
from gateway.telemetry.metrics import CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE, Metrics

METRICS_PATH = "/metrics"
_OPENMETRICS = "application/openmetrics-text"

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
# Any of them says that somebody else asks through a proxy on this machine, as do those that are taken away before.
_FORWARDING = ("forwarded", "x-real-ip", "via")
_MEMBER_SECONDS = 2.0


class MetricsEndpoint:
    """Answers scrapes: with the metrics of this process, or for `?members=all` with those of all on its database.

    Processes that share a port cannot be asked one by one.
    """

    def __init__(self, metrics: Metrics, settings: MetricsSettings, forwarder: HttpForwarder | None) -> None:
        self._metrics = metrics
        self._token = settings.token.encode()
        self._forwarder = forwarder

    async def answer(self, request: Request) -> Response:
        """All metrics, or 401 with what to send."""
        if not self._is_allowed(request):
            text = (
                "Set metrics.token, and send it as `Authorization: Bearer …`; without it only this machine may ask.\n"
            )
            return PlainTextResponse(text, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        forwarder = self._forwarder
        if (
            forwarder is not None
            and request.query_params.get("members") == "all"
            and FORWARDED_KEY not in request.scope
        ):
            return Response(await self._of_all_members(request, forwarder), media_type=CONTENT_TYPE)
        if _OPENMETRICS in request.headers.get("accept", "") and FORWARDED_KEY not in request.scope:
            return Response(self._metrics.openmetrics(), media_type=OPENMETRICS_CONTENT_TYPE)
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)

    async def _of_all_members(self, request: Request, forwarder: HttpForwarder) -> str:
        others = forwarder.other_ids
        answers = await asyncio.gather(*(_ask(forwarder, member, request) for member in others))
        expositions = {forwarder.own_id: self._metrics.exposition().decode()}
        # One that does not answer is missing, as a target is that is down.
        expositions |= {member: text for member, text in zip(others, answers, strict=True) if text}
        return merge_expositions(expositions)

    def _is_allowed(self, request: Request) -> bool:
        if self._token:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            return kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self._token)
        is_local = request.client is not None and request.client.host in _LOOPBACK
        is_forwarded = IS_FORWARDED in request.scope or any(name in request.headers for name in _FORWARDING)
        return is_local and not is_forwarded


def merge_expositions(expositions: dict[str, str]) -> str:
    """Metrics of several processes as those of one, each sample with the label `member`: its id among `expositions`.

    Each is in the text format of Prometheus; the samples of a metric have to stand together.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for member, text in expositions.items():
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                head = heads.setdefault(family, [])
                if line not in head:
                    head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, member))
    return "".join("\n".join([*lines, *samples.get(family, [])]) + "\n" for family, lines in heads.items())


def _labelled(sample: str, member: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{member="{member}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{member="{member}"}} {value}'


async def _ask(forwarder: HttpForwarder, member: str, request: Request) -> str:
    """The metrics of a member; empty where it does not answer in time."""
    status, chunks = 0, []

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        chunks.append(message.get("body", b""))

    try:
        is_asked = await asyncio.wait_for(
            forwarder.forward(member, request.scope, request.receive, send), _MEMBER_SECONDS
        )
    except asyncio.TimeoutError:
        return ""
    return b"".join(chunks).decode() if is_asked and status == 200 else ""
