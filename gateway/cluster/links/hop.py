"""The links of this process with the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

from gateway.cluster.links.channel import Channel, Connect
from gateway.cluster.links.link import Link, OnEvent, Service
from gateway.cluster.links.signed_channel import ReadKeys, admit, greet
from gateway.cluster.member import Member
from gateway.errors import LinkLostError, LinkRefusedError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.telemetry.tracing import untraced

logger = logging.getLogger(__name__)

# Whoever asks for a link that could not be had just now is told so, without another try.
_UNREACHED_SECONDS = 1.0


class Hop:
    """Reaches other members, and lets them reach what `services` offer here.

    A link carries requests one way, from who opened it, and events the other way.
    """

    def __init__(self, keys: ReadKeys, own_id: Callable[[], str], connect: Connect) -> None:
        self.services: dict[str, Service] = {}
        self._keys = keys
        self._own_id = own_id
        self._connect = connect
        self._links: dict[str, Link] = {}
        self._incoming: set[Link] = set()
        # By id and address; one that has failed stays for a while.
        self._dialing: dict[tuple[str, str], asyncio.Task[Link | None]] = {}
        self._tasks = TaskSet()
        self._event_subscribers: list[OnEvent] = []
        self._lost_subscribers: list[Callable[[str], None]] = []
        self._left_subscribers: list[Callable[[str], None]] = []

    def subscribe_events(self, callback: OnEvent) -> None:
        """Call `callback(member id, event)` for what others tell, while there is a link to them."""
        self._event_subscribers.append(callback)

    def subscribe_lost(self, callback: Callable[[str], None]) -> None:
        """Call `callback(member id)` when the link to a member has ended: events may be missed from then on."""
        self._lost_subscribers.append(callback)

    def subscribe_left(self, callback: Callable[[str], None]) -> None:
        """Call `callback(member id)` when a member has no link to this one any more: nothing here is for it."""
        self._left_subscribers.append(callback)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Links last until the block ends."""
        try:
            yield
        finally:
            dialing = list(self._dialing.values())
            for dial in dialing:
                dial.cancel()
            await asyncio.gather(*dialing, return_exceptions=True)
            await self._tasks.aclose()

    async def link(self, member: Member) -> Link:
        """The link to `member`. Raises LinkLostError where it cannot be reached, or could not within the last second.

        However many wait for it, they wait for one try.
        """
        link = self._links.get(member.id)
        if link is not None and not link.is_lost:
            return link
        to = (member.id, member.address)
        dialing = self._dialing.get(to)
        if dialing is None:
            # The link is of all requests to come, not of the first one.
            with untraced():
                dialing = self._dialing[to] = asyncio.create_task(self._dial(member))
            dialing.add_done_callback(partial(self._on_dialed, to))
        await asyncio.wait((dialing,))
        link = None if dialing.cancelled() else dialing.result()
        if link is None:
            raise LinkLostError()
        return link

    async def is_reachable(self, member: Member) -> bool:
        """Whether there is a link to `member`, or can be."""
        try:
            await self.link(member)
        except LinkLostError:
            return False
        return True

    def broadcast(self, event: Message) -> None:
        """Tell all who have a link to this member of an event."""
        for link in self._incoming:
            self._tasks.spawn(_tell(link, event))

    def send_event(self, member_id: str, event: Message) -> None:
        """Tell one member of an event, where it has a link to this one."""
        for link in self._incoming:
            if link.peer == member_id:
                self._tasks.spawn(_tell(link, event))

    async def close_incoming(self) -> None:
        """End the links of others to the member that this process was; what is answered just now gets out."""
        for link in self._incoming:
            link.close()

    async def accept(self, channel: Channel) -> None:
        """Serve a member that has opened a channel, until it is gone."""
        try:
            peer, signed = await admit(channel, self._keys, self._own_id())
        except LinkRefusedError as error:
            logger.warning("A process that wanted to reach this one was refused: %s.", error.reason)
            return
        except LinkLostError:
            return
        link = Link(signed, peer, self.services)
        self._incoming.add(link)
        try:
            await link.run()
        finally:
            self._incoming.discard(link)
            if not any(other.peer == peer for other in self._incoming):
                for callback in self._left_subscribers:
                    callback(peer)

    async def _dial(self, member: Member) -> Link | None:
        """A new link to `member`; None where it cannot be reached."""
        try:
            channel = await self._connect(member.address)
        except LinkLostError:
            return None
        try:
            signed = await greet(channel, self._keys, self._own_id(), member.id)
        except LinkLostError as error:
            channel.close()
            if isinstance(error, LinkRefusedError):
                logger.info("Member %s at %s was not reached: %s.", member.id, member.address, error.reason)
            return None
        except BaseException:
            channel.close()
            raise
        link = self._links[member.id] = Link(signed, member.id, {}, self._hear)
        self._tasks.spawn(self._run(link))
        return link

    def _on_dialed(self, to: tuple[str, str], dialing: asyncio.Task[Link | None]) -> None:
        if not dialing.cancelled() and dialing.exception() is None and dialing.result() is None:
            asyncio.get_running_loop().call_later(_UNREACHED_SECONDS, self._dialing.pop, to)
        else:
            del self._dialing[to]

    async def _run(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            if self._links.get(link.peer) is link:
                del self._links[link.peer]
            for callback in self._lost_subscribers:
                callback(link.peer)

    def _hear(self, peer: str, event: Message) -> None:
        for callback in self._event_subscribers:
            callback(peer, event)


async def _tell(link: Link, event: Message) -> None:
    with contextlib.suppress(LinkLostError):
        await link.send_event(event)
