"""The description of the REST API."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from gateway.admin.rest.api import OPERATIONS
from gateway.admin.rest.openapi import openapi_document
from tests.support.gateway import RunningGateway


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(item) for item in value.values()))
    return set().union(*(_references(item) for item in value)) if isinstance(value, list) else set()


async def test_it_is_served_to_everybody_and_says_no_secret(gateway: RunningGateway) -> None:
    response = await gateway.http.get("/api/openapi.json")
    assert response.json()["openapi"] == "3.1.0"
    assert response.json() == json.loads(json.dumps(openapi_document(OPERATIONS)))


def test_every_operation_is_described_once_and_every_reference_leads_somewhere() -> None:
    document = openapi_document(OPERATIONS)
    described = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert sorted(described) == sorted({operation.name for operation in OPERATIONS})
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert _references(document) <= there
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_says_what_it_does_and_who_may_do_it() -> None:
    for path in openapi_document(OPERATIONS)["paths"].values():
        for item in path.values():
            assert item["summary"].endswith("."), item["operationId"]
            assert item["security"] or item["operationId"] in ("sign_in", "make_first_admin")
