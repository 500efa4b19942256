"""Documents: what the cluster holds of a tool.

BM25 in a scope depends on the mean length of its tools, which no document can know. For a term that a tool of length l
holds f times, with k = k1 (1 - b) and p = k1 b / mean,

    f / (f + k + p l)  =  f / (f + k)  *  x / (x + p),    x = (f + k) / l,

so that x is what is stored, as a feature named by the term and by f; the query brings p as the pivot of a saturation,
and f / (f + k) with how rare the term is as its boost. Of a feature the cluster keeps nine significant bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.database.connection import Row
from gateway.search.index.opensearch.mapping import BUCKETS
from gateway.search.index.postings import K1, B

MAX_COUNTED = 8
"""A term that a tool holds more often counts as so often: its weight is within 4% of the highest by then."""

_CONSTANT = K1 * (1 - B)
# A float32 is kept by its upper 17 bits, cut off; half of the last of them added, it is rounded.
_HALF_A_STEP = np.uint32(1 << 14)


@dataclass(frozen=True, slots=True)
class ToolDocument:
    """A tool as the cluster holds it.

    `tenant` is the tenant's `tenant_key`. `vector` float32 (d,), its ranking vector, None while it has none. `terms`
    counts its terms, `length` is their sum. `revision` is the catalogue's version that it was read at, `checksum` what
    tells it from an earlier one. `correction` is taken from every cosine with the vector.
    """

    tenant: str
    tenant_id: int
    tool_id: int
    server_id: int
    category: str
    name: str
    vector: NDArray[np.float32] | None
    terms: Mapping[str, int]
    length: int
    revision: int
    checksum: int
    correction: float = 0.0

    @classmethod
    def of(cls, row: Row, installation: str, tenant_id: int, revision: int) -> ToolDocument:
        """The document of a row of `feed_tools`, read at this version of the catalogue."""
        vector = row["ranking_embedding"]
        return cls(
            tenant=tenant_key(installation, tenant_id),
            tenant_id=tenant_id,
            tool_id=row["id"],
            server_id=row["server_id"],
            category=row["category"],
            name=row["exposed_name"],
            vector=vector.to_numpy().astype(np.float32) if vector is not None else None,
            terms=dict(zip(row["terms"], row["counts"], strict=True)),
            length=row["term_count"],
            revision=revision,
            checksum=row["checksum"],
            correction=row["correction"],
        )

    @property
    def id(self) -> str:
        """Of the document."""
        return document_id(self.tenant_id, self.tool_id)

    def body(self) -> dict[str, Any]:
        """As it is written; `vector` float32 (d + 1,), its correction last."""
        body: dict[str, Any] = {
            "tenant": self.tenant,
            "tool": self.tool_id,
            "server": self.server_id,
            "category": self.category,
            "name": self.name,
            # A tool without a word is there all the same.
            "length": max(self.length, 1),
            "terms": list(self.terms),
            "words": features(self.terms, max(self.length, 1)),
            "bucket": self.tool_id % BUCKETS,
            "checksum": self.checksum,
            "revision": self.revision,
        }
        if self.vector is not None:
            body["vector"] = np.append(self.vector, np.float32(self.correction))
        return body


def query_vector(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a query's vector, float32 (d,), is multiplied as, (d + 1,): documents have their correction in the place
    beside."""
    return np.append(vector, np.float32(-1.0))


def tenant_key(installation: str, tenant_id: int) -> str:
    """By what a tenant's documents are told from all others, those of another gateway in the cluster among them."""
    return f"{installation}/{tenant_id}"


def document_id(tenant_id: int, tool_id: int) -> str:
    """The id of a tool's document."""
    return f"{tenant_id}-{tool_id}"


def features(terms: Mapping[str, int], length: int) -> dict[str, float]:
    """The features of a tool of this length, by the names that queries ask for."""
    if not terms:
        return {}
    counts = np.minimum(np.fromiter(terms.values(), np.float64, len(terms)), MAX_COUNTED)
    values = ((counts + _CONSTANT) / length).astype(np.float32)
    rounded = (values.view(np.uint32) + _HALF_A_STEP).view(np.float32)
    return dict(zip(map(_feature, terms, counts.astype(int).tolist()), rounded.tolist(), strict=True))


def term_clauses(field: str, term: str, weight: float, mean_length: float) -> Sequence[Mapping[str, Any]]:
    """The clauses of a query by which a tool scores BM25 for a term of this `weight`, its rarity times k1 + 1."""
    pivot = K1 * B / max(mean_length, 1.0)
    return [
        {
            "rank_feature": {
                "field": f"{field}.{_feature(term, count)}",
                "boost": weight * count / (count + _CONSTANT),
                "saturation": {"pivot": pivot},
            }
        }
        for count in range(1, MAX_COUNTED + 1)
    ]


def _feature(term: str, count: int) -> str:
    return f"{count}:{term}"
