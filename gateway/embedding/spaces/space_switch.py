"""Changing by hand which embedding space serves: at once, for a share of the searches, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.embedding.local.builtin import BUILTIN_MODEL
from gateway.embedding.spaces.space_store import MAX_INDEXED_DIMENSIONS, SpaceRecord, SpaceStore, StoredSpace
from gateway.errors import ConflictError, NotFoundError

SpaceState = Literal["serving", "routed", "sharing", "filling", "full", "paused", "former", "gone"]
"""`full`: holds every tool and does not serve; `former`: has served, and is kept to go back to; `gone`: the model's
weights are others by now, so that no query can be embedded in it; `routed`: answers the queries in its languages."""

_ROLLED_BACK = "another space was gone back to"


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space as a person sees it: of `tools` tools in all, `embedded` have all their vectors in it."""

    record: SpaceRecord
    tools: int
    embedded: int

    @property
    def state(self) -> SpaceState:
        """In one word."""
        record = self.record
        if record.active:
            return "serving"
        if record.is_gone:
            return "gone"
        if record.paused:
            return "paused"
        if record.share and record.filled_at is not None:
            return "sharing"
        if record.languages and record.filled_at is not None:
            return "routed"
        if record.retired_at is not None:
            return "former"
        return "full" if record.filled_at is not None else "filling"

    @property
    def remark(self) -> str:
        """What more there is to know, as a sentence; empty where there is nothing."""
        space = self.record.stored.space
        if self.record.paused:
            return f"Paused: {self.record.paused}."
        if self.record.languages:
            languages = ", ".join("all others" if each == "*" else each for each in self.record.languages)
            return f"For queries in {languages}, as embedder.route says."
        if space.dimensions > MAX_INDEXED_DIMENSIONS:
            return (
                f"PostgreSQL cannot index more than {MAX_INDEXED_DIMENSIONS} dimensions: above search.exact_tools "
                "tools searches there take longer; set embedder.dimensions."
            )
        return ""


class SpaceSwitch:
    """What people and scripts do with spaces; every process follows at once."""

    def __init__(self, store: SpaceStore) -> None:
        self._store = store

    async def status(self) -> list[SpaceStatus]:
        """Every space, the serving one first; then the newest."""
        progress = await self._store.progress()
        records = [record for record in await self._store.records() if record.stored.id in progress]
        return [
            SpaceStatus(record, progress[record.stored.id].tools, progress[record.stored.id].embedded)
            for record in records
        ]

    async def compared(self, space_id: int | None = None) -> tuple[StoredSpace, StoredSpace]:
        """The space that serves and the one to compare it with: that of the number, else the one that shares its
        searches, else the newest that is no standby. Raises NotFoundError where there are not two.
        """
        statuses = await self.status()
        serving = next((status.record.stored for status in statuses if status.record.active), None)
        sharing = next((status.record.stored.id for status in statuses if status.record.share), None)
        other = _choose(statuses, space_id or sharing).record.stored
        if serving is None or serving.id == other.id:
            raise NotFoundError("There is no other space to compare with.")
        return serving, other

    async def switch(self, space_id: int | None = None, share: int = 100) -> SpaceStatus:
        """Let a space serve, or with a `share` below 100 that percent of the searches; without `space_id` the newest
        one that does not serve and is no standby. Returns what it was before.

        Raises NotFoundError where there is none, and ConflictError where it cannot serve: its weights are gone, or it
        does not hold every tool yet. A share may be set before, and holds once it does.
        """
        statuses = await self.status()
        chosen = _choose(statuses, space_id)
        space = chosen.record.stored
        if chosen.record.is_gone:
            raise ConflictError(
                f"Space {space.id} cannot serve: {space.space.model} has other weights than those that made it, and no "
                "query could be embedded in it."
            )
        if share < 100:
            if chosen.record.active:
                raise ConflictError(f"Space {space.id} serves already; let another one share the searches.")
            await self._store.share(space.id, share)
            return chosen
        # The one that serves is gone back to from one that shares.
        if chosen.record.filled_at is None and not chosen.record.active:
            lacks = chosen.embedded < chosen.tools
            raise ConflictError(
                f"Space {space.id} holds {chosen.embedded} of {chosen.tools} tools; it can serve "
                + ("when it holds all." if lacks else "once a gateway that runs has noted that, within seconds.")
            )
        former = next((status.record for status in statuses if status.record.active), None)
        await self._store.activate(space.id)
        if former is not None and former.stored.id > space.id:
            # Else the gateway would switch to it again, as the settings say.
            await self._store.pause(former.stored.id, _ROLLED_BACK)
        return chosen

    async def pause(self, space_id: int) -> SpaceStatus:
        """Neither fill a space nor switch to it until it is resumed. Raises NotFoundError, and ConflictError where it
        serves.
        """
        chosen = _choose(await self.status(), space_id)
        if chosen.record.active:
            raise ConflictError(f"Space {space_id} serves; switch to another one first.")
        await self._store.pause(space_id, "on request")
        return chosen

    async def resume(self, space_id: int | None = None) -> SpaceStatus:
        """Go on with a paused space; without `space_id` the newest. Raises NotFoundError where there is none."""
        statuses = await self.status()
        paused = [status for status in statuses if status.record.paused]
        if space_id is None and not paused:
            raise NotFoundError("No space is paused.")
        chosen = paused[0] if space_id is None else _choose(statuses, space_id)
        await self._store.pause(chosen.record.stored.id, "")
        return chosen

    async def drop(self, space_id: int) -> SpaceStatus:
        """Drop a space with its vectors. Raises NotFoundError, and ConflictError where it serves."""
        chosen = _choose(await self.status(), space_id)
        if chosen.record.active:
            raise ConflictError(f"Space {space_id} serves; switch to another one before it is dropped.")
        if chosen.record.languages:
            raise ConflictError(f"Space {space_id} is for a route of embedder.route; take that out first.")
        await self._store.drop(space_id)
        return chosen


def _choose(statuses: list[SpaceStatus], space_id: int | None) -> SpaceStatus:
    for status in statuses:
        stored = status.record.stored
        if stored.id == space_id:
            return status
        if (
            space_id is None
            and not status.record.active
            and not status.record.languages
            and stored.space.model != BUILTIN_MODEL
        ):
            return status
    raise NotFoundError("There is no other space." if space_id is None else f"There is no space {space_id}.")
