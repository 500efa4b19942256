"""Which proxies are believed, and whom they name as the client."""

from __future__ import annotations

import pytest

from gateway.edge.trusted_proxies import TrustedProxies, counted_address
from gateway.errors import SettingsError

PROXIES = TrustedProxies(("10.0.0.7", "10.1.0.0/16", "2001:db8::/32"))


@pytest.mark.parametrize("address", ["10.0.0.7", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"])
def test_addresses_in_what_is_named_are_trusted(address: str) -> None:
    assert PROXIES.trusts(address)


@pytest.mark.parametrize("address", ["10.0.0.8", "127.0.0.1", "::1", "", "testclient", "10.1"])
def test_no_others_are(address: str) -> None:
    assert not PROXIES.trusts(address)


def test_without_the_setting_nobody_is() -> None:
    assert not TrustedProxies(()).trusts("127.0.0.1")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db9::1]:4711", "2001:db9::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        # What stands before the last that is no proxy is what that client wrote.
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.1.0.1", "192.0.2.1"),
        ("203.0.113.9, nonsense", "10.0.0.7"),
        ("nonsense, 10.1.0.1", "10.1.0.1"),
        ("", "10.0.0.7"),
        ("10.1.0.2, 10.1.0.1", "10.1.0.2"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(forwarded: str, client: str) -> None:
    assert PROXIES.client_of("10.0.0.7", forwarded) == client


@pytest.mark.parametrize("entry", ["*", "proxy.example", "10.0.0.0/33", ""])
def test_what_is_no_address_stops_the_start(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.trusted_proxies"):
        TrustedProxies((entry,))


def test_an_ipv6_network_counts_as_one_client() -> None:
    assert counted_address("2001:db8::1") == counted_address("2001:db8::ffff:1") == "2001:db8::/64"
    assert counted_address("::ffff:192.0.2.1") == counted_address("192.0.2.1") == "192.0.2.1"
    assert counted_address("unknown") == "unknown"
