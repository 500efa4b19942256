"""Which requests are answered now when there are more than can be: tenants in turn, and so many in all."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field

from gateway.errors import LimitError, OverloadedError

_RETRY_SECONDS = 1
# A tenant that asked for nothing in this time is not there.
_ACTIVE_SECONDS = 1.0
# Who has more under way than so many times what another has waits for turns.
_FAIR_RATIO = 2
_TURN_SECONDS = 0.001
# A turn that comes so late found the loop busy.
_LATE_SECONDS = 0.002
# Of all places a tenant may have so many, that the others find some.
_TENANT_SHARE = 0.75


@dataclass(slots=True, eq=False)
class _TenantTurns:
    under_way: int = 0
    begun_in_turn: int = 0
    last_asked: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class AdmittedRequest:
    """Of a request under way; leaving the block leaves it."""

    __slots__ = ("_admission", "_tenant")

    def __init__(self, admission: AdmissionControl, tenant: _TenantTurns) -> None:
        self._admission = admission
        self._tenant = tenant

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._admission._count(self._tenant, -1)


class AdmissionControl:
    """Lets requests begin.

    As long as a single tenant asks, or all ask for about as much at the same time, they begin at once. A tenant that
    has more than twice as many under way as another waits for turns: about a thousand a second, and as many as any
    other gets, so that the others hardly notice it.
    """

    def __init__(self, max_requests: int) -> None:
        """At most `max_requests` are under way, those that wait among them, and of one tenant three quarters of it."""
        self._max_requests = max_requests
        self._max_of_tenant = max(1, int(max_requests * _TENANT_SHARE))
        self._under_way = 0
        self._tenants: dict[int, _TenantTurns] = {}
        self._turn: asyncio.TimerHandle | None = None
        self._has_passed = False
        self.refused = 0
        """How many there was no place for."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(len(tenant.waiting) for tenant in self._tenants.values())

    @property
    def running(self) -> int:
        """How many have begun and are not answered yet."""
        return self._under_way - self.waiting

    async def admit(self, tenant_id: int) -> AdmittedRequest:
        """Wait for the turn of a request of the tenant; it is under way until it leaves the place that it gets.

        Raises OverloadedError where too many are under way, and LimitError where too many of the tenant's own are.
        """
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _TenantTurns()
        self._check_room(tenant)
        loop = asyncio.get_running_loop()
        tenant.last_asked = loop.time()
        place = AdmittedRequest(self, tenant)
        self._count(tenant, 1)
        if len(self._tenants) > 1 and (tenant.waiting or self._is_greedy(tenant, tenant.last_asked)):
            try:
                await self._wait(loop, tenant)
            except BaseException:
                self._count(tenant, -1)
                raise
        tenant.begun_in_turn += 1
        return place

    def _count(self, tenant: _TenantTurns, more: int) -> None:
        tenant.under_way += more
        self._under_way += more

    def _check_room(self, tenant: _TenantTurns) -> None:
        if tenant.under_way >= self._max_of_tenant:
            self.refused += 1
            raise LimitError(
                f"{tenant.under_way} requests of this tenant are under way, as many as may be; send fewer at a time.",
                "requests_at_once",
                _RETRY_SECONDS,
            )
        if self._under_way >= self._max_requests:
            self.refused += 1
            raise OverloadedError()

    def _is_greedy(self, tenant: _TenantTurns, now: float) -> bool:
        """Whether the tenant has far more under way than another that is there."""
        for tenant_id, other in list(self._tenants.items()):
            if other is tenant:
                continue
            if other.last_asked < now - _ACTIVE_SECONDS:
                if not other.under_way:
                    del self._tenants[tenant_id]
            elif tenant.under_way > _FAIR_RATIO * max(1, other.under_way):
                return True
        return False

    async def _wait(self, loop: asyncio.AbstractEventLoop, tenant: _TenantTurns) -> None:
        turn = loop.create_future()
        tenant.waiting.append(turn)
        if self._turn is None:
            self._schedule_turn(loop, _TURN_SECONDS)
        try:
            await turn
        finally:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    tenant.waiting.remove(turn)

    def _schedule_turn(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._turn = loop.call_later(seconds, self._take_turn, loop, loop.time() + seconds)

    def _take_turn(self, loop: asyncio.AbstractEventLoop, expected: float) -> None:
        """Let each tenant that waits begin what is due to it."""
        self._turn = None
        now = loop.time()
        late = now - expected
        # The turn that is let pass gives the loop to the others; never two of them.
        is_due = late < _LATE_SECONDS or self._has_passed
        self._has_passed = not is_due
        tenants = list(self._tenants.values())
        begun = [tenant.begun_in_turn for tenant in tenants]
        for place, tenant in enumerate(tenants):
            tenant.begun_in_turn = 0
            if not tenant.waiting:
                continue
            if not self._is_greedy(tenant, now):
                self._let_begin(tenant, len(tenant.waiting))
                continue
            others = max((each for at, each in enumerate(begun) if at != place), default=0)
            self._let_begin(tenant, max(others - begun[place], int(is_due)))
        if any(tenant.waiting for tenant in tenants):
            self._schedule_turn(loop, _TURN_SECONDS if is_due else late)

    def _let_begin(self, tenant: _TenantTurns, count: int) -> None:
        while tenant.waiting and count > 0:
            turn = tenant.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1
