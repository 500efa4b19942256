"""The searches that the cluster is asked for: bodies, and what is read out of their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.search.index.opensearch.documents import query_vector, term_clauses
from gateway.search.index.opensearch.mapping import BUCKETS
from gateway.search.ranking import Moments

Body: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = Mapping[str, Any]
Clauses: TypeAlias = Sequence[Mapping[str, Any]]

NO_CHECKSUM = -1
"""Where none is known: no document has it."""

_VECTOR, _WORDS, _TERMS = "vector", "words", "terms"
# Of a tool nothing but these numbers comes back: what is shown of it is read from the catalogue. As what hits are
# sorted by they are one list of a hit, and fields would be a list each: most of what an answer takes to be read.
_NUMBERS_ONLY: Body = {
    "_source": False,
    "stored_fields": "_none_",
    "track_total_hits": False,
    "sort": ["_score", "tool", "server", {"checksum": {"order": "asc", "missing": NO_CHECKSUM}}],
}
# What `knn_score` makes of an inner product, so that it is never negative, undone.
_PRODUCT = "double s = _score.doubleValue(); return s >= 1 ? s - 1 : 1 - 1 / s"


def corpus_body(scope: Clauses, terms: Sequence[str] = ()) -> Body:
    """How many tools are in scope, their mean length, and in how many of them each term stands."""
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": [*scope]}},
        "aggs": {"lengths": {"stats": {"field": "length"}}, **(_counted(terms) if terms else {})},
    }


def read_corpus(answer: Answer) -> tuple[int, float]:
    """The first two numbers."""
    lengths = answer["aggregations"]["lengths"]
    return lengths["count"], lengths["avg"] or 0.0


def frequencies_body(scope: Clauses, terms: Sequence[str]) -> Body:
    """In how many tools in scope each term stands."""
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": [*scope, {"terms": {_TERMS: [*terms]}}]}},
        "aggs": _counted(terms),
    }


def read_frequencies(answer: Answer, terms: Sequence[str]) -> dict[str, int]:
    """By term, 0 where it stands in none."""
    buckets = answer["aggregations"]["terms"]["buckets"] if terms else []
    return {term: bucket["doc_count"] for term, bucket in zip(terms, buckets, strict=True)}


def candidates_body(scope: Clauses, guesses: Sequence[str]) -> Body:
    """In how many tools in scope each of many terms stands, most of which stand in none."""
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": [*scope, {"terms": {_TERMS: [*guesses]}}]}},
        "aggs": {"terms": {"terms": {"field": _TERMS, "include": [*guesses], "size": len(guesses)}}},
    }


def read_candidates(answer: Answer) -> dict[str, int]:
    """By term; those that stand in none are left out."""
    return {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["terms"]["buckets"]}


def listing_body(scope: Clauses, size: int) -> Body:
    """All tools in scope, of which there are no more than `size`."""
    return {**_NUMBERS_ONLY, "size": size, "query": {"bool": {"filter": [*scope]}}}


def cosine_body(scope: Clauses, vector: NDArray[np.float32], size: int) -> Body:
    """The nearest in scope, and the moments of all cosines there."""
    return {
        **_NUMBERS_ONLY,
        "size": size,
        "query": _products(scope, vector),
        "aggs": {"moments": {"extended_stats": {"script": {"lang": "painless", "source": _PRODUCT}}}},
    }


def nearest_body(scope: Clauses, vector: NDArray[np.float32], size: int) -> Body:
    """The nearest in scope, or nearly so, by the graph."""
    nearest = {"vector": query_vector(vector), "k": size, "filter": {"bool": {"filter": [*scope]}}}
    return {**_NUMBERS_ONLY, "size": size, "query": {"knn": {_VECTOR: nearest}}}


def sample_body(scope: Clauses, vector: NDArray[np.float32], share: float) -> Body:
    """The moments of the cosines of a share of the tools in scope."""
    buckets = max(1, min(BUCKETS, round(BUCKETS * share)))
    return cosine_body([*scope, {"range": {"bucket": {"lt": buckets}}}], vector, 0)


def lexical_body(scope: Clauses, weights: Mapping[str, float], mean_length: float, size: int) -> Body:
    """The best in scope by words, and the moments of BM25 over those that hold any; `weights` by term."""
    clauses = [clause for term, weight in weights.items() for clause in term_clauses(_WORDS, term, weight, mean_length)]
    return {
        **_NUMBERS_ONLY,
        "size": size,
        "query": {"bool": {"filter": [*scope], "should": clauses, "minimum_should_match": 1}},
        "aggs": {"moments": {"extended_stats": {"script": {"lang": "painless", "source": "_score"}}}},
    }


def without_moments(body: Body) -> Body:
    """The same search, of which only the hits are asked."""
    return {name: part for name, part in body.items() if name != "aggs"}


def among(scope: Clauses, tool_ids: Iterable[int]) -> Clauses:
    """The scope narrowed to these tools, which are in it."""
    return [scope[0], {"terms": {"tool": [*tool_ids]}}]


@dataclass(frozen=True, slots=True)
class Hits:
    """The tools that were found, their servers, what tells their documents from earlier ones, all int64 (n,), and their
    scores, float64 (n,), which are 0 in a listing."""

    tools: NDArray[np.int64]
    servers: NDArray[np.int64]
    checksums: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def joined(cls, several: Sequence[Hits]) -> Hits:
        """Those of several searches, one after the other."""
        return cls(
            np.concatenate([hits.tools for hits in several]),
            np.concatenate([hits.servers for hits in several]),
            np.concatenate([hits.checksums for hits in several]),
            np.concatenate([hits.scores for hits in several]),
        )


def read_hits(answer: Answer) -> Hits:
    """What a search has found, in its order."""
    numbers = [hit["sort"] for hit in answer["hits"]["hits"]]
    scores, tools, servers, checksums = zip(*numbers, strict=True) if numbers else ((), (), (), ())
    return Hits(
        np.array(tools, np.int64),
        np.array(servers, np.int64),
        np.array(checksums, np.int64),
        np.array(scores, np.float64),
    )


def inner_products(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inner products that scores of the cluster's were made of."""
    products: NDArray[np.float64] = np.where(scores >= 1, scores - 1, 1 - 1 / scores)
    return products


def read_moments(answer: Answer) -> Moments:
    """Of all values that there were."""
    stats = answer["aggregations"]["moments"]
    return Moments(stats["count"], stats["avg"] or 0.0, stats["std_deviation"] or 0.0) if stats["count"] else _NONE


def read_lexical_moments(answer: Answer, tools: int) -> Moments:
    """Over so many tools; those without a word of the query count as 0."""
    stats = answer["aggregations"]["moments"]
    mean = (stats["sum"] or 0.0) / tools
    return Moments(tools, mean, max((stats["sum_of_squares"] or 0.0) / tools - mean**2, 0.0) ** 0.5)


_NONE = Moments(0, 0.0, 0.0)


def _counted(terms: Sequence[str]) -> Mapping[str, Any]:
    return {"terms": {"filters": {"filters": [{"term": {_TERMS: term}} for term in terms]}}}


def _products(scope: Clauses, vector: NDArray[np.float32]) -> Mapping[str, Any]:
    params = {"field": _VECTOR, "query_value": query_vector(vector), "space_type": "innerproduct"}
    return {
        "script_score": {
            "query": {"bool": {"filter": [*scope, {"exists": {"field": _VECTOR}}]}},
            "script": {"lang": "knn", "source": "knn_score", "params": params},
        }
    }
