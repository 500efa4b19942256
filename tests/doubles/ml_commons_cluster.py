"""A cluster of OpenSearch with ML Commons: what 2.19.1 answers to registering a model, using it and taking it out."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_API = "/_plugins/_ml"
_PATTERNS = ["^https://api\\.openai\\.com/.*$", "^https://api\\.cohere\\.ai/.*$"]


class MlCommonsCluster:
    """Keeps groups, connectors and models, and asks their servers where a prediction is wanted.

    Those asked by `password` name one user. `has_plugin` False: no ML Commons. Deletions of what `stuck` names
    (`connectors/ID`) fail. `knows_remote_roles` False: a version before models elsewhere had roles of their own.
    """

    def __init__(self, password: str = "") -> None:
        self.password = password
        self.has_plugin = True
        self.knows_remote_roles = True
        self.stuck: set[str] = set()
        self.persistent: dict[str, Any] = {}
        self.kept: dict[str, dict[str, dict[str, Any]]] = {"model_groups": {}, "connectors": {}, "models": {}}
        self.keys: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self._ids = (f"id{number}" for number in itertools.count(1))

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.requests.append((request.method, path))
        if self.password:
            pair = base64.b64encode(f"admin:{self.password}".encode()).decode()
            if request.headers.get("authorization") != f"Basic {pair}":
                return Response("Unauthorized", 401)
        body = json.loads(await request.body() or b"{}")
        if path == "/_cluster/settings":
            return self._settings(request, body)
        if path == "/_nodes":
            return JSONResponse({"nodes": {"n1": {"roles": ["cluster_manager", "data", "ingest"]}}})
        if not self.has_plugin or not path.startswith(_API):
            return JSONResponse({"error": f"no handler found for uri [{path}] and method [{request.method}]"}, 400)
        parts = path.removeprefix(f"{_API}/").split("/")
        return await self._plugin(request.method, parts, body)

    def _settings(self, request: Request, body: Mapping[str, Any]) -> Response:
        if request.method == "PUT":
            self.persistent |= body["persistent"]
            return JSONResponse({"acknowledged": True})
        defaults = {
            "plugins.ml_commons.trusted_connector_endpoints_regex": _PATTERNS,
            "plugins.ml_commons.connector.private_ip_enabled": "false",
            "plugins.ml_commons.only_run_on_ml_node": "true",
            "plugins.ml_commons.memory_feature_enabled": "true",
        }
        if self.knows_remote_roles:
            defaults["plugins.ml_commons.task_dispatcher.eligible_node_role.remote_model"] = ["data", "ml"]
        rest = {name: value for name, value in defaults.items() if name not in self.persistent}
        return JSONResponse({"persistent": _nested(self.persistent), "defaults": _nested(rest)})

    async def _plugin(self, method: str, parts: list[str], body: dict[str, Any]) -> Response:
        match method, parts:
            case "POST", [what, "_search"]:
                return self._search(what, body)
            case "POST", ["model_groups", "_register"]:
                return self._keep("model_groups", body, "model_group_id", status="CREATED")
            case "POST", ["connectors", "_create"]:
                return self._untrusted(body) or self._keep("connectors", body, "connector_id")
            case "PUT", ["connectors", id_]:
                using = [key for key, model in self._models_of(id_).items() if model["model_state"] == "DEPLOYED"]
                if using:
                    reason = f"{len(using)} models are still using this connector, please undeploy the models first"
                    return _error(400, "status_exception", f"{reason}: [{', '.join(using)}]")
                if (refusal := self._untrusted(body)) is not None:
                    return refusal
                self._remember_key(id_, body)
                self.kept["connectors"][id_] |= body
                return JSONResponse({"_id": id_, "result": "updated"})
            case "POST", ["models", "_register"]:
                more = {"model_state": "REGISTERED", "algorithm": "REMOTE"}
                return self._keep("models", {**body, **more}, "model_id", task_id="task", status="CREATED")
            case "POST", ["models", id_, "_deploy" | "_undeploy" as step]:
                if id_ not in self.kept["models"]:
                    return _error(404, "status_exception", "Failed to find model")
                self.kept["models"][id_]["model_state"] = "DEPLOYED" if step == "_deploy" else "UNDEPLOYED"
                if step == "_deploy":
                    return JSONResponse({"task_id": "task", "task_type": "DEPLOY_MODEL", "status": "COMPLETED"})
                return JSONResponse({"n1": {"stats": {id_: "undeployed"}}})
            case "POST", ["_predict", "text_embedding", id_]:
                return await self._embed(id_, body["text_docs"])
            case "POST", ["models", id_, "_predict"]:
                return await self._generate(id_, body["parameters"])
            case "GET", ["models", id_] if id_ in self.kept["models"]:
                return JSONResponse(self.kept["models"][id_])
            case "DELETE", [what, id_]:
                return self._delete(what, id_)
        return _error(404, "status_exception", "Failed to find model")

    def _untrusted(self, connector: Mapping[str, Any]) -> Response | None:
        """The refusal of a connector to where the settings let none go."""
        url = connector["actions"][0]["url"]
        trusted = self.persistent.get("plugins.ml_commons.trusted_connector_endpoints_regex", _PATTERNS)
        if any(pattern.split("/.*")[0].lstrip("^").replace("\\", "") in url for pattern in trusted):
            return None
        reason = f"Connector URL is not matching the trusted connector endpoint regex, URL is: {url}"
        return _error(400, "illegal_argument_exception", reason)

    def _search(self, what: str, body: Mapping[str, Any]) -> Response:
        query = body["query"]
        if "ids" in query:
            ids = set(query["ids"]["values"])
        else:
            ((field, value),) = query["term"].items()
            name = field.removesuffix(".keyword")
            ids = {id_ for id_, source in self.kept[what].items() if source.get(name) == value}
        hits = [
            {"_id": id_, "_source": {key: part for key, part in source.items() if key != "credential"}}
            for id_, source in self.kept[what].items()
            if id_ in ids
        ]
        return JSONResponse({"timed_out": False, "hits": {"total": {"value": len(hits)}, "hits": hits[::-1]}})

    def _keep(self, what: str, body: dict[str, Any], member: str, **more: str) -> Response:
        id_ = next(self._ids)
        self._remember_key(id_, body)
        self.kept[what][id_] = body
        return JSONResponse({member: id_, **more})

    def _remember_key(self, id_: str, body: dict[str, Any]) -> None:
        if "credential" in body:
            self.keys[id_] = body["credential"]["key"]

    def _delete(self, what: str, id_: str) -> Response:
        if f"{what}/{id_}" in self.stuck:
            return _error(500, "illegal_state_exception", "the shard is not there")
        if what == "models" and self.kept[what].get(id_, {}).get("model_state") == "DEPLOYED":
            reason = "Model cannot be deleted in deploying or deployed state. Try undeploy model first then delete"
            return _error(400, "status_exception", reason)
        if what == "connectors" and (using := self._models_of(id_)):
            reason = f"{len(using)} models are still using this connector, please delete or update the models first"
            return _error(409, "status_exception", f"{reason}: [{', '.join(using)}]")
        there = self.kept[what].pop(id_, None) is not None
        return JSONResponse({"_id": id_, "result": "deleted" if there else "not_found"})

    def _models_of(self, connector_id: str) -> dict[str, dict[str, Any]]:
        return {id_: each for id_, each in self.kept["models"].items() if each.get("connector_id") == connector_id}

    async def _embed(self, id_: str, texts: list[str]) -> Response:
        said = await self._ask(id_, {"input": json.dumps(texts)})
        if isinstance(said, Response):
            return said
        rows = [each["embedding"] for each in said["data"]] if "data" in said else said["embeddings"]
        output = [
            {"name": "sentence_embedding", "data_type": "FLOAT32", "shape": [len(row)], "data": row} for row in rows
        ]
        return JSONResponse({"inference_results": [{"output": output, "status_code": 200}]})

    async def _generate(self, id_: str, parameters: Mapping[str, str]) -> Response:
        said = await self._ask(id_, {name: json.dumps(value)[1:-1] for name, value in parameters.items()})
        if isinstance(said, Response):
            return said
        output = [{"name": "response", "dataAsMap": said}]
        return JSONResponse({"inference_results": [{"output": output, "status_code": 200}]})

    async def _ask(self, id_: str, given: Mapping[str, str]) -> Any:
        """What the server of a model answers, or the response that says how it failed."""
        connector_id = self.kept["models"][id_]["connector_id"]
        connector = self.kept["connectors"][connector_id]
        action = connector["actions"][0]
        text = action["request_body"]
        # A value may have places of its own.
        for _ in range(3):
            for name, value in {**connector["parameters"], **given}.items():
                text = text.replace("${parameters." + name + "}", value)
        headers = {
            name: value.replace("${credential.key}", self.keys[connector_id])
            for name, value in action["headers"].items()
        }
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
            response = await client.post(action["url"], content=text.encode(), headers=headers)
        if response.is_success:
            return response.json()
        reason = f"Error from remote service: {response.text}"
        return _error(response.status_code, "status_exception", reason)


def _error(status: int, kind: str, reason: str) -> Response:
    cause = {"type": kind, "reason": reason}
    return JSONResponse({"error": {"root_cause": [cause], **cause}, "status": status}, status)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        level = nested
        for step in path:
            level = level.setdefault(step, {})
        level[last] = str(value).lower() if isinstance(value, bool) else value
    return nested
