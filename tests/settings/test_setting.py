"""One setting: texts as values, what is said of a bad one, and secrets that are not shown."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings, mask_secrets
from gateway.settings.setting import all_settings


def parse(name: str, raw: Any) -> Any:
    section, _, key = name.partition(".")
    return all_settings()[section][key].parse(raw, "here")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("server.port", "8080", 8080),
        ("search.threshold", "0.25", 0.25),
        ("search.threshold", 1, 1.0),
        ("audit.fail_closed", "true", True),
        ("audit.fail_closed", "FALSE", False),
        ("audit.fail_closed", "1", True),
        ("server.host", " here ", " here "),
        ("search.mode", "cosine", "cosine"),
        ("server.allowed_hosts", "a, b:1,", ("a", "b:1")),
        ("server.allowed_hosts", "", ()),
        ("server.allowed_hosts", ["a", "b,c"], ("a", "b,c")),
    ],
)
def test_a_value_may_be_written_as_a_text_or_as_what_it_is(name: str, raw: Any, value: Any) -> None:
    parsed = parse(name, raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("audit.fail_closed", "maybe", "has to be true or false, not 'maybe'."),
        ("audit.fail_closed", 1, "has to be true or false, not 1."),
        ("database.pool_size", 1, "has to be a whole number of at least 2, not 1."),
        ("database.pool_size", "1", "has to be a whole number of at least 2, not '1'."),
        ("embedder.timeout_seconds", 0, "has to be a number of at least 0.1, not 0."),
        ("embedder.timeout_seconds", [1], "has to be a number, not [1]."),
        ("server.host", None, "has to be a string, not None."),
        ("server.allowed_hosts", {"a": 1}, "has to be a list of strings, not {'a': 1}."),
    ],
)
def test_a_bad_value_is_told_with_what_it_may_be(name: str, raw: Any, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(name, raw)
    assert caught.value.message == f"here: {name} {told}"


def test_a_bad_secret_is_told_without_it() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("database.url", 1234)
    assert caught.value.message == "here: database.url has to be a string."


def test_secrets_are_masked_and_empty_ones_are_shown_as_empty() -> None:
    environ = {
        "MODELGATE_CONFIG": "/dev/null",
        "OPENAI_API_KEY": "sk-1",
        "MODELGATE_EMBEDDER_ROUTE": '[{"languages": ["ja"], "api_key": "sk-1"}]',
        "MODELGATE_DATABASE_URL": "postgresql://me:hush@h/d",
    }
    settings = load_settings(environ=environ)
    sections = mask_secrets(settings)
    assert sections["embedder"]["api_key"] == "********"
    assert sections["embedder"]["route"][0]["api_key"] == "********"
    assert sections["database"]["url"] == "********"
    assert sections["server"]["encryption_key"] == ""
    for shown in (str(sections), repr(settings)):
        assert "sk-1" not in shown
        assert "hush" not in shown


def test_a_password_in_an_address_where_none_belongs_is_not_shown() -> None:
    environ = {
        "MODELGATE_CONFIG": "/dev/null",
        "MODELGATE_OPENSEARCH_URLS": "https://me:hush@one.example:9200,https://two.example",
        "MODELGATE_EXPAND_BASE_URL": "http://me:hush@models.example/v1",
    }
    sections = mask_secrets(load_settings(environ=environ))
    assert sections["opensearch"]["urls"] == ("https://one.example:9200", "https://two.example")
    assert sections["expand"]["base_url"] == "http://models.example/v1"


def test_every_other_setting_is_shown_as_it_is() -> None:
    sections = mask_secrets(load_settings(environ={"MODELGATE_CONFIG": "/dev/null"}))
    assert sections["server"]["port"] == 8080
    assert sections["server"]["allowed_hosts"] == ()
    assert {name: set(keys) for name, keys in sections.items()} == {
        name: set(keys) for name, keys in all_settings().items()
    }
