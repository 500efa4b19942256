"""Bringing a model into a cluster, step by step, and taking it out again.

A model of ML Commons is in a group, which may have several, and asks its server by a connector, which has the model's
name here. What is there under that name already is used and brought up to date, where it was made here: its description
says so. What somebody else has called so is neither used nor changed, and never deleted. A group is chosen by its own
name, whoever made it: others' models may be in it, and it stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anyio

from gateway.errors import MlCommonsError, NotFoundError, OpenSearchAliasError, OpenSearchError
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.remote_model import MARK, RemoteModel

_API = "/_plugins/_ml"
_TRIES = 120
_PAUSE_SECONDS = 0.25
_LISTED = 100
_DEPLOYED = ("DEPLOYED", "PARTIALLY_DEPLOYED", "DEPLOYING")


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model in the cluster. `state` is ML Commons' own, as `DEPLOYED`."""

    id: str
    name: str
    state: str
    group_id: str
    connector_id: str


@dataclass(frozen=True, slots=True)
class RemainingPart:
    """What could not be taken out of the cluster, and why."""

    part: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What was taken out of the cluster, in order, and what is left."""

    removed: tuple[str, ...]
    remaining: tuple[RemainingPart, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """What has a name in the cluster: models and connectors that were made here, and whether there are others."""

    models: list[RegisteredModel]
    connectors: list[str]
    others_models: bool
    others_connectors: bool


class ModelRegistration:
    """Registers models and takes them out again; `report` is told of each step."""

    def __init__(self, client: ClusterClient, report: Callable[[str], None] = lambda step: None) -> None:
        self._client = client
        self._report = report

    async def register(self, model: RemoteModel, group: str) -> RegisteredModel:
        """Have the model deployed, in a group of that name. Raises OpenSearchError; what is done by then stays.

        Raises OpenSearchAliasError where a model or connector of that name is somebody else's, before anything is done.
        """
        own = await self._own(model.name)
        if (own.others_models and not own.models) or (own.others_connectors and not own.connectors):
            raise self._taken(model.name)
        there, connectors = own.models, own.connectors
        group_id = await self._group(group)
        if connectors:
            connector_id = connectors[0]
            using = [each for each in there if each.connector_id == connector_id]
            await self._update_connector(connector_id, model, using)
            self._report(f"connector {connector_id} was there and is up to date")
        else:
            made = await self._client.request("POST", f"{_API}/connectors/_create", model.connector())
            connector_id = _text(made, "connector_id")
            self._report(f"connector {connector_id} is made")
        found = next((each for each in there if each.connector_id == connector_id), None)
        if found is None:
            registered = await self._client.request(
                "POST",
                f"{_API}/models/_register",
                {
                    "name": model.name,
                    "function_name": "remote",
                    "model_group_id": group_id,
                    "description": model.connector()["description"],
                    "connector_id": connector_id,
                },
            )
            model_id = _text(registered, "model_id") or await self._model_of_task(_text(registered, "task_id"))
            self._report(f"model {model_id} is registered")
        else:
            model_id = found.id
            self._report(f"model {model_id} was there")
        await self._deploy(model_id)
        deployed = await self._wait_until_deployed(model_id)
        self._report(f"model {model_id} is deployed")
        return deployed

    async def find(self, name: str) -> list[RegisteredModel]:
        """The models of that name that were registered here, the newest first. Raises OpenSearchError."""
        return (await self._own(name)).models

    async def unregister(self, name: str, group: str) -> RemovalResult:
        """Take the models of that name out of the cluster, with their connectors, and with their groups, and the one
        that is called `group`, where nothing else is in them; of all of these what was made here. A step that fails
        does not end it, and what is left by it is taken out the next time.

        Raises NotFoundError where there is nothing of that name, OpenSearchAliasError where it is somebody else's, and
        OpenSearchError where that cannot be told.
        """
        own = await self._own(name)
        models = own.models
        connectors = dict.fromkeys(own.connectors)
        connectors |= dict.fromkeys(await self._made_here("connectors", [each.connector_id for each in models]))
        # A group that could not be deleted is known by its name alone, once its models are gone.
        groups = dict.fromkeys(await self._made_here("model_groups", [each.group_id for each in models]))
        groups |= dict.fromkeys(
            [
                id_
                for id_, source in await self._search("model_groups", group)
                if _is_made_here(source) and await self._is_empty(id_)
            ]
        )
        if not models and not connectors and not groups:
            if own.others_models or own.others_connectors:
                raise self._taken(name)
            raise NotFoundError(f"{self._client.label} has no model and no connector named {name}.")
        removal = _Removal(self._report)
        for each in models:
            await removal.attempt("deployment of model", each.id, self._undeploy(each), "ended")
            await removal.attempt("model", each.id, self._delete("models", each.id), "deleted")
        for id_ in connectors:
            await removal.attempt("connector", id_, self._delete("connectors", id_), "deleted")
        for group_id in groups:
            await removal.attempt("model group", group_id, self._delete_empty_group(group_id), "deleted")
        return RemovalResult(tuple(removal.removed), tuple(removal.remaining))

    async def _own(self, name: str) -> _Named:
        models, connectors = await self._search("models", name), await self._search("connectors", name)
        return _Named(
            [_registered(id_, source) for id_, source in models if _is_made_here(source)],
            [id_ for id_, source in connectors if _is_made_here(source)],
            any(not _is_made_here(source) for _, source in models),
            any(not _is_made_here(source) for _, source in connectors),
        )

    async def _made_here(self, what: str, ids: Sequence[str]) -> list[str]:
        """Those of these ids that are there and were made here."""
        wanted = [id_ for id_ in dict.fromkeys(ids) if id_]
        if not wanted:
            return []
        body = {"size": len(wanted), "query": {"ids": {"values": wanted}}}
        return [id_ for id_, source in await self._hits(what, body) if _is_made_here(source)]

    def _taken(self, name: str) -> OpenSearchAliasError:
        return OpenSearchAliasError(
            f"{self._client.label} has a model or connector named {name} that modelgate did not register",
            "choose another name, or have it taken out by whoever made it",
        )

    async def _group(self, name: str) -> str:
        found = await self._search("model_groups", name)
        if found:
            return found[0][0]
        made = await self._client.request(
            "POST", f"{_API}/model_groups/_register", {"name": name, "description": f"Models {MARK}"}
        )
        group_id = _text(made, "model_group_id")
        self._report(f"model group {group_id} is made")
        return group_id

    async def _search(self, what: str, name: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The id and the source of each that has this name, the newest first."""
        body = {
            "size": _LISTED,
            "query": {"term": {"name.keyword": name}},
            "sort": [{"created_time": {"order": "desc", "unmapped_type": "date"}}],
        }
        return await self._hits(what, body)

    async def _hits(self, what: str, body: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        try:
            said = await self._client.request("POST", f"{_API}/{what}/_search", body)
        except MlCommonsError as error:
            # Before the first of its kind there is no index of them.
            if error.status == 404:
                return []
            raise
        hits = said.get("hits")
        listed = hits.get("hits") if isinstance(hits, dict) else None
        return [
            (str(hit["_id"]), hit["_source"])
            for hit in (listed if isinstance(listed, list) else [])
            if isinstance(hit, dict) and "_id" in hit and isinstance(hit.get("_source"), dict)
        ]

    async def _update_connector(self, id_: str, model: RemoteModel, using: Sequence[RegisteredModel]) -> None:
        """Make a connector, with the models `using` it, what it is to be; where that fails they answer as before."""
        deployed = [each for each in using if each.state in _DEPLOYED]
        try:
            for each in using:
                # The cluster changes no connector of a model that is deployed.
                await self._undeploy(each)
            # Its credential cannot be read, so that it may be another one.
            await self._client.request("PUT", f"{_API}/connectors/{quote(id_)}", model.connector())
        except OpenSearchError:
            for each in deployed:
                with contextlib.suppress(OpenSearchError):
                    await self._deploy(each.id)
                    self._report(f"model {each.id} is deployed as it was")
            raise

    async def _deploy(self, model_id: str) -> None:
        await self._client.request("POST", f"{_API}/models/{quote(model_id)}/_deploy")

    async def _undeploy(self, model: RegisteredModel) -> None:
        await self._client.request("POST", f"{_API}/models/{quote(model.id)}/_undeploy")

    async def _delete(self, what: str, id_: str) -> None:
        await self._client.request("DELETE", f"{_API}/{what}/{quote(id_)}")

    async def _delete_empty_group(self, group_id: str) -> bool:
        """Whether the group was empty, and is deleted."""
        if not await self._is_empty(group_id):
            return False
        await self._delete("model_groups", group_id)
        return True

    async def _is_empty(self, group_id: str) -> bool:
        return not await self._hits("models", {"size": 1, "query": {"term": {"model_group_id": group_id}}})

    async def _model_of_task(self, task_id: str) -> str:
        """The model that a task registers, once it has: older versions answer with the task alone."""
        for _ in range(_TRIES):
            task = await self._client.request("GET", f"{_API}/tasks/{quote(task_id)}")
            if model_id := _text(task, "model_id"):
                return model_id
            if task.get("state") == "FAILED":
                break
            await anyio.sleep(_PAUSE_SECONDS)
        raise MlCommonsError(
            f"{self._client.label} did not register the model", f"GET {_API}/tasks/{task_id} there says why"
        )

    async def _wait_until_deployed(self, model_id: str) -> RegisteredModel:
        model = _registered(model_id, {})
        for _ in range(_TRIES):
            model = _registered(model_id, await self._client.request("GET", f"{_API}/models/{quote(model_id)}"))
            if model.state == "DEPLOYED":
                return model
            if model.state == "DEPLOY_FAILED":
                break
            await anyio.sleep(_PAUSE_SECONDS)
        raise MlCommonsError(
            f"{self._client.label} did not deploy model {model_id} (it is {model.state or 'in no state'})",
            "the log of its nodes says why",
        )


class _Removal:
    """Steps, each tried whatever became of those before."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self.removed: list[str] = []
        self.remaining: list[RemainingPart] = []

    async def attempt(self, part: str, id_: str, work: Coroutine[Any, Any, bool | None], word: str) -> None:
        """Do `work`, which says False where there was nothing to do. What is not there any more is done."""
        try:
            if await work is False:
                return
        except OpenSearchError as error:
            if not (isinstance(error, MlCommonsError) and error.status == 404):
                reason = (error.reason if isinstance(error, MlCommonsError) else "") or error.detail
                self.remaining.append(RemainingPart(part, id_, reason))
                self._report(f"{part} {id_} is not {word}: {reason}")
                return
        self.removed.append(f"{part} {id_}")
        self._report(f"{part} {id_} is {word}")


def _registered(id_: str, source: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(
        id_,
        _text(source, "name"),
        _text(source, "model_state"),
        _text(source, "model_group_id"),
        _text(source, "connector_id"),
    )


def _is_made_here(source: Mapping[str, Any]) -> bool:
    return _text(source, "description").endswith(MARK)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
