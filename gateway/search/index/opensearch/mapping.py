"""How an index is laid out in the cluster, and what it and its aliases are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.embedding.spaces.space_store import StoredSpace
from gateway.settings import OpenSearchSettings

MAPPING_VERSION = 1
"""Of what this module says of a document: an index of another version is built anew."""

BUCKETS = 256
"""By its number a tool is in one of so many parts of its tenant, by which index and catalogue are compared."""

MAX_DIMENSIONS = 15_999
"""OpenSearch takes no longer vectors, and one place is for what is taken from a tool's cosines."""

REFRESH_INTERVAL = "1s"
"""How often an index that serves makes searchable what was written."""

# An older write that comes late finds that what it is about was deleted for so long.
_REMEMBER_DELETED = "1h"


@dataclass(frozen=True, slots=True)
class IndexOwner:
    """What an index says of itself, so that no other's is taken for the gateway's own.

    `installation` is the id of the database whose catalogue it holds, `space_id` the space that its vectors are of, and
    `build` a number that is higher for each later index of that space. `beat` is raised by who writes the index, for as
    long as they do.
    """

    installation: str
    space_id: int
    mapping_version: int = MAPPING_VERSION
    build: int = 0
    beat: int = 0

    def as_meta(self) -> dict[str, Any]:
        """As it stands in `_meta` of the mapping."""
        owner = {
            "installation": self.installation,
            "space": self.space_id,
            "mapping": self.mapping_version,
            "build": self.build,
            "beat": self.beat,
        }
        return {"modelgate": owner}

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> IndexOwner | None:
        """The owner that a mapping's `_meta` names; None where it is somebody else's."""
        owner = meta.get("modelgate")
        try:
            # The first ones had neither.
            build, beat = (int(owner.get(name, 0)) for name in ("build", "beat"))  # type: ignore[union-attr]
            return cls(str(owner["installation"]), int(owner["space"]), int(owner["mapping"]), build, beat)  # type: ignore[index]
        except (AttributeError, TypeError, KeyError, ValueError):
            return None


def space_alias(settings: OpenSearchSettings, space_id: int) -> str:
    """The alias that searches in a space go by; a gateway of another mapping has one of its own beside it."""
    return f"{settings.index_prefix}-space-{space_id}-v{MAPPING_VERSION}"


def serving_alias(settings: OpenSearchSettings) -> str:
    """The alias of the space that serves, for whoever else searches the cluster."""
    return f"{settings.index_prefix}-tools"


def index_name(settings: OpenSearchSettings, space_id: int, build: str) -> str:
    """An index behind `space_alias`; `build` tells it from those before it."""
    return f"{space_alias(settings, space_id)}-{build}"


def write_alias(index: str) -> str:
    """The alias that documents are written by; it is gone with its index."""
    return f"{index}-write"


def index_pattern(settings: OpenSearchSettings) -> str:
    """All indexes of the gateway's, and those that only look so."""
    return f"{settings.index_prefix}-space-*"


def is_own_alias(settings: OpenSearchSettings, alias: str) -> bool:
    """Whether a name is one of the aliases by which the gateway searches and writes its indexes."""
    return alias == serving_alias(settings) or alias.startswith(f"{settings.index_prefix}-space-")


def index_body(settings: OpenSearchSettings, owner: IndexOwner, space: StoredSpace, name: str) -> dict[str, Any]:
    """What an index of a space is created with, under this name."""
    return {
        "aliases": {write_alias(name): {}},
        "settings": {
            "index": {
                "number_of_shards": settings.shards,
                "number_of_replicas": settings.replicas,
                "knn": True,
                # While it is filled nobody searches it.
                "refresh_interval": "-1",
                "gc_deletes": _REMEMBER_DELETED,
            }
        },
        "mappings": {
            "_meta": owner.as_meta(),
            "dynamic": "strict",
            # A tenant's tools are in one shard, and a search of them asks no other.
            "_routing": {"required": True},
            # What is searched for comes from PostgreSQL, where it is kept; it need not be stored twice.
            "_source": {"excludes": ["vector", "words", "terms"]},
            "properties": {
                "tenant": {"type": "keyword"},
                "tool": {"type": "long"},
                "server": {"type": "long"},
                "category": {"type": "keyword"},
                "name": {"type": "keyword"},
                "vector": {
                    "type": "knn_vector",
                    "dimension": space.space.dimensions + 1,
                    "method": {
                        "name": "hnsw",
                        "engine": "lucene",
                        # A ranking vector is a weighted sum: it is not of length one.
                        "space_type": "innerproduct",
                        # A search asks for a thousand of the nearest and more: of a denser graph, which takes most of
                        # the time that an index is filled in, no better ten come.
                        "parameters": {"m": 12, "ef_construction": 48},
                    },
                },
                "words": {"type": "rank_features"},
                "terms": {"type": "keyword"},
                "length": {"type": "integer"},
                "bucket": {"type": "short"},
                "checksum": {"type": "long"},
                "revision": {"type": "long"},
                "feed": {"type": "object", "enabled": False},
                "feed_tenant": {"type": "keyword"},
            },
        },
    }
