"""What to send to a cluster next, once a model is registered: requests to adapt, not to send as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.ml_commons.prediction import Prediction
from gateway.ml_commons.remote_model import CHOOSE_TOOL, OllamaText, RemoteModel, template_placeholders

_PIPELINE = "text-vectors"
_INDEX = "my-texts"


@dataclass(frozen=True, slots=True)
class NextRequest:
    """A request to the cluster's REST API."""

    method: str
    path: str
    body: Mapping[str, Any]


def next_requests(model: RemoteModel, model_id: str, prediction: Prediction) -> list[NextRequest]:
    """For vectors a pipeline, an index that uses it and a neural query; for text a prediction by each template."""
    if isinstance(model, OllamaText):
        path = f"/_plugins/_ml/models/{model_id}/_predict"
        names = dict.fromkeys([*sorted(set(model.templates) - {CHOOSE_TOOL}), CHOOSE_TOOL])
        return [
            NextRequest("POST", path, template_request(name, model.templates[name]))
            for name in names
            if name in model.templates
        ]
    return [
        NextRequest("PUT", f"/_ingest/pipeline/{_PIPELINE}", ingest_pipeline(model_id)),
        NextRequest("PUT", f"/{_INDEX}", vector_index(prediction.dimensions)),
        NextRequest("POST", f"/{_INDEX}/_search", neural_query(model_id)),
    ]


def ingest_pipeline(model_id: str) -> dict[str, Any]:
    """A pipeline that embeds the field `text` of each document into `text_vector`."""
    return {"processors": [{"text_embedding": {"model_id": model_id, "field_map": {"text": "text_vector"}}}]}


def vector_index(dimensions: int) -> dict[str, Any]:
    """An index whose documents go through that pipeline."""
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    return {
        "settings": {"index": {"knn": True, "default_pipeline": _PIPELINE}},
        "mappings": {
            "properties": {
                "text": {"type": "text"},
                "text_vector": {"type": "knn_vector", "dimension": dimensions, "method": method},
            }
        },
    }


def neural_query(model_id: str, text: str = "what is looked for") -> dict[str, Any]:
    """A search for the documents that are nearest to a text."""
    return {
        "_source": {"excludes": ["text_vector"]},
        "query": {"neural": {"text_vector": {"query_text": text, "model_id": model_id, "k": 10}}},
    }


def template_request(name: str, text: str) -> dict[str, Any]:
    """A prediction with the template of that name as its prompt, each of its places filled."""
    places = {place: f"the {place}" for place in template_placeholders(text)}
    return {"parameters": {"prompt": "${parameters." + name + "}", **places}}
