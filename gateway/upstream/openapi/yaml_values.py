"""YAML 1.2 as the values that JSON has, aliases replaced by what they stand for."""

from __future__ import annotations

import re
from typing import Any

import yaml

from gateway.errors import InvalidInputError


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2, where `no` and `12:30` are text, and without dates, which JSON has not."""


_OF_YAML_1_1 = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OF_YAML_1_1]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z"), list("-+0123456789"))


def read_yaml(label: str, text: str | bytes, max_bytes: int) -> Any:
    """The values of a text in YAML; `label` is how the document is named in errors.

    Raises InvalidInputError where an alias stands within what it stands for, or where the text is over `max_bytes` with
    each alias written out; yaml.YAMLError, ValueError and RecursionError for what is no YAML.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        # Before values are made of it: merge keys are written out by that.
        _AliasedText(label, max_bytes).check(root)
        return _with_string_keys(loader.construct_document(root))
    finally:
        loader.dispose()


class _AliasedText:
    """How large a text is with its aliases written out, in bytes, about: a few lines may stand for endlessly many."""

    def __init__(self, label: str, max_bytes: int) -> None:
        self._label = label
        self._max_bytes = max_bytes
        # Of each node that was seen, None as long as it is being measured.
        self._sizes: dict[yaml.Node, int | None] = {}
        self._has_aliases = False

    def check(self, root: yaml.Node) -> None:
        if self._size(root) > self._max_bytes and self._has_aliases:
            raise InvalidInputError(
                f"{self._label} is over {self._max_bytes:,} bytes with its aliases written out; "
                "use $ref in their place.",
                "document",
            )

    def _size(self, node: yaml.Node) -> int:
        if node in self._sizes:
            self._has_aliases = True
            known = self._sizes[node]
            if known is None:
                raise InvalidInputError(
                    f"{self._label} has an alias within what it stands for, in line {node.start_mark.line + 1}; "
                    "use $ref in its place.",
                    "document",
                )
            return known
        self._sizes[node] = None
        size = len(node.value) + 1
        if isinstance(node, yaml.SequenceNode):
            size += sum(map(self._size, node.value))
        elif isinstance(node, yaml.MappingNode):
            size += sum(self._size(key) + self._size(value) for key, value in node.value)
        self._sizes[node] = size
        return size


def _with_string_keys(value: Any) -> Any:
    """YAML's values as JSON has them: keys are strings."""
    if isinstance(value, dict):
        return {str(key): _with_string_keys(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_string_keys(part) for part in value]
    return value
