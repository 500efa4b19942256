"""The texts of a definition, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.json_pointer import join_pointer

# Words of JSON Schema and of MCP: as keys, and as values of `type`, they are nobody's own.
_KEYWORD_TEXT = """
    $anchor $comment $defs $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary additionalItems
    additionalProperties allOf annotations anyOf argument arguments array boolean const contains contentEncoding
    contentMediaType contentSchema default definitions dependentRequired dependentSchemas deprecated description
    destructiveHint else enum enumNames example examples exclusiveMaximum exclusiveMinimum execution format icons
    idempotentHint if inputSchema integer items maxContains maxItems maxLength maxProperties maximum mimeType
    minContains minItems minLength minProperties minimum multipleOf name not null nullable number object oneOf
    openWorldHint outputSchema pattern patternProperties prefixItems properties propertyNames readOnly readOnlyHint
    required sizes src string then title type unevaluatedItems unevaluatedProperties uniqueItems uri uriTemplate
    writeOnly _meta
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())
# Below these, every key is a name that the server's author chose.
_NAME_KEYED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependentRequired"}


@dataclass(frozen=True, slots=True)
class DefinitionText:
    """One text that a model is shown. `place` is a JSON pointer; what `is_name` is an identifier, all else is prose."""

    place: str
    text: str
    is_name: bool = False


def iter_texts(definition: Mapping[str, Any]) -> Iterator[DefinitionText]:
    """Every text of a definition in its order: names, descriptions, values offered, and keys that are no keywords.

    To whatever depth: what reads the definition bounds that.
    """
    pending: list[tuple[str, Any, bool]] = [("", definition, False)]
    while pending:
        place, value, is_name = pending.pop()
        if isinstance(value, str):
            if value not in _KEYWORDS or is_name:
                yield DefinitionText(place, value, is_name)
        elif isinstance(value, list):
            pending += [(join_pointer(place, at), item, False) for at, item in reversed(list(enumerate(value)))]
        elif isinstance(value, Mapping):
            named = place.rpartition("/")[2] in _NAME_KEYED
            for key, item in reversed(list(value.items())):
                below = join_pointer(place, key)
                pending.append((below, item, not place and key == "name"))
                if named or key not in _KEYWORDS:
                    pending.append((below, key, True))
