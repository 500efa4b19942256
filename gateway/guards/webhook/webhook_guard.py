"""The guard that asks a webhook."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable

from gateway.circuit_breaker import CircuitBreaker
from gateway.errors import GuardError
from gateway.guards.content import Content
from gateway.guards.guard_protocol import build_question, parse_guard_answer
from gateway.guards.inspection import Inspection
from gateway.guards.signature import signed_headers
from gateway.guards.webhook.webhook_client import WebhookClient
from gateway.json_codec import decode, encode

_MAX_FAILURES = 5
_PAUSE_SECONDS = 30.0


class WebhookGuard:
    """Posts what is looked at, signed, and takes the answer for what it says.

    A webhook that fails five times in a row is left alone for half a minute.
    """

    def __init__(
        self,
        client: WebhookClient,
        name: str,
        url: str,
        budget_seconds: float,
        read_secret: Callable[[], Awaitable[str | None]],
    ) -> None:
        """`name` is that of the rule. Raises InvalidInputError for an address that nothing may be sent to."""
        client.check_url(url)
        self._client = client
        self._name = name
        self._url = url
        self._budget_seconds = budget_seconds
        self._read_secret = read_secret
        self._secret: str | None = None
        self._breaker = CircuitBreaker(_MAX_FAILURES, _PAUSE_SECONDS)

    async def inspect(self, content: Content) -> Inspection:
        """Raises GuardError, DatabaseError, and SettingsError for a secret that cannot be opened."""
        is_probe = not self._breaker.is_closed
        if is_probe and not self._breaker.begin_probe():
            seconds = max(1, math.ceil(self._breaker.seconds_left))
            raise GuardError(f"its webhook has failed {self._breaker.failures} times and is asked again in {seconds} s")
        started = time.monotonic()
        try:
            inspection = await self._ask(content)
        except asyncio.CancelledError:
            # The caller may have left; a webhook is to blame only for what took all of its time.
            if time.monotonic() - started >= self._budget_seconds * 0.95:
                self._breaker.record_failure()
            raise
        except GuardError:
            self._breaker.record_failure()
            raise
        finally:
            if is_probe:
                self._breaker.end_probe()
        self._breaker.record_success()
        return inspection

    async def _ask(self, content: Content) -> Inspection:
        message_id = f"msg_{uuid.uuid4().hex}"
        body = encode(build_question(self._name, content, message_id))
        if self._secret is None:
            self._secret = await self._read_secret()
        if self._secret is None:
            raise GuardError("its webhook has no secret to sign with; set the guard again with one")
        headers = signed_headers(self._secret, message_id, int(time.time()), body)
        answer = await self._client.post(self._url, body, headers)
        try:
            said = decode(answer)
        except ValueError:
            raise GuardError("its webhook answered with something that is not JSON") from None
        return parse_guard_answer(content, said)
