"""Groups of near tools, and what they are called."""

from __future__ import annotations

from gateway.catalog.similarity.clusters import find_clusters
from gateway.embedding.local.builtin import BuiltinEmbedder
from tests.support.embedding import embed_documents

_TEXTS = [
    *(
        f"{verb}_issue {verb.title()} an issue of a repository."
        for verb in ("create", "list", "close", "search", "get")
    ),
    *(f"{verb}Event {verb.title()} events of a calendar." for verb in ("create", "list", "delete", "move", "get")),
    *(f"{verb}_file {verb.title()} a file in a folder." for verb in ("create", "list", "delete", "move", "get")),
]


async def test_clusters_are_named_by_what_their_tools_have_in_common_and_others_have_not() -> None:
    embedder = BuiltinEmbedder()
    vectors = await embed_documents(embedder, _TEXTS)
    clusters = find_clusters(vectors, _TEXTS)
    assert sorted(row for cluster in clusters for row in cluster.rows) == list(range(len(_TEXTS)))
    named = {cluster.rows: set(cluster.words) for cluster in clusters}
    assert named[0, 1, 2, 3, 4] == {"issue", "repository"} | (named[0, 1, 2, 3, 4] - {"issue", "repository"})
    assert "calendar" in named[5, 6, 7, 8, 9]
    assert "folder" in named[10, 11, 12, 13, 14]
    assert find_clusters(vectors, _TEXTS) == clusters
    assert find_clusters(vectors[:4], _TEXTS[:4]) == []
    same = find_clusters(vectors[[0] * 20], ["..."] * 20)
    assert [(len(cluster.rows), cluster.words) for cluster in same] == [(20, ())]
    await embedder.aclose()
