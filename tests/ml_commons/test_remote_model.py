"""What connectors send, and the places in templates."""

from __future__ import annotations

import json

import pytest

from gateway.errors import InvalidInputError
from gateway.ml_commons.prediction import Prediction
from gateway.ml_commons.remote_model import (
    CHOOSE_TOOL,
    DEFAULT_TEMPLATES,
    GatewayEmbedding,
    OllamaText,
    connector_template,
    template_placeholders,
)
from gateway.ml_commons.usage import next_requests


def test_a_key_is_in_the_credential_alone() -> None:
    model = GatewayEmbedding("mine", "embedding", "m", "http://gateway:8080", key="mg_secret", input_type="query")
    connector = model.connector()
    assert connector["credential"] == {"key": "mg_secret"}
    assert "mg_secret" not in json.dumps({name: part for name, part in connector.items() if name != "credential"})
    assert "mg_secret" not in repr(model)
    assert connector["parameters"] == {"model": "m", "input_type": "query"}
    assert connector["actions"][0]["url"] == "http://gateway:8080/v1/embeddings"


def test_a_template_is_a_part_of_json_whatever_it_holds() -> None:
    text = 'Say "{thing}"\n\\n to {who}, {thing} and { what } and {0}'
    written = connector_template(text)
    filled = written.replace("${parameters.thing}", "a").replace("${parameters.who}", "b")
    assert json.loads(f'"{filled}"') == 'Say "a"\n\\n to b, a and { what } and {0}'
    assert template_placeholders(text) == ("thing", "who")


@pytest.mark.parametrize("name", ["", "two words", "1st", "a.b", "prompt", "model", "a" * 65])
def test_a_template_has_a_name_that_a_place_can_have(name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be named"):
        OllamaText("mine", "generate", "m", "http://localhost", templates={name: "x"})


def test_a_prediction_by_each_template_is_shown_with_its_places() -> None:
    model = OllamaText(
        "mine", "generate", "m", "http://localhost", templates={**DEFAULT_TEMPLATES, "ask": "{question}"}
    )
    requests = next_requests(model, "id7", Prediction(0, "hi", 1.0))
    assert [each.path for each in requests] == ["/_plugins/_ml/models/id7/_predict"] * 2
    assert requests[0].body["parameters"] == {"prompt": "${parameters.ask}", "question": "the question"}
    assert set(requests[1].body["parameters"]) == {"prompt", *template_placeholders(DEFAULT_TEMPLATES[CHOOSE_TOOL])}
