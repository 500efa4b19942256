"""The upstream servers of the cluster: each has its sessions in one process, and all others reach it through there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from mcp.shared.exceptions import MCPError

from gateway.cluster.cluster import Cluster
from gateway.cluster.links.link import Link, LinkMessage, LinkStream
from gateway.cluster.member import Member
from gateway.cluster.upstreams.owner_routing import OwnerRouting
from gateway.cluster.upstreams.remote_hooks import RemoteHooks, receive_until_answered
from gateway.cluster.upstreams.remote_servers import RemoteServers
from gateway.cluster.upstreams.request_origin import in_origin, origin_to_wire
from gateway.cluster.upstreams.sealed_credentials import SealedCredentials
from gateway.cluster.upstreams.server_events import ReadSpec, ServerEvents
from gateway.cluster.upstreams.shared_subscriptions import SharedSubscriptions
from gateway.cluster.upstreams.upstream_wire import (
    error_from_wire,
    error_to_wire,
    info_from_wire,
    info_to_wire,
    request_to_wire,
    status_from_wire,
    status_to_wire,
)
from gateway.errors import (
    DatabaseError,
    LinkFailedError,
    LinkLostError,
    ModelGateError,
    NotFoundError,
    NotOwnerError,
    UpstreamError,
)
from gateway.json_codec import Message
from gateway.settings import UpstreamSettings
from gateway.task_set import TaskSet
from gateway.telemetry.tracing import Tracing
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus

_SERVICE = "upstream"
_CLOSE = "upstream-close"
_SUBSCRIBE, _UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
_CLOSE_SECONDS = 5.0
_MARK_BYTES = 8


class ClusterPool(UpstreamPool):
    """Sends what is for a server to the member that owns it; limits, breaker and sessions are there, once for all."""

    def __init__(
        self,
        settings: UpstreamSettings,
        cluster: Cluster,
        read_spec: ReadSpec,
        own: UpstreamNotifications,
        everywhere: UpstreamNotifications,
        capabilities: Message,
        credentials: SealedCredentials,
        tracing: Tracing,
    ) -> None:
        """`own` takes the notifications of this process's sessions, of which others are told; what they tell goes to
        `everywhere`. `capabilities` are offered to every server. `credentials` seals those of persons on their way.
        `tracing` goes on with the traces of those who ask.
        """
        super().__init__(
            settings,
            on_list_changed=own.notify_list_changed,
            on_notification=own.notify,
            on_session=own.notify_session,
            capabilities=capabilities,
        )
        hop, membership = self._hop, self._membership = cluster.hop, cluster.membership
        self._owners = cluster.owners
        self._read_spec = read_spec
        self._credentials = credentials
        self._tracing = tracing
        self._subscriptions = SharedSubscriptions()
        self._known_as = membership.id
        self._background = TaskSet()
        self._remote = RemoteServers()
        self._routing = OwnerRouting(cluster, on_owned=self._remote.forget)
        # By server what was told last, with the mark by which who asks says that it knows it.
        self._told_infos: dict[int, tuple[SessionInfo, str]] = {}
        hop.services[_SERVICE] = self._serve
        hop.services[_CLOSE] = self._close
        hop.subscribe_left(self._on_member_left)
        membership.subscribe(self._on_membership)
        own.subscribe_sessions(self._on_own_session)
        self._events = ServerEvents(hop, read_spec, own, everywhere, self._background)

    async def request(self, spec: ServerSpec, request: UpstreamRequest) -> Message:
        async def ask(link: Link) -> Message:
            return await self._ask(link, spec, request)

        return await self._routing.run(spec, lambda: self._request_here(spec, request, self._membership.id), ask)

    async def list_all(
        self, spec: ServerSpec, method: str, key: str, credential: PersonCredential | None = None
    ) -> list[Any]:
        async def list_there(link: Link) -> list[Any]:
            sealed = None if credential is None else self._credentials.seal(spec, credential)
            act = {"act": "list", "method": method, "key": key, "credential": sealed}
            answer = await self._ask_once(link, spec, act)
            self._remote.set_listing_note(spec.id, method, answer["note"])
            items: list[Any] = answer["result"]
            return items

        return await self._routing.run(
            spec, lambda: UpstreamPool.list_all(self, spec, method, key, credential), list_there, harmless=True
        )

    async def check(self, spec: ServerSpec) -> ServerStatus:
        return await self._status_of(spec, "check", lambda: UpstreamPool.check(self, spec))

    async def fetch_status(self, spec: ServerSpec) -> ServerStatus:
        async def read() -> ServerStatus:
            return UpstreamPool.status(self, spec.id)

        return await self._status_of(spec, "status", read)

    def session_info(self, spec: ServerSpec) -> SessionInfo | None:
        return self._remote.session_info(spec) or super().session_info(spec)

    def listing_note(self, spec: ServerSpec, method: str) -> str:
        known = self._remote.listing_note(spec.id, method)
        return super().listing_note(spec, method) if known is None else known

    def status(self, server_id: int) -> ServerStatus:
        return self._remote.status(server_id) or super().status(server_id)

    async def close_server(self, server_id: int) -> None:
        self._remote.forget(server_id)
        self._told_infos.pop(server_id, None)
        await super().close_server(server_id)
        await self._close_everywhere({"close_server": server_id})

    async def close_sessions(self, session_key: str) -> None:
        await super().close_sessions(session_key)
        await self._close_everywhere({"close_sessions": session_key})

    async def _status_of(self, spec: ServerSpec, act: str, here: Callable[[], Awaitable[ServerStatus]]) -> ServerStatus:
        async def ask(link: Link) -> ServerStatus:
            status = status_from_wire((await self._ask_once(link, spec, {"act": act}))["result"])
            self._remote.set_status(spec.id, status)
            return status

        try:
            return await self._routing.run(spec, here, ask, harmless=True)
        except UpstreamError as error:
            return ServerStatus(state="failing", last_error=error.message)

    async def _request_here(self, spec: ServerSpec, request: UpstreamRequest, member_id: str) -> Message:
        """A request of a member, in the sessions that are here."""
        method = request.method
        if method not in (_SUBSCRIBE, _UNSUBSCRIBE):
            return await UpstreamPool.request(self, spec, request)
        session = (spec.tenant_id, spec.id, request.session_key if spec.session == "per_client" else None)
        uri = str((request.params or {}).get("uri"))
        if method == _SUBSCRIBE:
            # Before it is asked for: whoever unsubscribes meanwhile must not end it.
            self._subscriptions.add(session, uri, member_id)
        elif not self._subscriptions.remove(session, uri, member_id):
            return {}
        try:
            return await UpstreamPool.request(self, spec, request)
        except UpstreamError:
            self._subscriptions.remove(session, uri, member_id)
            raise

    async def _ask(self, link: Link, spec: ServerSpec, request: UpstreamRequest) -> Message:
        """A request to the owner, which says meanwhile what the server says."""
        wire = request_to_wire(request)
        if request.credential is not None:
            # Under a name of its own: a member that does not know it must not make the request as somebody else.
            wire = {"personal": {**wire, "credential": self._credentials.seal(spec, request.credential)}}
        stream = await link.open(_SERVICE, {**self._about(spec), "act": "request", **wire})
        try:
            head = await receive_until_answered(stream, request.hooks)
        finally:
            stream.close()
        result: Message = self._read_answer(spec, head)["result"]
        return result

    async def _ask_once(self, link: Link, spec: ServerSpec, head: Message) -> Message:
        answer = await link.ask(_SERVICE, {**self._about(spec), **head})
        return self._read_answer(spec, answer.head)

    def _about(self, spec: ServerSpec) -> Message:
        mark = self._remote.info_mark(spec)
        about = {"tenant": spec.tenant_id, "server": spec.id, "knows": mark, **origin_to_wire()}
        return about | {"sees_database": self._membership.sees_database}

    def _read_answer(self, spec: ServerSpec, head: Message) -> Message:
        if "refused" in head:
            raise NotOwnerError()
        if "info" in head:
            self._remote.set_session_info(spec, info_from_wire(head["info"]), head.get("info_mark"))
        if "error" in head:
            raise error_from_wire(head["error"])
        return head

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """What another member wants of a server that this one owns."""
        attributes = {"modelgate.member": self._membership.id}
        with in_origin(first.head, self._tracing, "hop upstream", attributes):
            return await self._answer(stream, first.head)

    async def _answer(self, stream: LinkStream, head: Message) -> LinkMessage:
        tenant_id, server_id = int(head["tenant"]), int(head["server"])
        try:
            spec = await self._read_spec(tenant_id, server_id)
            # Last of all, with no pause before the server is asked: a process that was stopped in its tracks may find
            # itself taken for dead at each.
            if await self._owners.owner(tenant_id, server_id) != self._membership.id:
                self._owners.forget(tenant_id, server_id)
                return LinkMessage({"refused": "not the owner"})
        except (NotFoundError, DatabaseError) as error:
            # Who has the database has to have the server, too. The version before does not say whether it has.
            if isinstance(error, DatabaseError) and head.get("sees_database") and self._membership.give_up():
                return LinkMessage({"refused": "out of sight of the database"})
            return LinkMessage({"error": {**error_to_wire(error), "server": str(server_id)}})
        answer: Message
        try:
            answer = await self._act(stream, spec, head)
        except (ModelGateError, MCPError) as error:
            answer = {"error": error_to_wire(error)}
        info, mark = self._marked_info(spec)
        # The version before does not say what it knows.
        if "knows" not in head or head["knows"] != mark:
            answer |= {"info": info_to_wire(info), "info_mark": mark}
        return LinkMessage(answer)

    def _marked_info(self, spec: ServerSpec) -> tuple[SessionInfo | None, str | None]:
        """What was negotiated with a server, and a mark that nothing else negotiated anywhere has; None for nothing."""
        info = UpstreamPool.session_info(self, spec)
        if info is None:
            return None, None
        told = self._told_infos.get(spec.id)
        if told is None or told[0] is not info:
            told = self._told_infos[spec.id] = (info, secrets.token_hex(_MARK_BYTES))
        return told

    async def _act(self, stream: LinkStream, spec: ServerSpec, head: Message) -> Message:
        act = head["act"]
        if act == "list":
            sealed = head.get("credential")
            credential = None if sealed is None else self._credentials.open(spec, sealed)
            items = await UpstreamPool.list_all(self, spec, head["method"], head["key"], credential)
            return {"result": items, "note": UpstreamPool.listing_note(self, spec, head["method"])}
        if act == "check":
            return {"result": status_to_wire(await UpstreamPool.check(self, spec))}
        if act == "status":
            return {"result": status_to_wire(UpstreamPool.status(self, spec.id))}
        credential = None
        if "personal" in head:
            head = head["personal"]
            credential = self._credentials.open(spec, head["credential"])
        remote = RemoteHooks(stream)
        request = UpstreamRequest(
            head["method"],
            head["params"],
            session_key=head["session_key"],
            timeout=head["timeout"],
            hooks=remote.hooks(*head["hooks"]),
            capabilities=head["capabilities"],
            cancellable=head["cancellable"],
            credential=credential,
        )
        listening = asyncio.create_task(remote.take_answers())
        try:
            return {"result": await self._request_here(spec, request, stream.peer)}
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _close_everywhere(self, what: Message) -> None:
        others = list(self._membership.others.values())
        await asyncio.gather(*(self._close_at(member, what) for member in others))

    async def _close_at(self, member: Member, what: Message) -> None:
        # One that cannot be reached is gone, or will be; what it keeps open for nobody ends by itself.
        with contextlib.suppress(LinkLostError, LinkFailedError, asyncio.TimeoutError):
            link = await self._hop.link(member)
            await asyncio.wait_for(link.ask(_CLOSE, what), _CLOSE_SECONDS)

    async def _close(self, _: LinkStream, first: LinkMessage) -> LinkMessage:
        what = first.head
        if "close_server" in what:
            self._remote.forget(what["close_server"])
            self._told_infos.pop(what["close_server"], None)
            await UpstreamPool.close_server(self, what["close_server"])
        else:
            await UpstreamPool.close_sessions(self, what["close_sessions"])
        return LinkMessage({})

    def _on_member_left(self, member_id: str) -> None:
        """Nothing that is here is for a member any more."""
        for (tenant_id, server_id, key), uri in list(self._subscriptions.remove_member(member_id)):
            self._background.spawn(self._unsubscribe(tenant_id, server_id, key, uri))

    def _on_own_session(self, spec: ServerSpec, session_key: str | None, _: object, opened: bool) -> None:
        if not opened:
            self._subscriptions.forget(spec.tenant_id, spec.id, session_key)

    async def _unsubscribe(self, tenant_id: int, server_id: int, session_key: str | None, uri: str) -> None:
        with contextlib.suppress(ModelGateError):
            spec = await self._read_spec(tenant_id, server_id)
            await UpstreamPool.request(self, spec, UpstreamRequest(_UNSUBSCRIBE, {"uri": uri}, session_key=session_key))

    def _on_membership(self) -> None:
        for member in self._membership.others.values():
            # Without a link nothing would be heard of what its servers say.
            self._background.spawn(self._connect_to(member))
        if self._known_as != self._membership.id:
            # Others own what this process owned as the member that it was.
            self._known_as = self._membership.id
            self._background.spawn(self._hop.close_incoming())
            for server_id in list(self._servers):
                self._background.spawn(UpstreamPool.close_server(self, server_id))

    async def _connect_to(self, member: Member) -> None:
        await self._hop.is_reachable(member)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._background.aclose()
        await super().__aexit__(kind, error, traceback)
