"""Groups of tools that are near in meaning, each named by the words that are commonest in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.catalog.category import split_words
from gateway.catalog.terms import is_stop_word, stem
from gateway.embedding.embedder import Vectors

_MIN_TOOLS = 12
_MAX_CLUSTERS = 16
_MAX_ROUNDS = 30
_WORDS = 3
_MIN_CHARACTERS = 3
_SAMPLED_ROWS = 4_000


@dataclass(frozen=True, slots=True)
class TextCluster:
    """Rows that are near each other; `words` are at most three, the most telling first."""

    rows: tuple[int, ...]
    words: tuple[str, ...]


def find_clusters(vectors: Vectors, texts: Sequence[str]) -> list[TextCluster]:
    """Clusters of unit vectors, shape (n, d), with what stands for each row in words; the largest first.

    None where there are too few for that. The same rows give the same clusters.
    """
    if len(vectors) < _MIN_TOOLS:
        return []
    labels = _k_means(vectors, min(_MAX_CLUSTERS, round((len(vectors) / 2) ** 0.5)))
    words_of_rows = [_words(text) for text in texts]
    everywhere = Counter(word for words in words_of_rows for word in words)
    clusters = []
    for label in np.unique(labels):
        rows = tuple(int(row) for row in np.flatnonzero(labels == label))
        clusters.append(TextCluster(rows, _telling_words([words_of_rows[row] for row in rows], everywhere, len(texts))))
    return sorted(clusters, key=lambda cluster: (-len(cluster.rows), cluster.rows))


def _k_means(vectors: Vectors, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The cluster of each row: spherical k-means that begins with rows far from each other."""
    sample = vectors[:: max(1, len(vectors) // _SAMPLED_ROWS)]
    mean = sample.mean(axis=0)
    chosen = [int((sample @ mean).argmax())]
    nearest = sample @ sample[chosen[0]]
    while len(chosen) < count:
        # Of the far ones that which most others are near to: an outlier would be a cluster of its own.
        far = np.argsort(nearest, kind="stable")[: max(1, len(sample) // 10)]
        chosen.append(int(far[(sample[far] @ sample.T > np.median(nearest)).sum(axis=1).argmax()]))
        nearest = np.maximum(nearest, sample @ sample[chosen[-1]])
    centres = sample[chosen]
    labels = np.full(len(vectors), -1)
    for _ in range(_MAX_ROUNDS):
        fresh = (vectors @ centres.T).argmax(axis=1)
        if (fresh == labels).all():
            break
        labels = fresh
        for label in range(count):
            members = vectors[labels == label]
            if len(members):
                centre = members.sum(axis=0)
                centres[label] = centre / max(float(np.linalg.norm(centre)), 1e-9)
    return labels


def _words(text: str) -> dict[str, str]:
    """The words of a text by their stems, each as it first stands there."""
    words: dict[str, str] = {}
    for word in split_words(text):
        if len(word) >= _MIN_CHARACTERS and not is_stop_word(word) and not word.isdigit():
            words.setdefault(stem(word), word)
    return words


def _telling_words(words_of_rows: Sequence[dict[str, str]], everywhere: Counter[str], total: int) -> tuple[str, ...]:
    """Words that many of these rows have, and not as many of the others."""
    here = Counter(word for words in words_of_rows for word in words)
    share = {word: count / len(words_of_rows) - everywhere[word] / total for word, count in here.items()}
    chosen = sorted(share, key=lambda word: (-share[word], word))[:_WORDS]
    forms = [Counter(words[word] for words in words_of_rows if word in words) for word in chosen]
    return tuple(min(form, key=lambda word: (-form[word], word)) for form in forms)
