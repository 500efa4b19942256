"""What keeps the cluster from being asked for a moment: a fault of the cluster, or one of what is searched there.

A node that is down is down for everybody. An index that lacks a shard, is closed or laid out otherwise, or a search
that takes too long, says nothing of other tenants and spaces: these go on being searched in the cluster.
"""

from __future__ import annotations

import logging

from cachetools import TTLCache

from gateway.circuit_breaker import CircuitBreaker
from gateway.errors import (
    OpenSearchBusyError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchError,
    OpenSearchUnavailableError,
    OpenSearchVersionError,
)

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0
_MAX_TENANTS = 10_000
# Of what nobody has searched for so long nothing is said.
_KEPT_SECONDS = 60.0
_OF_THE_CLUSTER = (
    OpenSearchBusyError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchUnavailableError,
    OpenSearchVersionError,
)


class FaultWatch:
    """What fails is left alone for two seconds; then one search tries it for all that it concerns."""

    def __init__(self) -> None:
        self._cluster = _Watch("searches")
        self._tenants: TTLCache[tuple[int, int], _Watch] = TTLCache(_MAX_TENANTS, _KEPT_SECONDS)

    @property
    def failure(self) -> str:
        """Why nobody asks the cluster just now, empty where it is asked."""
        return self._cluster.failure

    @property
    def failures(self) -> list[str]:
        """That, and why single tenants are not searched there."""
        of_tenants = {watch.failure for watch in self._tenants.values()}
        return [failure for failure in (self.failure, *sorted(of_tenants)) if failure]

    def begin(self, space_id: int, tenant_id: int) -> Attempt:
        """A search of a tenant in a space: whether the cluster may be asked, and to tell what became of it."""
        place = (space_id, tenant_id)
        tenant = self._tenants.get(place)
        if tenant is None:
            tenant = self._tenants[place] = _Watch(f"searches of tenant {tenant_id} in space {space_id}")
        attempt = Attempt(self._cluster, tenant)
        attempt.begin()
        return attempt


class Attempt:
    """One search. Whoever has it calls `failed`, `missed`, `answered` or, where nothing came of it, none, and `end`."""

    def __init__(self, cluster: _Watch, tenant: _Watch) -> None:
        self._cluster = cluster
        self._tenant = tenant
        self._probed: list[_Watch] = []
        self.refusal = ""
        """Why the cluster is not to be asked, empty where it may be."""

    def begin(self) -> None:
        """Find out whether it may be asked, and try for all others where nobody does yet."""
        for watch in (self._cluster, self._tenant):
            if watch.breaker.is_closed:
                continue
            if not watch.breaker.begin_probe():
                self.refusal = watch.failure
                self.end()
                return
            self._probed.append(watch)

    def failed(self, error: OpenSearchError) -> None:
        """The cluster failed, or what was searched in it."""
        (self._cluster if isinstance(error, _OF_THE_CLUSTER) else self._tenant).failed(error)

    def answered(self) -> None:
        """The cluster answered as it should."""
        self._cluster.answered()
        self._tenant.answered()

    def missed(self) -> None:
        """The cluster answered, and has not what was searched."""
        self._cluster.answered()

    def end(self) -> None:
        """Others may try, where this one tried for them."""
        for watch in self._probed:
            watch.breaker.end_probe()
        self._probed.clear()


class _Watch:
    """A breaker, and why it is open."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.breaker = CircuitBreaker(1, _PAUSE_SECONDS)
        self.failure = ""

    def failed(self, error: OpenSearchError) -> None:
        self.breaker.record_failure()
        if error.message != self.failure:
            logger.warning("%s Until then %s go to PostgreSQL.", error.message, self._what)
        self.failure = error.message

    def answered(self) -> None:
        self.breaker.record_success()
        if self.failure:
            logger.info("%s go to the search cluster again.", self._what.capitalize())
        self.failure = ""
