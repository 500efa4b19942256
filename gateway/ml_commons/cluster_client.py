"""Requests to the REST API of an OpenSearch cluster.

They go without the client that searches use: registering a model is a few requests, and needs no more than is there.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import (
    MlCommonsError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchError,
    OpenSearchUnavailableError,
    SettingsError,
)
from gateway.masking import MASK, SecretMask, url_without_secrets
from gateway.settings import OpenSearchSettings

_SECONDS = 120.0
_MAX_REASON_CHARACTERS = 300
_MAX_BYTES = 16 * 2**20
_REMOTE = "Error from remote service"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ClusterClient:
    """Asks one cluster, by the first of its nodes that answers, and reads its answers as JSON."""

    def __init__(self, settings: OpenSearchSettings) -> None:
        """Raises SettingsError for what is no URL, and where the certificates cannot be read."""
        self._urls = [url.rstrip("/") for url in settings.urls]
        for url in self._urls:
            if url_without_secrets(url) == MASK or urlsplit(url).scheme not in ("http", "https"):
                raise SettingsError("The cluster has to be a URL such as https://search.example.com:9200.")
        self.label = f"OpenSearch at {', '.join(map(url_without_secrets, self._urls))}"
        self._mask = SecretMask([settings.password, settings.api_key])
        self._client = BoundedHttpClient(
            total_seconds=_SECONDS,
            max_bytes=_MAX_BYTES,
            timeout=httpx2.Timeout(_SECONDS, connect=5.0),
            headers={"Authorization": settings.authorization} if settings.authorization else {},
            verify=_trusted(settings),
            # A proxy of the environment cannot reach a server on this machine.
            trust_env=not all(urlsplit(url).hostname in _LOOPBACK for url in self._urls),
        )

    async def __aenter__(self) -> ClusterClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that the cluster answers.

        Raises MlCommonsError for a status that is none of success, with what the cluster says, and another
        OpenSearchError where it gives no answer or does not know who asks.
        """
        response = await self._send(method, path, body)
        try:
            answer = json.loads(response.content)
        except (ValueError, RecursionError):
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        raise self._refusal(response.status_code, answer)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx2.Response:
        sent: dict[str, Any] = {}
        if body is not None:
            sent = {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}
        failure: httpx2.ConnectError | httpx2.ConnectTimeout | None = None
        for url in self._urls:
            try:
                return await self._client.request(method, url + path, **sent)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
            except httpx2.HTTPError as error:
                raise OpenSearchUnavailableError(
                    f"{self.label} gave no whole answer ({self._words(error)})", "try again, or look into its log"
                ) from None
        assert failure is not None
        if "CERTIFICATE" in str(failure).upper():
            raise OpenSearchCertificateError(
                f"The certificate of {self.label} cannot be trusted ({self._words(failure)})",
                "name the certificates that sign it in opensearch.ca_file, or renew it",
            )
        raise OpenSearchUnavailableError(
            f"{self.label} cannot be reached ({self._words(failure)})", "see whether it runs, and opensearch.urls"
        )

    def _refusal(self, status: int, answer: Any) -> OpenSearchError:
        reason = self._shorten(_reason(answer))
        if reason.startswith(_REMOTE):
            step = "look at the address, the key and the name of the model there"
            return MlCommonsError(f"{self.label} had a refusal of the model's server ({reason})", step, status, reason)
        if status in (401, 403):
            return OpenSearchCredentialsError(
                f"{self.label} does not let the gateway do that ({reason or f'HTTP {status}'})",
                "look at opensearch.username and password; the user needs the role ml_full_access, and for --apply the "
                "right to change settings of the cluster",
            )
        if reason.startswith("no handler found for uri"):
            step = "install the plugin opensearch-ml in it, or name another cluster"
            return MlCommonsError(f"{self.label} has no ML Commons", step, status, reason)
        if not reason:
            step = "check that this is the address of an OpenSearch"
            return MlCommonsError(f"{self.label} answered HTTP {status} and no JSON of its own", step, status)
        detail = f"{self.label} refused that with HTTP {status} ({reason.rstrip('.')})"
        return MlCommonsError(detail, "see what it says", status, reason)

    def _words(self, error: Exception) -> str:
        return self._shorten(str(error)) or type(error).__name__

    def _shorten(self, text: str) -> str:
        line = " ".join("".join(c if c.isprintable() else " " for c in self._mask.mask_text(text)).split())
        return line if len(line) <= _MAX_REASON_CHARACTERS else line[: _MAX_REASON_CHARACTERS - 1] + "…"


def _trusted(settings: OpenSearchSettings) -> ssl.SSLContext | bool:
    if not settings.verify:
        return False
    if not settings.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=Path(settings.ca_file).expanduser())
    except OSError:
        raise SettingsError(f"opensearch.ca_file is {settings.ca_file!r}, which is no file of certificates.") from None


def _reason(answer: Any) -> str:
    """What an error says, in any of the shapes of OpenSearch and ML Commons; empty where it says nothing."""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    if isinstance(error, dict):
        # ML Commons has a class of errors as the reason, and the details beside it.
        texts = [error.get("details"), error.get("reason"), error.get("type")]
        return next((text for text in texts if isinstance(text, str) and text), "")
    return error if isinstance(error, str) else ""
