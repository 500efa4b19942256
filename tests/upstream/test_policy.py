"""What the gateway may start and where it may connect."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.errors import SettingsError
from gateway.settings import GuardSettings
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy, policy_from_settings

CLOSED = ConnectionPolicy(private_addresses="deny")
LOOPBACK = ConnectionPolicy(private_addresses="loopback")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_of_metadata_and_of_nobody_are_closed_whatever_is_set(address: str) -> None:
    everything = ConnectionPolicy(allowed_networks=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    for policy in (DEFAULT_POLICY, LOOPBACK, CLOSED, everything):
        assert policy.address_refusal(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "ordinary", "loopback", "deny"),
    [
        ("127.0.0.1", True, True, False),
        ("::1", True, True, False),
        ("::ffff:127.0.0.1", True, True, False),
        ("10.1.2.3", True, False, False),
        ("192.168.1.1", True, False, False),
        ("fd12::1", True, False, False),
        ("100.64.0.1", True, False, False),
        ("93.184.216.34", True, True, True),
        ("2606:2800:220:1:248:1893:25c8:1946", True, True, True),
    ],
)
def test_private_addresses_are_open_as_the_settings_say(
    address: str, ordinary: bool, loopback: bool, deny: bool
) -> None:
    for policy, opened in ((DEFAULT_POLICY, ordinary), (LOOPBACK, loopback), (CLOSED, deny)):
        assert (policy.address_refusal(ipaddress.ip_address(address)) is None) is opened


def test_a_network_that_is_allowed_is_open_in_a_closed_gateway() -> None:
    policy = policy_from_settings(GuardSettings(private_addresses="deny", allowed_networks=("10.1.0.0/16",)))
    assert policy.address_refusal(ipaddress.ip_address("10.1.2.3")) is None
    assert policy.address_refusal(ipaddress.ip_address("10.2.2.3"))
    with pytest.raises(SettingsError, match="no address or network"):
        policy_from_settings(GuardSettings(allowed_networks=("10.1.0.0/33",)))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
    ],
)
def test_urls_that_lead_to_metadata_or_nowhere_are_refused_in_every_spelling(url: str) -> None:
    assert DEFAULT_POLICY.url_refusal(url)


def test_only_https_is_taken_where_that_is_set() -> None:
    policy = ConnectionPolicy(https_only=True)
    assert policy.url_refusal("http://example.com/mcp")
    assert policy.url_refusal("https://example.com/mcp") is None


def test_a_command_is_started_only_as_the_list_names_it() -> None:
    policy = policy_from_settings(GuardSettings(commands=("npx", "/opt/tools/server")))
    assert policy.command_refusal("npx", {}) is None
    assert policy.command_refusal("/opt/tools/server", {}) is None
    assert policy.command_refusal("server", {})
    assert policy.command_refusal("/tmp/npx", {})
    assert policy.command_refusal("./npx", {})
    assert policy.command_refusal("npx", {"PATH": "/tmp"})
    assert policy.command_refusal("npx", {"LD_PRELOAD": "/tmp/x.so"})
    assert policy.command_refusal("npx", {"ACME_REGION": "eu"})
    named = policy_from_settings(GuardSettings(commands=("npx",), variables=("ACME_*",)))
    assert named.command_refusal("npx", {"ACME_REGION": "eu"}) is None
    assert DEFAULT_POLICY.command_refusal("anything", {"PATH": "/tmp"}) is None
