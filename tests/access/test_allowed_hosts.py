"""Which Host headers name this gateway."""

from __future__ import annotations

import pytest

from gateway.access.allowed_hosts import AllowedHosts
from gateway.settings import ServerSettings

SETTINGS = ServerSettings(host="192.0.2.7", allowed_hosts=("Gate.example", "docs.example:8443"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "127.0.0.1",
        "127.8.9.1:1",
        "[::1]",
        "[::1]:8080",
        "192.0.2.7:8080",
        "gate.example",
        "gate.example:443",
        "docs.example:8443",
    ],
)
def test_loopback_the_address_listened_on_and_what_is_set_are_this_gateway(host: str) -> None:
    assert AllowedHosts(SETTINGS).allows(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8080",
        "evil.example",
        "evil@localhost",
        "evil.example:80@localhost",
        "user:password@127.0.0.1:8080",
        "localhost/evil.example",
        "localhost/@evil.example",
        "localhost?evil.example",
        "localhost#evil.example",
        "localhost\\evil.example",
        "localhost evil.example",
        "localhost,evil.example",
        "localhost\n",
        "localhost:8080:9090",
        "localhost:http",
        "localhost:",
        "localhost.evil.example",
        "gate.example.evil.example",
        "docs.example",
        "docs.example:443",
        "[::1",
        "::1",
        "[localhost]",
        "[::1]evil.example",
        "１２７.0.0.1",
        "lоcalhost",
    ],
)
def test_nothing_that_could_be_read_in_two_ways_is(host: str) -> None:
    assert not AllowedHosts(SETTINGS).allows(host)
