"""What a registered model answers to a test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.errors import MlCommonsError
from gateway.ml_commons.cluster_client import ClusterClient


@dataclass(frozen=True, slots=True)
class Prediction:
    """`dimensions` of the vector (0 for text), or the `text` (empty for a vector), and how long that took."""

    dimensions: int
    text: str
    milliseconds: float


class PredictionClient:
    """Asks a registered model as pipelines and queries do."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    async def embed(self, model_id: str, text: str) -> Prediction:
        """A vector of `text`. Raises OpenSearchError, also where the answer holds none."""
        body = {"text_docs": [text], "return_number": True, "target_response": ["sentence_embedding"]}
        started = time.perf_counter()
        output = self._output(
            await self._client.request("POST", f"/_plugins/_ml/_predict/text_embedding/{quote(model_id)}", body)
        )
        vector = output.get("data")
        if not isinstance(vector, list) or not vector:
            raise MlCommonsError(
                f"{self._client.label} made no vector with model {model_id}", "check that its server embeds"
            )
        return Prediction(len(vector), "", _since(started))

    async def generate(self, model_id: str, prompt: str) -> Prediction:
        """What the model says to `prompt`. Raises OpenSearchError, also where it says nothing."""
        started = time.perf_counter()
        output = self._output(
            await self._client.request(
                "POST", f"/_plugins/_ml/models/{quote(model_id)}/_predict", {"parameters": {"prompt": prompt}}
            )
        )
        said = output.get("dataAsMap")
        text = said.get("response") if isinstance(said, dict) else None
        if not isinstance(text, str) or not text:
            raise MlCommonsError(
                f"{self._client.label} had no text from model {model_id}",
                "check that its server has a language model of that name",
            )
        return Prediction(0, text, _since(started))

    def _output(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            output = said["inference_results"][0]["output"][0]
        except (KeyError, IndexError, TypeError):
            output = None
        if not isinstance(output, dict):
            raise MlCommonsError(
                f"{self._client.label} answered a prediction in a way that is not known",
                "report it, with the version of the cluster",
            )
        return output


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
