"""The operations of an OpenAPI document as tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.json_codec import Message
from gateway.upstream.openapi.request_body import RequestBody


@dataclass(frozen=True, slots=True)
class OpenApiParameter:
    """Where an argument goes: `location` is path, query, header or cookie; `style` and `explode` are OpenAPI's."""

    argument: str
    name: str
    location: str
    style: str
    explode: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class OpenApiOperation:
    """An operation that can be called as the tool that `definition` describes.

    `address` is where it is, as the document declares it for this operation or its path; None: where the API is.
    `renamed` gives for a name that models cannot be given the argument that stands for it.
    """

    method: str
    path: str
    parameters: tuple[OpenApiParameter, ...]
    body: RequestBody | None
    required: frozenset[str]
    definition: Message
    address: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOutOperation:
    """An operation that cannot be a tool, by the name that the tool would have, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpenApiOperations:
    """The operations of a document by the names of their tools, and those that are left out."""

    tools: Mapping[str, OpenApiOperation]
    left_out: tuple[LeftOutOperation, ...]
