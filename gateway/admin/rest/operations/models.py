"""Ollama's models, and their pulls followed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from gateway.admin.request_input import type_adapter
from gateway.admin.rest.operation import EVENT_STREAM, RestContext, operation
from gateway.admin.services.embedding.models import (
    ModelCopyInput,
    ModelInput,
    ModelList,
    ModelRemoval,
    ModelRemovalInput,
    ModelTest,
    ModelTestInput,
    ModelWarmInput,
    PullFilter,
    PullJob,
)
from gateway.embedding.servers.ollama_models import ShownModel


@operation("GET", "/models", gateway_wide=True)
async def list_models(context: RestContext) -> ModelList:
    """List the models that Ollama has."""
    return await context.services.models.list()


@operation("GET", "/models/details", gateway_wide=True)
async def show_model(context: RestContext, query: ModelInput) -> ShownModel:
    """Show what a model says of itself."""
    return await context.services.models.show(query.name)


@operation("GET", "/models/pulls", gateway_wide=True)
async def list_pulls(context: RestContext) -> tuple[PullJob, ...]:
    """List the latest pull of each model that was pulled from here."""
    return context.services.models.pulls()


@operation("POST", "/models/pulls", gateway_wide=True, status=202)
async def start_pull(context: RestContext, body: ModelInput) -> PullJob:
    """Start to pull a model in the background, or join the pull that runs.

    When it is there it is loaded, and makes a first vector.
    """
    return context.services.models.start_pull(body)


@operation("DELETE", "/models/pulls", gateway_wide=True)
async def stop_pull(context: RestContext, query: ModelInput) -> None:
    """Stop a pull; what has come stays with Ollama, and a repeat goes on from there."""
    await context.services.models.stop_pull(query)


@operation("GET", "/models/pulls/events", gateway_wide=True, returns=PullJob, media=(EVENT_STREAM,))
async def follow_pulls(context: RestContext, query: PullFilter) -> Response:
    """Follow the pull of a model, or all pulls, until none of them runs.

    Each event is named pull and its data is a PullJob as JSON; after the last comes one named end.
    """
    return _event_stream(context.services.models.follow(query.name))


@operation("POST", "/models/copy", gateway_wide=True)
async def copy_model(context: RestContext, body: ModelCopyInput) -> None:
    """Have a model under a second name, too."""
    await context.services.models.copy(body)


@operation("POST", "/models/remove", gateway_wide=True)
async def remove_models(context: RestContext, body: ModelRemovalInput) -> ModelRemoval:
    """Remove models; where one cannot be, the others are all the same."""
    return await context.services.models.remove(body)


@operation("POST", "/models/test", gateway_wide=True)
async def test_model(context: RestContext, body: ModelTestInput) -> ModelTest:
    """Embed a text as it is, and show the vector with its time."""
    return await context.services.models.test(body)


@operation("POST", "/models/warm", gateway_wide=True)
async def warm_model(context: RestContext, body: ModelWarmInput) -> ModelTest:
    """Load a model, so that the next one who needs it does not wait for that."""
    return await context.services.models.warm(body)


def _event_stream(jobs: AsyncIterator[PullJob]) -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        async for job in jobs:
            yield b"event: pull\ndata: " + type_adapter(PullJob).dump_json(job) + b"\n\n"
        yield b"event: end\ndata: {}\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), headers=headers, media_type=EVENT_STREAM)


OPERATIONS = (
    list_models,
    show_model,
    list_pulls,
    start_pull,
    stop_pull,
    follow_pulls,
    copy_model,
    remove_models,
    test_model,
    warm_model,
)
