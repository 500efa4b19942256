"""Which requests are answered now when there are more than can be: tenants in turn, and so many in all."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from gateway.errors import LimitError, OverloadedError

_RETRY_SECONDS = 1
# A tenant that asked for nothing in this time is not there.
_ACTIVE_SECONDS = 1.0
# Who has more under way than so many times what another has waits for turns.
_FAIR_RATIO = 2
# So many at a time are no flood: who has them does not fall behind who has as many as may run.
_FEW_REQUESTS = 8
_TURN_SECONDS = 0.001
# A turn that comes so late found the loop busy.
_LATE_SECONDS = 0.002
# Of all places a tenant may have so many, that the others find some.
_TENANT_SHARE = 0.75


@dataclass(slots=True, eq=False)
class _TenantTurns:
    id: int
    under_way: int = 0
    last_asked: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def running(self) -> int:
        """How many of those that are under way have begun."""
        return self.under_way - len(self.waiting)


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
    other gets, so that the others hardly notice it. With a few requests it waits with those alone that are beyond twice
    as many.
    """

    def __init__(self, max_requests: int) -> None:
        """At most `max_requests` are under way, those that wait among them, and of one tenant three quarters of it."""
        self._max_requests = max_requests
        self._max_of_tenant = max(1, int(max_requests * _TENANT_SHARE))
        self._under_way = 0
        self._tenants: dict[int, _TenantTurns] = {}
        # Those that have asked of late, the last one last, and how many of these have how many under way.
        self._active: OrderedDict[int, _TenantTurns] = OrderedDict()
        self._levels: Counter[int] = Counter()
        self._waiting: dict[int, _TenantTurns] = {}
        # How many requests of each have begun since the last turn, or since somebody waits again.
        self._begun: Counter[int] = Counter()
        self._turn: asyncio.TimerHandle | None = None
        self._has_passed = False
        self.refused = 0
        """How many there was no place for."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(len(tenant.waiting) for tenant in self._waiting.values())

    @property
    def running(self) -> int:
        """How many have begun and are not answered yet."""
        return self._under_way - self.waiting

    async def admit(self, tenant_id: int) -> AdmittedRequest:
        """Wait for the turn of a request of the tenant; it is under way until it leaves the place that it gets.

        Raises OverloadedError where too many are under way, and LimitError where too many of the tenant's own are.
        """
        tenant = self._tenants.get(tenant_id) or _TenantTurns(tenant_id)
        self._check_room(tenant)
        loop = asyncio.get_running_loop()
        self._note_asked(tenant, loop.time())
        place = AdmittedRequest(self, tenant)
        self._count(tenant, 1)
        if len(self._tenants) > 1 and (tenant.waiting or self._share_left(tenant) < 0):
            try:
                await self._wait(loop, tenant)
            except BaseException:
                self._count(tenant, -1)
                raise
        self._begun[tenant_id] += 1
        return place

    def _count(self, tenant: _TenantTurns, more: int) -> None:
        if is_active := tenant.id in self._active:
            self._leave_level(tenant)
        tenant.under_way += more
        self._under_way += more
        if is_active:
            self._levels[tenant.under_way] += 1
        elif not tenant.under_way:
            self._forget(tenant)
        if more < 0 and tenant.waiting:
            self._let_begin(tenant, self._due_at_once(tenant))

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

    def _note_asked(self, tenant: _TenantTurns, now: float) -> None:
        tenant.last_asked = now
        self._tenants[tenant.id] = tenant
        if tenant.id not in self._active:
            self._active[tenant.id] = tenant
            self._levels[tenant.under_way] += 1
        self._active.move_to_end(tenant.id)
        self._let_go(now)

    def _let_go(self, now: float) -> None:
        """Those that have not asked of late count no longer among the others."""
        while self._active:
            tenant = next(iter(self._active.values()))
            if tenant.last_asked >= now - _ACTIVE_SECONDS:
                return
            del self._active[tenant.id]
            self._leave_level(tenant)
            if not tenant.under_way:
                self._forget(tenant)

    def _forget(self, tenant: _TenantTurns) -> None:
        del self._tenants[tenant.id]
        del self._begun[tenant.id]

    def _leave_level(self, tenant: _TenantTurns) -> None:
        self._levels[tenant.under_way] -= 1
        if not self._levels[tenant.under_way]:
            del self._levels[tenant.under_way]

    def _share_left(self, tenant: _TenantTurns) -> int:
        """How many more may run before the tenant has far more than another that is there; negative where it has."""
        # The tenant has never far more than itself. Of different numbers there are few, however many tenants there are.
        return _FAIR_RATIO * max(1, min(self._levels, default=tenant.under_way)) - tenant.running

    def _due_at_once(self, tenant: _TenantTurns) -> int:
        """How many of those that wait begin without a turn."""
        left = self._share_left(tenant)
        return left if tenant.under_way <= _FEW_REQUESTS or left >= len(tenant.waiting) else 0

    async def _wait(self, loop: asyncio.AbstractEventLoop, tenant: _TenantTurns) -> None:
        turn = loop.create_future()
        tenant.waiting.append(turn)
        self._waiting[tenant.id] = tenant
        if self._turn is None:
            # What others began while nobody waited may be any number, and would all be due to a burst at once.
            self._begun.clear()
            self._schedule_turn(loop, _TURN_SECONDS)
        try:
            await turn
        finally:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    tenant.waiting.remove(turn)
                self._note_waiting(tenant)

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
        begun, self._begun = self._begun, Counter()
        most, second = heapq.nlargest(2, (*begun.values(), 0, 0))
        self._let_go(now)
        for tenant in list(self._waiting.values()):
            own = begun[tenant.id]
            as_many = (second if own == most else most) - own
            self._let_begin(tenant, max(as_many, int(is_due), self._due_at_once(tenant)))
        if self._waiting:
            self._schedule_turn(loop, _TURN_SECONDS if is_due else late)

    def _let_begin(self, tenant: _TenantTurns, count: int) -> None:
        while tenant.waiting and count > 0:
            turn = tenant.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1
        self._note_waiting(tenant)

    def _note_waiting(self, tenant: _TenantTurns) -> None:
        if not tenant.waiting:
            self._waiting.pop(tenant.id, None)
