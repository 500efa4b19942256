"""The page of Ollama's models, and their pulls as they go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.embedding.models import (
    ModelCopyInput,
    ModelInput,
    ModelList,
    ModelRemovalInput,
    ModelTestInput,
    ModelWarmInput,
)
from gateway.admin.web.fragment_stream import fragment_stream
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import EmbeddingError, InvalidInputError, ModelGateError

_MODELS_PATH = f"{HOME_PATH}/models"


async def list_models(context: PageContext) -> Response:
    """All models that are there, and the form for another."""
    return await _page(context)


async def follow_pulls(context: PageContext) -> Response:
    """The pulls each time that one goes on, and the models each time that one has ended."""
    return fragment_stream(_fragments(context))


async def pull_model(context: PageContext) -> Response:
    """Start to pull a model."""
    submitted = await context.form()
    try:
        context.services.models.start_pull(parse_form(ModelInput, submitted))
    except ModelGateError as error:
        return await _page(context, error, submitted)
    return context.redirect_to(_MODELS_PATH)


async def stop_pull(context: PageContext) -> Response:
    """Stop a pull."""
    await context.services.models.stop_pull(parse_form(ModelInput, await context.form()))
    return context.redirect_to(_MODELS_PATH)


async def copy_model(context: PageContext) -> Response:
    """Have a model under a second name."""
    submitted = await context.form()
    try:
        await context.services.models.copy(parse_form(ModelCopyInput, submitted))
    except ModelGateError as error:
        return await _page(context, error)
    return context.redirect_to(_MODELS_PATH)


async def remove_model(context: PageContext) -> Response:
    """Remove a model."""
    wanted = parse_form(ModelInput, await context.form())
    try:
        removal = await context.services.models.remove(ModelRemovalInput((wanted.name,)))
    except ModelGateError as error:
        return await _page(context, error)
    if removal.left:
        return await _page(context, InvalidInputError(removal.left[0].reason, ""))
    return context.redirect_to(_MODELS_PATH)


async def test_model(context: PageContext) -> Response:
    """Embed a text, and show its vector."""
    try:
        wanted = parse_form(ModelTestInput, await context.form())
        tested = await context.services.models.test(wanted)
    except ModelGateError as error:
        return await _page(context, error)
    return await _page(context, tested=tested, name=wanted.name)


async def warm_model(context: PageContext) -> Response:
    """Load a model."""
    try:
        wanted = parse_form(ModelWarmInput, await context.form())
        loaded = await context.services.models.warm(wanted)
    except ModelGateError as error:
        return await _page(context, error)
    return await _page(context, loaded=loaded, name=wanted.name)


async def _page(
    context: PageContext,
    error: ModelGateError | None = None,
    submitted: Mapping[str, Any] | None = None,
    **outcome: Any,
) -> Response:
    rejection = context.rejection(error)
    models: ModelList | None = None
    unreachable = ""
    try:
        models = await context.services.models.list()
    except EmbeddingError as failure:
        unreachable = failure.message
    return context.render(
        "models.html",
        rejection.status,
        models=models,
        unreachable=unreachable,
        pulls=context.services.models.pulls(),
        submitted=submitted or {},
        errors=rejection.errors,
        **outcome,
    )


async def _fragments(context: PageContext) -> AsyncIterator[str]:
    async for job in context.services.models.follow():
        pulls = context.render_fragment("models_pulls.html", pulls=context.services.models.pulls())
        if job.state == "running":
            yield pulls
            continue
        try:
            models = await context.services.models.list()
        except EmbeddingError:
            yield pulls
        else:
            yield pulls + context.render_fragment("models_list.html", models=models)


PAGES = (
    get("/models", list_models, gateway_wide=True),
    get("/models/events", follow_pulls, gateway_wide=True),
    post("/models/pull", pull_model, gateway_wide=True),
    post("/models/stop", stop_pull, gateway_wide=True),
    post("/models/copy", copy_model, gateway_wide=True),
    post("/models/remove", remove_model, gateway_wide=True),
    post("/models/test", test_model, gateway_wide=True),
    post("/models/warm", warm_model, gateway_wide=True),
)
