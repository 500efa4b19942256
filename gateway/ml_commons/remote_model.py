"""Models that ML Commons asks over HTTP, and the connectors to them: what is sent, and where the answer is in a reply.

A connector's `request_body` is a text in which `${parameters.NAME}` is replaced: by what a request brings, escaped for
JSON by the cluster, else by the connector's own parameter, as it is.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import InvalidInputError

ModelKind = Literal["embedding", "generate"]
InputType = Literal["document", "query"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_RESERVED = frozenset({"model", "prompt", "input", "input_type"})

MARK = "by modelgate opensearch register"
"""So ends the description of each model, connector and group that `register` makes; what has another is others'."""

CHOOSE_TOOL = "choose_tool"
"""The template with which a model says which tool is to be called."""

DEFAULT_TEMPLATES: Mapping[str, str] = {
    CHOOSE_TOOL: (
        "You can use these tools, one a line, each with its name, what it does and its arguments:\n{tools}\n\n"
        "Answer with one line of JSON and nothing else, the tool that helps with the question and its arguments: "
        '"name" and "arguments". Where no tool helps, "name" is null.\n\nQuestion: {question}'
    ),
}


@dataclass(frozen=True, slots=True)
class RemoteModel(ABC):
    """A model of a gateway or an Ollama, under the `name` that it gets in the cluster.

    `endpoint` is the address of the server as the cluster reaches it, `key` what it asks for (empty: nothing). What a
    request may take is `timeout_seconds`.
    """

    name: str
    kind: ModelKind
    model: str
    endpoint: str
    key: str = field(default="", repr=False)
    timeout_seconds: int = 30

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the cluster sends requests."""

    def parameters(self) -> dict[str, str]:
        """What is put into requests that do not say it themselves."""
        return {"model": self.model}

    @abstractmethod
    def request_body(self) -> str:
        """The text of a request, with placeholders."""

    def functions(self) -> dict[str, str]:
        """What makes a request of texts, and vectors of the reply; nothing for text."""
        return {}

    def connector(self) -> dict[str, Any]:
        """The connector as ML Commons takes it."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = "Bearer ${credential.key}"
        return {
            "name": self.name,
            "description": f"{self.model} at {self.endpoint}, {MARK}",
            "version": "1",
            "protocol": "http",
            "parameters": self.parameters(),
            # There has to be one.
            "credential": {"key": self.key or "none"},
            "client_config": {
                "connection_timeout": min(10, self.timeout_seconds),
                "read_timeout": self.timeout_seconds,
            },
            "actions": [
                {
                    "action_type": "predict",
                    "method": "POST",
                    "url": self.url,
                    "headers": headers,
                    "request_body": self.request_body(),
                    **self.functions(),
                }
            ],
        }


@dataclass(frozen=True, slots=True)
class GatewayEmbedding(RemoteModel):
    """An embedder behind `/v1/embeddings` of a gateway, for texts that are searched (documents) or searched for."""

    input_type: InputType = "document"

    @property
    def url(self) -> str:
        return f"{self.endpoint}/v1/embeddings"

    def parameters(self) -> dict[str, str]:
        return {"model": self.model, "input_type": self.input_type}

    def request_body(self) -> str:
        return (
            '{"model": "${parameters.model}", "input": ${parameters.input}, "input_type": "${parameters.input_type}"}'
        )

    def functions(self) -> dict[str, str]:
        return {
            "pre_process_function": "connector.pre_process.openai.embedding",
            "post_process_function": "connector.post_process.openai.embedding",
        }


@dataclass(frozen=True, slots=True)
class OllamaEmbedding(RemoteModel):
    """An embedder behind `/api/embed` of an Ollama; it is told nothing of what a text is for."""

    @property
    def url(self) -> str:
        return f"{self.endpoint}/api/embed"

    def request_body(self) -> str:
        return '{"model": "${parameters.model}", "input": ${parameters.input}}'

    def functions(self) -> dict[str, str]:
        return {
            "pre_process_function": "connector.pre_process.openai.embedding",
            # It looks for `embeddings`, as Cohere's answers have them, too.
            "post_process_function": "connector.post_process.cohere.embedding",
        }


@dataclass(frozen=True, slots=True)
class OllamaText(RemoteModel):
    """A language model behind `/api/generate` of an Ollama.

    A request has a `prompt`, or names one of the `templates` as its prompt and says what stands in its places.
    """

    templates: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_TEMPLATES))

    def __post_init__(self) -> None:
        for name in self.templates:
            if not _NAME.fullmatch(name) or name in _RESERVED:
                raise InvalidInputError(
                    f"A template cannot be named {name!r}; take letters, digits and _, and none of "
                    f"{', '.join(sorted(_RESERVED))}.",
                    "template",
                )

    @property
    def url(self) -> str:
        return f"{self.endpoint}/api/generate"

    def parameters(self) -> dict[str, str]:
        return {"model": self.model, **{name: connector_template(text) for name, text in self.templates.items()}}

    def request_body(self) -> str:
        return '{"model": "${parameters.model}", "prompt": "${parameters.prompt}", "stream": false}'


def connector_template(text: str) -> str:
    """A template with its places as ML Commons writes them, as a part of a JSON text: `{question}` becomes
    `${parameters.question}`.
    """
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return _PLACEHOLDER.sub(lambda match: "${parameters." + match[1] + "}", escaped)


def template_placeholders(text: str) -> tuple[str, ...]:
    """The names of the places in a template, in their order, each once."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))
