"""`POST /v1/embeddings` and `GET /v1/models`: what OpenAI's clients ask, for keys that have the right `embed`."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.caller import Caller
from gateway.access.limits import Limiter
from gateway.downstream.admission import AdmissionControl
from gateway.downstream.embeddings.embeddings_request import EmbeddingsRequest, parse_embeddings_request
from gateway.downstream.embeddings.offered_models import OfferedModel, OfferedModels
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.embedding.embedder import Vectors
from gateway.embedding.text_length import estimate_tokens
from gateway.errors import (
    CredentialError,
    DatabaseUnavailableError,
    EmbeddingError,
    ForbiddenError,
    InvalidInputError,
    LimitError,
    ModelGateError,
    NotFoundError,
    OverloadedError,
    RoleMissingError,
    SignInUnavailableError,
    TextRefusedError,
)
from gateway.json_codec import assemble, encode_vector
from gateway.settings import ServerSettings
from gateway.telemetry.metrics import Metrics

EMBEDDINGS_PATH = "/v1/embeddings"
MODELS_PATH = "/v1/models"

_INVALID = "invalid_request_error"


class EmbeddingsApi:
    """Lets other programs use the embedder that searches use. A request for vectors counts as a call of its key."""

    def __init__(
        self,
        authentication: Authentication,
        limiter: Limiter,
        admission: AdmissionControl,
        models: OfferedModels,
        settings: ServerSettings,
        metrics: Metrics,
    ) -> None:
        self._authentication = authentication
        self._limiter = limiter
        self._models = models
        self._admission = admission
        self._origin_guard = OriginGuard(settings)
        self._max_body_bytes = settings.max_body_bytes
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Vectors, the models, and each model by its name."""
        return [
            Route(EMBEDDINGS_PATH, self._create_embeddings, methods=["POST"]),
            Route(MODELS_PATH, self._list_models, methods=["GET"]),
            Route(f"{MODELS_PATH}/{{name:path}}", self._get_model, methods=["GET"]),
        ]

    async def _create_embeddings(self, request: Request) -> Response:
        started, inputs = time.perf_counter(), 0

        async def answer(caller: Caller) -> Response:
            nonlocal inputs
            body = await _read_body(request, self._max_body_bytes)
            if body is None:
                return _error(413, f"The body may have {self._max_body_bytes:,} bytes; ask in parts.", _INVALID)
            asked = parse_embeddings_request(body)
            async with self._limiter.call_slot(caller):
                vectors = await self._embed(asked)
            inputs = len(vectors)
            return _json(_embeddings(asked, vectors))

        response = await self._answer(request, answer)
        self._metrics.observe_embeddings_request(response.status_code, inputs, time.perf_counter() - started)
        return response

    async def _embed(self, asked: EmbeddingsRequest) -> Vectors:
        stored = await self._models.find(asked.model)
        dimensions = stored.space.dimensions
        if asked.dimensions not in (None, dimensions):
            raise InvalidInputError(
                f"{asked.model} gives {dimensions} dimensions here; leave dimensions out, or have the gateway's "
                "administrator set embedder.dimensions.",
                "dimensions",
            )
        return await self._models.embed(stored, asked.texts, asked.input_type)

    async def _list_models(self, request: Request) -> Response:
        async def answer(_: Caller) -> Response:
            return _json({"object": "list", "data": [_model(each) for each in await self._models.list()]})

        return await self._answer(request, answer)

    async def _get_model(self, request: Request) -> Response:
        async def answer(_: Caller) -> Response:
            name = request.path_params["name"]
            await self._models.find(name)
            return _json(next(_model(each) for each in await self._models.list() if each.name == name))

        return await self._answer(request, answer)

    async def _answer(self, request: Request, answer: Callable[[Caller], Awaitable[Response]]) -> Response:
        """What `answer` gives a caller that is let in, else what was wrong as OpenAI's clients read it."""
        refused = self._origin_guard.check(request.headers)
        if refused is not None:
            return refused
        try:
            caller = await self._authentication.authenticate(request.scope)
            self._authentication.require_right(caller, "embed", request.url.path)
            await self._authentication.count_request(caller)
            with await self._admission.admit(caller.tenant_id):
                return await answer(caller)
        except ClientDisconnect:
            return _error(400, "The request ended before its body did.", _INVALID)
        except ModelGateError as error:
            return _refusal(error)


async def _read_body(request: Request, most_bytes: int) -> bytes | None:
    """The whole body, None where it is larger."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _embeddings(asked: EmbeddingsRequest, vectors: Vectors) -> dict[str, Any]:
    if asked.encoding_format == "base64":
        # Little-endian float32, whatever this machine has.
        shown: list[Any] = [base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") for row in vectors]
    else:
        shown = [encode_vector(row) for row in vectors]
    tokens = sum(estimate_tokens(text) for text in asked.texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(shown)],
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _model(offered: OfferedModel) -> dict[str, Any]:
    created = int(offered.created_at.timestamp())
    return {"id": offered.name, "object": "model", "created": created, "owned_by": offered.provider}


def _refusal(error: ModelGateError) -> Response:
    """An error with the status and the words that OpenAI's clients know; raises what is none of the caller's."""
    if isinstance(error, CredentialError):
        response = _error(401, error.message, _INVALID, code="invalid_api_key")
        response.headers["WWW-Authenticate"] = 'Bearer realm="modelgate"'
        return response
    if isinstance(error, (ForbiddenError, RoleMissingError)):
        return _error(403, error.message, _INVALID, code="insufficient_permissions")
    if isinstance(error, LimitError):
        response = _error(429, error.message, "rate_limit_error", code="rate_limit_exceeded")
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    if isinstance(error, NotFoundError):
        return _error(404, error.message, _INVALID, param="model", code="model_not_found")
    if isinstance(error, InvalidInputError):
        return _error(400, error.message, _INVALID, param=error.field)
    if isinstance(error, TextRefusedError):
        return _error(400, error.message, _INVALID, param="input")
    if isinstance(error, (EmbeddingError, DatabaseUnavailableError, SignInUnavailableError, OverloadedError)):
        response = _error(503, error.message, "server_error")
        response.headers["Retry-After"] = "1"
        return response
    raise error


def _error(status: int, message: str, kind: str, *, param: str | None = None, code: str | None = None) -> Response:
    return _json({"error": {"message": message, "type": kind, "param": param or None, "code": code}}, status)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(assemble(value), status, media_type="application/json")
