"""What each guard is set up with, by the options of its rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from gateway.errors import InvalidInputError
from gateway.guards.rule import GuardAction, GuardKind, Stage, Subject

_STRICT = ConfigDict(extra="forbid")
_MAX_OPTIONS_BYTES = 64 * 1024

_Entry = Annotated[str, Field(min_length=1, max_length=500)]
_Entries = Annotated[tuple[_Entry, ...], Field(min_length=1, max_length=500)]
_Pointers = Annotated[tuple[Annotated[str, Field(pattern=r"^/", max_length=500)], ...], Field(max_length=100)]
PersonalDataKind: TypeAlias = Literal["mail", "phone", "card", "iban", "national number"]


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For guards that need none."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class PersonalOptions:
    """The kinds of personal data that are looked for."""

    kinds: tuple[PersonalDataKind, ...] = ("mail", "phone", "card", "iban", "national number")

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class InjectionOptions:
    """Links and pictures that lead to one of `hosts` (`*.example.com` for all below) give nothing away."""

    hosts: Annotated[tuple[_Entry, ...], Field(max_length=500)] = ()

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class SizeOptions:
    """How large arguments or a result may be, in bytes of JSON."""

    max_bytes: Annotated[int, Field(ge=1, le=2**31 - 1)]

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class AllowOptions:
    """What arguments may name. Arguments at `arguments`, as JSON pointers with `*` for any step, are held to name one
    whatever they look like; without them those that look like one are.
    """

    allowed: _Entries
    arguments: _Pointers = ()

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where content is sent for judgement."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class PluginOptions:
    """A plugin by its name among the entry points `modelgate.guards`, and what it is set up with."""

    plugin: Annotated[str, Field(min_length=1, max_length=200)]
    settings: Mapping[str, Any] = field(default_factory=dict)

    __pydantic_config__ = _STRICT


GuardOptions: TypeAlias = (
    NoOptions | PersonalOptions | InjectionOptions | SizeOptions | AllowOptions | WebhookOptions | PluginOptions
)


@dataclass(frozen=True, slots=True)
class GuardTraits:
    """What a guard can be asked for."""

    options: type[GuardOptions]
    actions: tuple[GuardAction, ...] = ("observe", "mask", "deny")
    stages: tuple[Stage, ...] = ("arguments", "result")
    subjects: tuple[Subject, ...] = ("tools", "prompts", "resources")


_WITHOUT_MASK: tuple[GuardAction, ...] = ("observe", "deny")
TRAITS: Mapping[GuardKind, GuardTraits] = {
    "secrets": GuardTraits(NoOptions),
    "personal": GuardTraits(PersonalOptions),
    "injection": GuardTraits(InjectionOptions, stages=("result",)),
    "size": GuardTraits(SizeOptions, _WITHOUT_MASK),
    "schema": GuardTraits(NoOptions, _WITHOUT_MASK, subjects=("tools",)),
    "path": GuardTraits(AllowOptions, _WITHOUT_MASK, ("arguments",)),
    "host": GuardTraits(AllowOptions, _WITHOUT_MASK, ("arguments",)),
    "webhook": GuardTraits(WebhookOptions),
    "plugin": GuardTraits(PluginOptions),
}


def read_options(kind: GuardKind, options: Mapping[str, Any]) -> GuardOptions:
    """The options of a guard of this kind. Raises InvalidInputError, which names the option."""
    if len(json.dumps(options)) > _MAX_OPTIONS_BYTES:
        raise InvalidInputError(f"The options of a guard may have {_MAX_OPTIONS_BYTES:,} bytes at most.", "options")
    adapter: TypeAdapter[GuardOptions] = TypeAdapter(TRAITS[kind].options)
    try:
        return adapter.validate_python(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(step) for step in first["loc"])
        if first["type"] in ("missing", "missing_argument"):
            raise InvalidInputError(f"The guard {kind} needs the option {name}.", f"options.{name}") from None
        raise InvalidInputError(
            f"The option {name or 'options'} of the guard {kind} cannot be that: {first['msg'].lower()}.",
            f"options.{name}" if name else "options",
        ) from None
