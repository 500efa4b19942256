"""Requests to the search cluster: which node, who asks, and what an answer that is none means."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import anyio
import orjson

from gateway import OPENSEARCH_EXTRA, __version__
from gateway.errors import OpenSearchIncompleteError, OpenSearchUnavailableError, OpenSearchVersionError, SettingsError
from gateway.masking import MASK
from gateway.search.index.opensearch.failures import TOO_SLOW, failure_of, failure_of_item
from gateway.settings import OpenSearchSettings

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch

LINES = "application/x-ndjson"

OLDEST_VERSION = (2, 17)
"""What is tested is 2.19; vectors of an index of Lucene's are read from disk as they are from this one on."""

_CONNECTIONS_PER_NODE = 16
PATIENCE_SECONDS = 30.0
"""So long an answer may take that nobody waits for."""

_SPARE_SECONDS = 0.5

_ITSELF = "/"
"""What a node says of itself alone."""


class OpenSearchClient:
    """Asks the nodes of one cluster in turn; one that does not answer is left alone for a while.

    Every method raises an OpenSearchError that says what is wrong with the cluster.
    """

    def __init__(self, settings: OpenSearchSettings) -> None:
        """Raises SettingsError for what cannot be an address or a file, and where the client is not installed."""
        self._settings = settings
        self._client = _open_client(settings)
        self._verified = False

    @property
    def settings(self) -> OpenSearchSettings:
        return self._settings

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        seconds: float = PATIENCE_SECONDS,
        content_type: str = "application/json",
    ) -> Any:
        """The answer to one request, read; `body` as JSON, or as it is where it is bytes."""
        from opensearchpy.exceptions import OpenSearchException

        data = orjson.dumps(body) if body is not None and not isinstance(body, bytes) else body
        try:
            # Each node that is asked in turn has its time; all of them together do not have more.
            with anyio.fail_after(2 * seconds):
                return await self._client.transport.perform_request(
                    method, path, params=params, body=data, timeout=seconds, headers={"content-type": content_type}
                )
        except OpenSearchException as error:
            raise failure_of(error, f"{method} {path}", self._settings) from error
        except AttributeError as error:
            # The client takes a failure for an object, and what answers may be no OpenSearch.
            raise _not_its_answer(f"{method} {path}") from error
        except TimeoutError:
            raise OpenSearchUnavailableError(
                f"OpenSearch did not answer {method} {path} within {2 * seconds:g} s",
                "look at the load of its nodes, or raise opensearch.timeout_ms",
            ) from None

    async def search_each(
        self,
        index: str,
        bodies: Sequence[Mapping[str, Any]],
        *,
        routing: str | None = None,
        seconds: float | None = None,
    ) -> list[Mapping[str, Any]]:
        """The answers to several searches of one index, in their order, each of them whole.

        Raises OpenSearchIncompleteError where a shard failed or did not answer within `seconds`, those of
        `opensearch.timeout_ms` unless others are given, which is never shown as all there is.
        """
        header = {"index": index} if routing is None else {"index": index, "routing": routing}
        milliseconds = self._settings.timeout_ms if seconds is None else round(seconds * 1_000)
        lines = [
            orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)
            for body in bodies
            for part in (header, {**body, "timeout": f"{milliseconds}ms"})
        ]
        answer = await self.request(
            "POST",
            "/_msearch",
            b"\n".join([*lines, b""]),
            params={"max_concurrent_searches": 16},
            # A search that takes too long is no node that does not answer: the cluster says so itself.
            seconds=milliseconds / 1_000 + _SPARE_SECONDS,
            content_type=LINES,
        )
        responses = _responses(answer)
        for response in responses:
            if "error" in response:
                raise failure_of_item(response["status"], response["error"], f"a search of {index}")
            shards = response["_shards"]
            if response["timed_out"] or shards["failed"] or shards["successful"] < shards["total"]:
                raise OpenSearchIncompleteError(
                    f"{shards['total'] - shards['successful'] or 'Some'} of {shards['total']} "
                    f"shards of {index} did not answer in time",
                    "look at GET /_cat/shards in the cluster, or raise opensearch.timeout_ms",
                )
        if len(responses) != len(bodies):
            raise _not_its_answer("POST /_msearch")
        return responses

    async def verify(self) -> str:
        """The version of the cluster, once it is found to be one that can be used. Raises OpenSearchVersionError."""
        answer = await self.request("GET", _ITSELF, seconds=self._settings.timeout_ms / 1_000)
        version = answer.get("version", {}) if isinstance(answer, dict) else {}
        number = str(version.get("number", ""))
        parts = tuple(int(part) for part in number.split(".")[:2] if part.isdigit())
        if version.get("distribution") != "opensearch" or parts < OLDEST_VERSION:
            raise OpenSearchVersionError(
                f"{self._settings.urls[0]} is {version.get('distribution', 'another server')} {number}".strip(),
                f"the gateway needs OpenSearch {'.'.join(map(str, OLDEST_VERSION))} or newer",
            )
        self._verified = True
        return number

    @property
    def is_verified(self) -> bool:
        """Whether the cluster was found to be one that can be used."""
        return self._verified

    async def aclose(self) -> None:
        """Close the connections."""
        # The client closes none to a node that it leaves alone.
        for connection in getattr(self._client.transport.connection_pool, "orig_connections", ()):
            await connection.close()
        await self._client.close()


def _responses(answer: Any) -> list[Mapping[str, Any]]:
    """The answers to several searches. Raises OpenSearchUnavailableError where they are not there."""
    responses = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(responses, list) or not all(map(_is_response, responses)):
        raise _not_its_answer("POST /_msearch")
    return responses


def _is_response(response: Any) -> bool:
    if not isinstance(response, dict):
        return False
    return {"error", "status"} <= response.keys() or {"_shards", "timed_out", "hits"} <= response.keys()


def _not_its_answer(what: str) -> OpenSearchUnavailableError:
    return OpenSearchUnavailableError(
        f"{what} was answered with what is no answer of OpenSearch's", "see whether opensearch.urls leads to it"
    )


def url_path(*segments: str) -> str:
    """The path of these segments, each of them escaped."""
    return "".join(f"/{quote(segment, safe='*,')}" for segment in segments)


def _open_client(settings: OpenSearchSettings) -> AsyncOpenSearch:
    try:
        from opensearchpy import AIOHttpConnection, AsyncOpenSearch
        from opensearchpy.exceptions import ConnectionError as NotConnectedError
        from opensearchpy.exceptions import ConnectionTimeout, SerializationError, TransportError
        from opensearchpy.serializer import JSONSerializer
    except ImportError:
        raise SettingsError(
            f'The client of OpenSearch is not installed; run pip install "{OPENSEARCH_EXTRA}", or set search.index to '
            '"memory".'
        ) from None
    # It would log each request that fails, with a traceback.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)
    for url in settings.urls:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise SettingsError("opensearch.urls holds a password; it belongs into opensearch.password.")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # A password may stand in it that is none to a program.
            shown = MASK if "@" in url else repr(url)
            raise SettingsError(f"opensearch.urls has {shown}; each has to be as https://search.example.com:9200.")
    if settings.api_key and settings.username:
        raise SettingsError("opensearch.api_key and opensearch.username are two ways to sign in; leave one empty.")

    class Serializer(JSONSerializer):
        """An answer with a thousand tools is read in a fifth of the time."""

        def loads(self, s: str) -> Any:
            try:
                return orjson.loads(s)
            except ValueError as error:
                raise SerializationError(s[:200], error) from error

    class Connection(AIOHttpConnection):
        """Tells a node that hangs, which is left alone, from one that waits for another node."""

        async def perform_request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            try:
                return await super().perform_request(method, url, *args, **options)
            except ConnectionTimeout as error:
                if url != _ITSELF and await self._answers():
                    raise TransportError(TOO_SLOW, "timeout", f"{url} took too long") from error
                raise

        async def _answers(self) -> bool:
            try:
                await super().perform_request("GET", _ITSELF, timeout=_SPARE_SECONDS)
            except NotConnectedError:
                return False
            except TransportError:
                # Whatever it says, it says something.
                return True
            return True

    headers = {"user-agent": f"modelgate/{__version__}"}
    if settings.authorization:
        headers["authorization"] = settings.authorization
    return AsyncOpenSearch(
        hosts=list(settings.urls),
        headers=headers,
        connection_class=Connection,
        serializer=Serializer(),
        ssl_context=_tls(settings) if any(url.startswith("https:") for url in settings.urls) else None,
        max_retries=max(1, len(settings.urls) - 1),
        # The client leaves alone what it retries, and no other: a node that hangs would be asked for ever.
        retry_on_timeout=len(settings.urls) > 1,
        # A node that shuts down; what a red cluster answers, it answers anywhere.
        retry_on_status=(502, 504),
        pool_maxsize=_CONNECTIONS_PER_NODE,
    )


def _tls(settings: OpenSearchSettings) -> ssl.SSLContext:
    if settings.ca_file and not Path(settings.ca_file).expanduser().is_file():
        raise SettingsError(f"opensearch.ca_file is {settings.ca_file!r}, and there is no such file.")
    try:
        context = ssl.create_default_context(
            cafile=str(Path(settings.ca_file).expanduser()) if settings.ca_file else None
        )
    except (ssl.SSLError, OSError):
        raise SettingsError(f"opensearch.ca_file is {settings.ca_file!r}, which is no file of certificates.") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
