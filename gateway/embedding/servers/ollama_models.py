"""The models of an Ollama server: which are there, fetching more of them, and trying them out.

Wire: `GET /api/tags`, `POST /api/show`, `/api/copy`, `/api/embed`, `DELETE /api/delete`, and `POST /api/pull`, which
answers 200 with a line of JSON for each step, an error being the last one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from gateway.backoff import Backoff
from gateway.bounded_http_client import BoundedHttpClient, read_bounded
from gateway.embedding.embedder import Vectors
from gateway.embedding.servers.http_client import OLLAMA_EXAMPLE
from gateway.embedding.servers.ollama import OLLAMA_HINT
from gateway.embedding.servers.pull_stream import PullProgress, pull_error, read_progress
from gateway.embedding.servers.server_address import LOOPBACK, display_url
from gateway.embedding.servers.server_reply import ServerReply
from gateway.embedding.vector_check import validate_vectors
from gateway.errors import BadVectorError, EmbedderUnavailableError, EmbeddingError, NotFoundError

_NOT_OLLAMA = "check that this is the address of an Ollama server"
_PULL_TRIES = 5
_LONGEST_REFUSAL = 64 * 1024
# A model may have to be read from a slow disk first.
_LOAD_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that the server has; `size` in bytes, `digest` 64 hex digits that change with its weights."""

    name: str
    size: int
    parameters: str
    quantization: str
    digest: str
    modified_at: str


@dataclass(frozen=True, slots=True)
class ShownModel:
    """What a model says of itself; a number is 0 where it does not say it. `parameters` are those that were set."""

    name: str
    family: str
    dimensions: int
    max_tokens: int
    capabilities: tuple[str, ...]
    parameters: str


@dataclass(frozen=True, slots=True)
class TriedVector:
    """The vector of a text, float32 of shape (d,), and how long it took."""

    vector: Vectors
    milliseconds: float


class OllamaModels:
    """Lists, pulls, shows, copies, removes and tries the models of one server."""

    def __init__(self, url: str, *, stall_seconds: float = 60.0, backoff: Backoff | None = None) -> None:
        """A pull that makes no progress for `stall_seconds` is begun again. Raises SettingsError for no URL."""
        self._url = url.rstrip("/")
        shown = display_url(self._url, setting="embedder.base_url", example=OLLAMA_EXAMPLE)
        self.label = f"Ollama at {shown}"
        self._stall_seconds = stall_seconds
        self._backoff = backoff or Backoff(first_seconds=1.0, longest_seconds=15.0)
        # A proxy of the environment cannot reach a server on this machine.
        trust_env = urlsplit(self._url).hostname not in LOOPBACK
        self._client = BoundedHttpClient(
            total_seconds=_LOAD_SECONDS,
            max_bytes=16 * 2**20,
            timeout=httpx2.Timeout(_LOAD_SECONDS, connect=5.0),
            trust_env=trust_env,
        )
        # It reads an answer that goes on for as long as a model takes to come.
        self._streaming = httpx2.AsyncClient(
            timeout=httpx2.Timeout(stall_seconds, connect=5.0),
            headers={"Accept-Encoding": "identity"},
            trust_env=trust_env,
        )

    async def __aenter__(self) -> OllamaModels:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self._streaming.aclose()

    async def installed(self) -> list[ListedModel]:
        """All models that are there, in the server's order. Raises EmbeddingError."""
        models = (await self._ask("GET", "/api/tags")).get("models")
        if not isinstance(models, list):
            raise EmbeddingError(f"{self.label} answered something else than a list of models", _NOT_OLLAMA)
        return [_listed(model) for model in models if isinstance(model, dict)]

    async def show(self, name: str) -> ShownModel:
        """What the model says of itself. Raises NotFoundError where it is not there, and EmbeddingError."""
        reply = await self._ask("POST", "/api/show", {"model": name})
        facts, details = _mapping(reply.get("model_info")), _mapping(reply.get("details"))
        capabilities = reply.get("capabilities")
        return ShownModel(
            name,
            str(details.get("family") or ""),
            _number(facts, ".embedding_length"),
            _number(facts, ".context_length"),
            tuple(map(str, capabilities)) if isinstance(capabilities, list) else (),
            str(reply.get("parameters") or ""),
        )

    async def copy(self, name: str, new_name: str) -> None:
        """Have the model under a second name. Raises NotFoundError where it is not there, and EmbeddingError."""
        await self._ask("POST", "/api/copy", {"source": name, "destination": new_name})

    async def remove(self, name: str) -> None:
        """Remove the model. Raises NotFoundError where it is not there, and EmbeddingError."""
        await self._ask("DELETE", "/api/delete", {"model": name})

    async def test(self, name: str, text: str, keep_alive: str = "") -> TriedVector:
        """Embed `text` as it is, which loads the model; `keep_alive` is how long it stays loaded then, empty for the
        server's own choice.

        Raises NotFoundError where the model is not there, and EmbeddingError where it gives no usable vector of the
        size that it says it has.
        """
        dimensions = (await self.show(name)).dimensions
        body: dict[str, Any] = {"model": name, "input": [text]}
        if keep_alive:
            # A bare number is one of seconds, and as a text it would be refused.
            body["keep_alive"] = int(keep_alive) if re.fullmatch(r"-?\d{1,9}", keep_alive) else keep_alive
        started = time.perf_counter()
        reply = await self._ask("POST", "/api/embed", body)
        milliseconds = (time.perf_counter() - started) * 1000
        rows = validate_vectors(reply.get("embeddings"), count=1, dimensions=None, embedder=self.label, model=name)
        vector: Vectors = rows[0]
        if dimensions not in (0, len(vector)):
            raise BadVectorError(
                f"{self.label}: {name} says that it has {dimensions} dimensions, and gave a vector of {len(vector)}",
                "pull it again, or choose another model",
            )
        return TriedVector(vector, milliseconds)

    async def pull(self, name: str) -> AsyncIterator[PullProgress]:
        """Fetch the model, or what is missing of it, and tell of each step.

        A pull that is cut off or makes no progress is begun again, and goes on where it was. Raises EmbeddingError
        where that does not help; what has come by then stays with the server.
        """
        come: dict[str, int] = {}
        failures = 0
        while True:
            try:
                async for progress in self._pull_once(name):
                    if progress.completed > come.get(progress.status, 0):
                        # However often a large model is cut off, it comes as long as each time brings more of it.
                        come[progress.status], failures = progress.completed, 0
                    yield progress
                return
            except httpx2.HTTPError as error:
                failures += 1
                if failures == _PULL_TRIES:
                    raise EmbedderUnavailableError(
                        f"{self.label} broke off the pull of {name} {failures} times in a row ({type(error).__name__})",
                        "pull it again, and it goes on where it was",
                    ) from None
                yield PullProgress("cut off, going on")
                await anyio.sleep(self._backoff.delay(failures))

    async def _pull_once(self, name: str) -> AsyncIterator[PullProgress]:
        request = self._streaming.build_request("POST", self._url + "/api/pull", **_as_json({"model": name}))
        try:
            response = await self._streaming.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise EmbedderUnavailableError(f"{self.label} does not answer", OLLAMA_HINT) from None
        try:
            if response.status_code != 200:
                body = await read_bounded(response, _LONGEST_REFUSAL)
                if words := ServerReply.parse(response.status_code, body or b"").error_text():
                    raise pull_error(self.label, name, words)
                raise EmbeddingError(f"{self.label} answered HTTP {response.status_code} to a pull", _NOT_OLLAMA)
            async for progress in read_progress(response, self.label, name, self._stall_seconds):
                yield progress
        finally:
            await response.aclose()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> ServerReply:
        try:
            response = await self._client.request(method, self._url + path, **_as_json(body))
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise EmbedderUnavailableError(f"{self.label} does not answer", OLLAMA_HINT) from None
        except httpx2.HTTPError as error:
            raise EmbedderUnavailableError(f"{self.label} gave no whole answer ({error})", "try again") from None
        reply = ServerReply.parse(response.status_code, response.content)
        if reply.ok:
            return reply
        words = reply.error_text()
        if reply.status == 404 and "model" in words.lower():
            name = (body or {}).get("model") or (body or {}).get("source")
            raise NotFoundError(f"{self.label} does not have the model {name}; modelgate models pull {name} brings it.")
        quoted = f" ({words})" if words else ""
        step = "see what it says" if words else _NOT_OLLAMA
        raise EmbeddingError(f"{self.label} refused that with HTTP {reply.status}{quoted}", step)


def _as_json(body: dict[str, Any] | None) -> dict[str, Any]:
    """`body` as it is to be sent; a lone surrogate, which a command line may hold, goes as an escape."""
    if body is None:
        return {}
    return {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}


def _listed(model: Mapping[str, Any]) -> ListedModel:
    details = _mapping(model.get("details"))
    size = model.get("size")
    return ListedModel(
        str(model.get("name") or model.get("model") or ""),
        size if isinstance(size, int) else 0,
        str(details.get("parameter_size") or ""),
        str(details.get("quantization_level") or ""),
        str(model.get("digest") or ""),
        str(model.get("modified_at") or ""),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(facts: Mapping[str, Any], ending: str) -> int:
    return next((value for key, value in facts.items() if key.endswith(ending) and isinstance(value, int)), 0)
