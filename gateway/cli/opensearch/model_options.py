"""Options that say which model a cluster is given, and the model that they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.cli.local_url import local_url
from gateway.cli.options import option_group
from gateway.errors import InvalidInputError
from gateway.ml_commons.remote_model import (
    DEFAULT_TEMPLATES,
    GatewayEmbedding,
    InputType,
    ModelKind,
    OllamaEmbedding,
    OllamaText,
    RemoteModel,
)
from gateway.settings import Settings

OLLAMA_URL = "http://localhost:11434"

_SECONDS = {"embedding": 30, "generate": 120}


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the options say; what is empty is chosen."""

    kind: ModelKind
    provider: str
    endpoint: str
    model: str
    name: str
    key: str
    input_type: InputType
    templates: tuple[str, ...]
    timeout: int | None


model_options = option_group(
    click.option("--kind", type=click.Choice(["embedding", "generate"]), required=True, help="Vectors, or text."),
    click.option(
        "--provider",
        type=click.Choice(["gateway", "ollama"]),
        help="Who makes vectors [default: gateway]; text is always Ollama's.",
    ),
    click.option(
        "--endpoint",
        default="",
        help="Where the cluster reaches it [default: as the settings say where the gateway, or Ollama, is]",
    ),
    click.option("--model", default="", help="Its name there [default: the one that the gateway embeds with]"),
    click.option("--name", default="", help="Its name in the cluster [default: modelgate- and its kind]"),
    click.option(
        "--key", envvar="MODELGATE_API_KEY", default="", help="A key of the gateway that has the right embed."
    ),
    click.option(
        "--input-type",
        type=click.Choice(["document", "query"]),
        default="document",
        show_default=True,
        help="What the texts are, for a model that tells what is searched from what is searched for.",
    ),
    click.option(
        "--template",
        "templates",
        multiple=True,
        metavar="NAME=TEXT",
        help="A prompt by its name, with places such as {question}; @FILE in place of TEXT reads one.",
    ),
    click.option(
        "--timeout",
        type=click.IntRange(1, 3600),
        help="Seconds that a request may take [default: 30, for text 120]",
    ),
)


async def read_model(options: ModelOptions, settings: Settings) -> RemoteModel:
    """The model that the options say. Raises InvalidInputError."""
    seconds = options.timeout or _SECONDS[options.kind]
    if options.kind == "generate":
        if options.provider == "gateway":
            raise InvalidInputError("Text is Ollama's; leave --provider out.", "provider")
        if not options.model:
            raise InvalidInputError("Name the language model that Ollama has with --model, as qwen3:0.6b.", "model")
        templates = {**DEFAULT_TEMPLATES, **dict(map(_template, options.templates))}
        return OllamaText(
            options.name or "modelgate-generate",
            options.kind,
            options.model,
            _ollama_url(options, settings),
            timeout_seconds=seconds,
            templates=templates,
        )
    if options.templates:
        raise InvalidInputError("A template is for text; leave it out, or ask for --kind generate.", "template")
    suffix = "-query" if options.input_type == "query" else ""
    name = options.name or f"modelgate-embedding{suffix}"
    if options.provider == "ollama":
        if suffix:
            raise InvalidInputError(
                "Ollama is not told what a text is for; leave --input-type out, or take --provider gateway.",
                "input-type",
            )
        model = options.model or settings.embedder.model
        return OllamaEmbedding(name, "embedding", model, _ollama_url(options, settings), timeout_seconds=seconds)
    if not options.key:
        raise InvalidInputError(
            "Give a key of the gateway that has the right embed in MODELGATE_API_KEY; modelgate keys create --right "
            "embed makes one.",
            "key",
        )
    endpoint = _url(options.endpoint or settings.admin.public_url or local_url(settings))
    model = options.model or await _offered_model(endpoint, options.key)
    return GatewayEmbedding(
        name, "embedding", model, endpoint, options.key, timeout_seconds=seconds, input_type=options.input_type
    )


async def _offered_model(endpoint: str, key: str) -> str:
    """The model that the gateway embeds with."""
    try:
        async with BoundedHttpClient(total_seconds=10.0) as client:
            response = await client.get(f"{endpoint}/v1/models", headers={"Authorization": f"Bearer {key}"})
        said: Any = response.json()
    except (httpx2.HTTPError, ValueError):
        raise InvalidInputError(
            f"The gateway cannot be asked for its model at {endpoint} from here; name the model with --model.", "model"
        ) from None
    if not response.is_success:
        message = said.get("error", {}).get("message") if isinstance(said, dict) else None
        raise InvalidInputError(f"The gateway at {endpoint} does not take the key: {message}", "key")
    try:
        return str(said["data"][0]["id"])
    except (KeyError, IndexError, TypeError):
        raise InvalidInputError(
            f"What answers at {endpoint} is no gateway; name another with --endpoint.", "endpoint"
        ) from None


def _ollama_url(options: ModelOptions, settings: Settings) -> str:
    configured = settings.embedder.base_url if settings.embedder.type in ("ollama", "auto") else ""
    return _url(options.endpoint or configured or OLLAMA_URL)


def _url(text: str) -> str:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise InvalidInputError("--endpoint has to be a URL such as http://gateway.example.com:8080.", "endpoint")
    return text.rstrip("/")


def _template(said: str) -> tuple[str, str]:
    name, equals, text = said.partition("=")
    if not equals or not text:
        raise InvalidInputError(f"--template {said[:60]!r} has to be NAME=TEXT or NAME=@FILE.", "template")
    if not text.startswith("@"):
        return name, text
    try:
        return name, Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise InvalidInputError(f"The template {text[1:]} cannot be read; name a file in UTF-8.", "template") from None
