"""One embedding server over HTTP: how often it is asked, how long it may take, and when it is left alone."""

from __future__ import annotations

import math
import re
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import httpx2

from gateway.backoff import Backoff
from gateway.bounded_http_client import BoundedHttpClient
from gateway.circuit_breaker import CircuitBreaker
from gateway.embedding.servers.retry_policy import RetryPolicy, TransientFailure
from gateway.embedding.servers.server_address import LOOPBACK, display_url, parse_api_key
from gateway.embedding.servers.server_reply import ServerReply, parse_retry_after
from gateway.errors import (
    EmbedderFailedError,
    EmbedderUnavailableError,
    EmbeddingError,
    TextRefusedError,
)
from gateway.telemetry.trace_context import current_trace
from gateway.telemetry.tracing import span

_CONNECT_SECONDS = 5.0
_LONGEST_SECONDS = 3_600.0
_MAX_FAILURES = 5
_PAUSE_SECONDS = 15.0
_NOT_THERE_ANY_MORE = "see in its log whether it still runs, and whether embedder.base_url is its address"
OLLAMA_EXAMPLE = "http://localhost:11434"
"""An address of an embedding server, to be shown to who has given another thing."""
_VERSION = re.compile(r"/v\d[^/]*$")

# What a part of a server says when another part of it died over a request: the next one starts it anew.
_RUNNER_DIED = re.compile(r": EOF$|connection reset|forcibly closed", re.IGNORECASE)

Purpose = Literal["documents", "isolation", "query", "check"]
"""What a request is for: `isolation` finds out which of several texts it is for which another one failed."""


class EmbeddingHttpClient:
    """Sends requests to one server with bounded concurrency, retries and a circuit breaker.

    Retried: transport errors, 408, 425, 429, 5xx but 501, and a 400 that tells of a part of the server that died. Every
    other status is returned as a ServerReply for the caller to read. The API key is sent as a bearer token and appears
    in no message.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        hint: str,
        api_key: str = "",
        timeout_seconds: float = 30.0,
        concurrency: int = 8,
        busy_hint: str = "see what else it does, or try again later",
        backoff: Backoff | None = None,
        breaker: CircuitBreaker | None = None,
        max_reply_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """`name` is what the server is called in messages, `hint` what to do when it is not there, and `busy_hint` when
        it is there and does not come to answer. At most `concurrency` requests for documents are under way.

        Raises SettingsError for a `base_url` that is not http:// or https:// with a host, and for an `api_key` that
        does not fit into a header.
        """
        self._url = base_url.rstrip("/")
        self.url = display_url(self._url, setting="embedder.base_url", example=OLLAMA_EXAMPLE)
        self.label = f"{name} at {self.url}"
        self.timeout_seconds = timeout_seconds
        self._hint = hint
        self._last_advice = hint
        self._busy_hint = busy_hint
        self._api_key = parse_api_key(api_key, setting="embedder.api_key")
        self._backoff = backoff or Backoff(first_seconds=0.25, longest_seconds=5.0)
        self._breaker = breaker or CircuitBreaker(_MAX_FAILURES, _PAUSE_SECONDS)
        # A search has a lexical answer to fall back to; a sync has not, and can wait.
        self._retry_policies: dict[Purpose, RetryPolicy] = {
            "documents": RetryPolicy(
                max_attempts=4, timeout_seconds=timeout_seconds, max_wait_seconds=30.0, max_concurrency=concurrency
            ),
            "isolation": RetryPolicy(
                max_attempts=1,
                timeout_seconds=timeout_seconds,
                max_wait_seconds=0.0,
                max_concurrency=concurrency,
                tells_outages=False,
            ),
            "query": RetryPolicy(
                max_attempts=2, timeout_seconds=min(timeout_seconds, 10.0), max_wait_seconds=1.0, max_concurrency=32
            ),
            "check": RetryPolicy(
                max_attempts=1,
                timeout_seconds=min(timeout_seconds, 5.0),
                max_wait_seconds=0.0,
                max_concurrency=4,
                tells_outages=False,
            ),
        }
        self._slots = {
            purpose: anyio.Semaphore(policy.max_concurrency) for purpose, policy in self._retry_policies.items()
        }
        parts = urlsplit(self._url)
        self._client = BoundedHttpClient(
            # Each request has its own limit, which grows with what it asks for.
            total_seconds=_LONGEST_SECONDS,
            max_bytes=max_reply_bytes,
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else {},
            # Loading the certificates takes 50 ms, and plain HTTP has no use for them.
            verify=parts.scheme == "https",
            # A proxy of the environment cannot reach a server on this machine.
            trust_env=parts.hostname not in LOOPBACK,
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, keepalive_expiry=30.0),
        )

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed so often that it is not asked for a while."""
        return self._breaker.is_open

    async def get(self, path: str, purpose: Purpose) -> ServerReply:
        """The reply to a GET; raises as `post` does."""
        return await self._call("GET", self._url + path, None, purpose)

    async def post(
        self,
        path: str,
        body: dict[str, Any],
        purpose: Purpose,
        timeout_seconds: float | None = None,
        *,
        at_root: bool = False,
    ) -> ServerReply:
        """The reply to `body` sent as JSON to `path`, below the base URL or, `at_root`, below that without its version.

        `timeout_seconds` stands in place of the purpose's.

        Raises EmbedderUnavailableError when the server does not answer after all tries, or is left alone just now, of
        these EmbedderFailedError where that may be for what is in `body`, and EmbeddingError when its answer is over
        `max_reply_bytes` or a success that is not JSON.
        """
        base = _VERSION.sub("", self._url) if at_root else self._url
        return await self._call("POST", base + path, body, purpose, timeout_seconds)

    def refusal_error(self, reply: ServerReply, next_step: str) -> EmbeddingError:
        """The error for a reply that is neither a success nor worth another try."""
        # Who is refused for a key is often told parts of it.
        quoted = "" if reply.status in (401, 403) else self._quoted_error(reply)
        return EmbeddingError(f"{self.label} refused the request with HTTP {reply.status}{quoted}", next_step)

    def text_refusal(self, reply: ServerReply) -> TextRefusedError:
        """The error for a reply that refuses a request for the texts in it."""
        words = reply.error_text(self._api_key)
        return TextRefusedError(
            f"{self.label} refused the request with HTTP {reply.status}{self._quoted_error(reply)}",
            "shorten the text, or choose a model that reads more",
            words or f"HTTP {reply.status}",
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _call(
        self,
        method: str,
        url: str,
        body: dict[str, Any] | None,
        purpose: Purpose,
        timeout_seconds: float | None = None,
    ) -> ServerReply:
        policy = self._retry_policies[purpose]
        timeout = policy.timeout_seconds if timeout_seconds is None else timeout_seconds
        attempt = 0
        while True:
            attempt += 1
            async with self._slots[purpose]:
                # Who asks whether the server is back, or what it was that it failed at, does not wait for the breaker.
                if policy.tells_outages and (left := self._breaker.seconds_left):
                    raise EmbedderUnavailableError(
                        f"{self.label} failed {self._breaker.failures} times in a row and is left alone "
                        f"for {math.ceil(left)} s more",
                        self._last_advice,
                    )
                outcome = await self._attempt(method, url, body, timeout)
                if isinstance(outcome, ServerReply):
                    if purpose != "check":
                        self._breaker.record_success()
                    return outcome
                if outcome.is_outage and policy.tells_outages:
                    self._breaker.record_failure()
                    self._last_advice = outcome.next_step
            wait = max(self._backoff.delay(attempt), outcome.retry_after_seconds)
            if not outcome.retriable or attempt >= policy.max_attempts or wait > policy.max_wait_seconds:
                detail = f"{self.label} {outcome.detail}"
                if outcome.may_be_the_texts:
                    raise EmbedderFailedError(detail, outcome.next_step, timed_out=outcome.timed_out)
                raise EmbedderUnavailableError(detail, outcome.next_step)
            await anyio.sleep(wait)

    async def _attempt(
        self, method: str, url: str, body: dict[str, Any] | None, timeout: float
    ) -> ServerReply | TransientFailure:
        try:
            # Over the whole exchange: a server that sends a byte now and then would never trip a read timeout.
            with anyio.fail_after(timeout):
                status, headers, content = await self._send(method, url, body)
        except TimeoutError:
            return TransientFailure(
                f"is there and did not answer within {timeout:g} s",
                self._busy_hint,
                # The same work would take as long again, and keep the caller waiting twice.
                retriable=False,
                may_be_the_texts=True,
                timed_out=True,
            )
        except httpx2.DecodingError as error:
            raise EmbeddingError(
                f"{self.label} sent what cannot be read: {error}",
                "check that embedder.base_url is an embedding server, or lower embedder.batch_size",
            ) from None
        except httpx2.TransportError as error:
            if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
                return TransientFailure("does not answer", self._hint)
            return TransientFailure("broke off the connection", _NOT_THERE_ANY_MORE)
        except httpx2.HTTPError:
            return TransientFailure("sent an answer that is not HTTP", _NOT_THERE_ANY_MORE)
        reply = ServerReply.parse(status, content)
        if status in (408, 425, 429) or (status >= 500 and status != 501):
            return self._failure(reply, headers)
        if status == 400 and _RUNNER_DIED.search(reply.error_text()):
            return TransientFailure(
                f"lost what runs the model{self._quoted_error(reply)}",
                "look into that server's log for memory that ran out",
                may_be_the_texts=True,
            )
        if reply.ok and reply.json is None:
            raise EmbeddingError(
                f"{self.label} answered something that is not JSON",
                "check that embedder.base_url is the address of an embedding server",
            )
        return reply

    def _failure(self, reply: ServerReply, headers: httpx2.Headers) -> TransientFailure:
        wait = parse_retry_after(headers.get("retry-after"))
        if reply.status == 429:
            asked = "" if wait is None else f" and asks to wait {math.ceil(wait)} s"
            return TransientFailure(
                f"limits how often it is asked{asked}{self._quoted_error(reply)}",
                "try again later, or raise the limit there",
                retry_after_seconds=wait or 0.0,
                # A server that limits its callers is alive.
                is_outage=False,
            )
        is_busy = reply.status in (408, 425, 502, 503, 504)
        return TransientFailure(
            f"failed with HTTP {reply.status}{self._quoted_error(reply)}",
            self._busy_hint if is_busy else "look into that server's log, or try again later",
            retry_after_seconds=wait or 0.0,
            may_be_the_texts=not is_busy,
        )

    def _quoted_error(self, reply: ServerReply) -> str:
        text = reply.error_text(self._api_key)
        return f" ({text})" if text else ""

    async def _send(self, method: str, url: str, body: dict[str, Any] | None) -> tuple[int, httpx2.Headers, bytes]:
        with span(f"{method} embedder", "client", {"server.address": self.url}):
            trace = current_trace()
            headers = {} if trace is None else trace.members()
            response = await self._client.request(method, url, json=body, headers=headers)
        return response.status_code, response.headers, response.content
