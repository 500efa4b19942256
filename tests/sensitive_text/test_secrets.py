"""Secrets in texts: each issuer's form is found, and what only looks like one is left."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.masking import MASK
from gateway.sensitive_text.secrets import holds_secrets, mask_secrets

_HEX, _ALNUM = "0123456789abcdef" * 4, "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cD1fG3iJ5lM7oP9rS1uV3xY5"

TOKENS = {
    "ModelGate": "mg_" + _HEX,
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub": "ghp_" + _ALNUM[:36],
    "GitHub, fine-grained": "github_pat_" + _ALNUM[:30],
    "GitLab": "glpat-" + _ALNUM[:20],
    "Slack": "xoxb-" + "123456789012-" + _ALNUM[:24],
    "Slack's webhooks": "hooks.slack.com/services/T0123/B0123/" + _ALNUM[:24],
    "Google": "AIza" + _ALNUM[:35],
    "Google's access tokens": "ya29." + _ALNUM,
    "Stripe": "sk_live_" + _ALNUM[:24],
    "OpenAI": "sk-proj-" + _ALNUM[:40],
    "Anthropic": "sk-ant-api03-" + _ALNUM,
    "Hugging Face": "hf_" + _ALNUM[:34],
    "npm": "npm_" + _ALNUM[:36],
    "PyPI": "pypi-AgE" + _ALNUM,
    "Docker": "dckr_pat_" + _ALNUM[:27],
    "DigitalOcean": "dop_v1_" + _HEX,
    "SendGrid": "SG." + _ALNUM[:22] + "." + _ALNUM[:43],
    "Shopify": "shpat_" + _HEX[:32],
    "Telegram": "123456789:AA" + _ALNUM[:33],
    "Vault": "hvs." + _ALNUM[:24],
    "Databricks": "dapi" + _HEX[:32],
    "Atlassian": "ATATT3" + _ALNUM,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + _ALNUM[:43],
    "Azure's storage": "AccountKey=" + _ALNUM[:43] + "=",
    "a header": "Bearer " + _ALNUM[:30],
    "basic authentication": "Basic " + base64.b64encode(b"user:correct horse").decode(),
}


@pytest.mark.parametrize("issuer", TOKENS)
def test_a_token_is_masked_wherever_it_stands(issuer: str) -> None:
    token = TOKENS[issuer]
    for before, after in (("", ""), ("the key is ", ", use it"), ('{"key":"', '"}'), ("é ", "\nnext")):
        masked = mask_secrets(f"{before}{token}{after}")
        assert token not in masked.text
        assert (masked.text, masked.count) == (f"{before}{MASK}{after}", 1)


@pytest.mark.parametrize(
    "text",
    [
        "Basic introduction to authentication",
        "Basic understanding-of-things is enough",
        "The bearer of this letter",
        "ssh git@github.com:owner/repository.git",
        "https://git@example.com/repository.git",
        "password=short",
        "password=${PASSWORD_OF_DATABASE}",
        "token=get_token(user)",
        f"password={MASK}",
        "task-management skills, disk-usage",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
)
def test_what_only_looks_like_a_secret_is_left(text: str) -> None:
    assert mask_secrets(text).text == text
    assert mask_secrets(text).count == 0


@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_a_private_key_is_masked_whole_and_one_that_does_not_end_is_masked_to_the_end(kind: str) -> None:
    key = f"-----BEGIN {kind}-----\nMIIEow\nIBAAKC\n-----END {kind}-----"
    assert mask_secrets(f"a {key} b").text == f"a {MASK} b"
    assert mask_secrets(f"a {key[:-20]}").text == f"a {MASK}"
    assert mask_secrets(f"a {key} b").counts == {"private key": 1}


def test_the_password_of_an_address_and_one_that_is_assigned_are_masked_and_what_is_around_them_stays() -> None:
    masked = mask_secrets("postgresql://app:hunter2@db:5432/x?password=correcthorse&a=b")
    assert masked.text == f"postgresql://{MASK}@db:5432/x?password={MASK}&a=b"
    assert masked.counts == {"password": 2}


def test_several_are_counted_each_by_its_kind() -> None:
    masked = mask_secrets(" ".join([TOKENS["GitHub"], TOKENS["AWS"], "password=correcthorse"]))
    assert masked.counts == {"token": 2, "password": 1}
    assert masked.count == 3


@settings(max_examples=50)
@given(st.text(max_size=200), st.sampled_from(sorted(TOKENS.values())), st.text(max_size=20))
def test_what_is_masked_has_nothing_to_mask_and_any_text_can_be(before: str, token: str, after: str) -> None:
    once = mask_secrets(f"{before} {token} {after}")
    assert once.count >= 1
    assert token not in once.text
    assert mask_secrets(once.text).text == once.text
    assert holds_secrets(f"{before} {token} {after}")
