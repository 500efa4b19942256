"""Where a process of a cluster is reached."""

from __future__ import annotations

import pytest

from gateway.cluster.cluster import address_towards


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@/postgres?host=/var/run/postgresql",
        "postgresql:///modelgate",
        "postgresql://u:p@127.0.0.1:5432/modelgate",
        "postgresql://u:p@127.0.0.1:5432,127.0.0.2:5433/modelgate",
        "postgresql://u:p@127.0.0.1/modelgate",
        "postgresql://u:p@no.such.host.invalid/modelgate",
    ],
)
def test_processes_of_one_machine_reach_each_other_on_it(url: str) -> None:
    assert address_towards(url) == "127.0.0.1"


def test_a_process_is_reached_at_the_address_from_which_it_reaches_the_database() -> None:
    assert address_towards("postgresql://u:p@127.8.8.8:5432,10.0.0.1:5432/modelgate") == "127.0.0.1"
    assert address_towards("postgresql://u:p@[::1]:5432/modelgate") == "::1"
