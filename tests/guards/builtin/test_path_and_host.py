"""Arguments that name files and hosts: what is allowed, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidInputError
from gateway.guards.builtin.host import HostGuard
from gateway.guards.builtin.path import PathGuard
from gateway.guards.content import Content, GuardedUse
from gateway.guards.options import AllowOptions

USE = GuardedUse(1, (1,), "key", "tools", 1, "Files", "files__read")


def paths(allowed: list[str], value: Any, *arguments: str) -> int:
    return PathGuard(AllowOptions(tuple(allowed), arguments)).inspect_now(Content(USE, "arguments", value)).count


def hosts(allowed: list[str], value: Any, *arguments: str) -> int:
    return HostGuard(AllowOptions(tuple(allowed), arguments)).inspect_now(Content(USE, "arguments", value)).count


@pytest.mark.parametrize(
    "text",
    [
        "/srv/data/a.txt",
        "/srv/data",
        "/srv/data/./b/../a.txt",
        "file:///srv/data/a%20b.txt",
        "/srv//data/a",
    ],
)
def test_a_path_in_an_allowed_folder_is_let_through(text: str) -> None:
    assert paths(["/srv/data/"], {"path": text}) == 0


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "/srv/database",
        "/srv/data/../../etc/passwd",
        "/srv/data/../data2/x",
        "../../etc/passwd",
        "~/.ssh/id_rsa",
        "file:///etc/passwd",
        "file:///srv/data/%2e%2e/%2e%2e/etc/passwd",
        "file://other/srv/data/x",
        "FILE:///etc/passwd",
        "C:\\Windows\\system.ini",
        "\\\\server\\share",
        "/srv/data/\x00/etc/passwd",
        "/srv/data\\..\\..\\etc",
        *(
            "fi\tle:///etc/passwd",
            "file:/\n/etc/passwd",
            "\x01file:///etc/passwd",
            "file:/\\/etc/passwd",
            "fil\re:/etc/x",
        ),
    ],
)
def test_a_path_that_leads_elsewhere_is_counted_whatever_the_argument_is_called(text: str) -> None:
    assert paths(["/srv/data"], {"anything": [text]}) == 1


def test_relative_paths_are_allowed_by_a_dot_and_arguments_are_told_by_their_names_or_named() -> None:
    assert paths(["."], {"file_path": "notes/a.txt"}) == 0
    assert paths(["."], {"file_path": "notes/../../a.txt"}) == 1
    assert paths(["/srv"], {"file_path": "notes/a.txt", "text": "notes/a.txt"}) == 1
    assert paths(["/srv"], {"text": "notes/a.txt", "items": [{"to": "b"}]}, "/items/*/to") == 1
    assert paths(["/srv"], {"text": "/etc/passwd"}, "/other") == 0
    assert paths(["c:/work"], {"path": "C:\\Work\\a.txt"}) == 0


@pytest.mark.parametrize(
    "text",
    [
        "https://api.example.com/x?y=1",
        "see https://API.example.com. and more",
        "https://deep.api.example.org",
        "http://10.1.2.3:8080/",
        "http://[2001:db8::1]/",
        "https://bücher.example.org/",
        "postgresql://me@db.example.org/x",
    ],
)
def test_an_allowed_host_is_let_through(text: str) -> None:
    assert hosts(["api.example.com", "*.example.org", "10.1.0.0/16", "2001:db8::/32"], {"text": text}) == 0


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/",
        "https://example.org/",
        "https://api.example.com.evil.test/",
        "https://api.example.com@evil.test/",
        "https://evil.test/?u=api.example.com",
        "https://evil.test\\@api.example.com/",
        "http://167772161/",
        "http://0x7f.1/",
        "ftp://10.2.0.1/",
        "//evil.test/x",
        "https://evilexample.org",
    ],
)
def test_any_other_host_is_counted(text: str) -> None:
    assert hosts(["api.example.com", "*.example.org", "10.1.0.0/16"], {"url": text}) == 1


# As browsers (https://url.spec.whatwg.org/#url-parsing) and curl read them, each leads to evil.test, to 10.2.0.1, or to
# other hosts in some of them than in others.
ELSEWHERE = (
    *("https:/evil.test/", "https:evil.test/", "https:///evil.test/", "https:////evil.test", "HTTPS:/evil.test"),
    *("https:\\\\evil.test", "https:\\evil.test", "https:/\\evil.test/", "http:\\/evil.test/x", "ftp:/evil.test/a"),
    *("wss:/evil.test", "ws:\\evil.test", "gopher://evil.test/", "_https://evil.test_", "\u00e9https://evil.test"),
    # Left out wherever it stands.
    *("ht\ntps://evil.test/", "https:\t//evil.test", "https:/\r/evil.test", "https://api.example.com\n.evil.test/"),
    *("https://api.example.com\t@evil.test/", "\x01https:evil.test/", " \t\nhttps:/evil.test", "https:\t\t/evil.test"),
    # User and password.
    *("https://api.example.com@evil.test/", "https://api.example.com:443@evil.test", "https://a@b@evil.test/"),
    *(
        "https://api.example.com'@evil.test/",
        "https://api.example.com(@evil.test/",
        "https://api.example.com{@evil.test",
    ),
    *(
        "https://api.example.com[@evil.test/",
        "https://api.example.com|@evil.test",
        "https://api.example.com%20@evil.test",
    ),
    *(
        "https://evil.test#@api.example.com/",
        "https://evil.test?@api.example.com/",
        "https://evil.test\\@api.example.com",
    ),
    *("https://api.example.com;@evil.test", "https://api.example.com,@evil.test/", "https://@evil.test"),
    # Names in other letters.
    *("https://evil\u3002test/", "https://evil\uff0etest", "https://evil\uff61test/", "https://\uff45vil.test/"),
    *("https://api.example.com\uff0eevil.test/", "https://api.example.com\uff0f.evil.test/", "https://ev\u00adil.test"),
    *(
        "https://api.example.com\uff20evil.test/",
        "https://api.example.com\uff03.evil.test",
        "https://stra\u00dfe.example.org",
    ),
    *("https://fa\u03c2.example.org/", "https://a\u200db.example.org/", "https://api.example.com\u3000.evil.test/"),
    *(
        "https://api.example.com'.evil.test/",
        "https://api.example.com\x0b.evil.test/",
        "https://api.example.com\x00.evil.test",
    ),
    # Letters encoded.
    *("https://%65vil.test/", "https://api.example.com%2eevil.test", "https://api%2eexample.com.evil.test/"),
    *("https://api.example.com%2f.evil.test/", "https://evil.test%2f.example.org/", "https://evil.test%00.example.org"),
    # Addresses.
    *(
        "http://167903233/",
        "http://0xa020001",
        "http://0x0a.2.1/",
        "http://10.2.1/",
        "http://012.2.0.1/",
        "http://012.1.0.1",
    ),
    *("http://10.1.0.010/", "http://[::ffff:10.2.0.1]/", "http://[::ffff:a02:1]/", "http://[0:0:0:0:0:ffff:a02:1]:80/"),
    *(
        "http://\uff11\uff10.2.0.1/",
        "http://10\u30022.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1]",
        "http://10.2.0.1.",
    ),
    *(
        "http://10.1.0.1.evil.test",
        "http://[::ffff:10.1.0.1.evil.test]/",
        "http://10.1.0.1:80@10.2.0.1/",
        "http://0x7f.1",
    ),
    # Files of others.
    *("file://evil.test/share", "file:\\\\evil.test\\share", "file:////evil.test/share", "FILE://evil.test/x"),
    f"https://{'a.' * 2_040}example.org.evil.test/",
)


@pytest.mark.parametrize("text", ELSEWHERE)
@pytest.mark.parametrize("name", ["url", "text"])
def test_what_a_parser_of_urls_may_take_for_another_host_is_counted(name: str, text: str) -> None:
    allowed = ["api.example.com", "*.example.org", "10.1.0.0/16", "2001:db8::/32"]
    assert hosts(allowed, {name: text}) == 1
    assert hosts(allowed, {"urls": ["https://api.example.com/", text]}) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https:/evil.test/",
            "https:\\\\evil.test",
            "https:/\\evil.test",
            "(ftp:/evil.test)",
            "[x](https://evil.test/a)",
        ),
        *("https://api.example.com'@evil.test/", "'https://api.example.com(@evil.test/'", 'x="https:\\evil.test"'),
        *("file://evil.test/a", "https://api.example.com@evil.test", "https://evil\u3002test/", "http://167903233"),
    ],
)
def test_it_is_counted_among_words_too(text: str) -> None:
    assert hosts(["api.example.com"], {"text": f"please fetch {text} and sum it up"}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "https://api.example.com:443/a?b=c\\d#e@f",
        "https://api.example.com, then https://x.example.org; or (https://api.example.com).",
        "[docs](https://api.example.com) and <https://api.example.com>, 'https://api.example.com'",
        "https://api.example.com is documented; mail me@evil.test",
        "https://api.example.com/a\nhttps://x.example.org/b\nThat is all",
        "https://api.example.com\nThe whole page",
        "https://me:secret@api.example.com/x",
        "https://API.EXAMPLE.com./",
        "https://api\u3002example\uff0ecom/",
        "https://b\u00fccher.example.org/",
        "http://[::ffff:10.1.0.1]/",
        "http://[2001:db8::1]:8080",
        "requests.get('https://api.example.com'.strip())",
        '{"url":"https://api.example.com","mail":"me@evil.test"}',
        "https://api.example.com{/path}",
        "http: is a scheme, ftp:21 a port",
        "C:/Users/me and volume:/data",
        "file:///srv/a, file:/srv/b",
        "ftp:21",
    ],
)
def test_what_leads_to_an_allowed_host_or_to_none_is_let_through_as_people_write_it(text: str) -> None:
    assert hosts(["api.example.com", "*.example.org", "10.1.0.0/16", "2001:db8::/32"], {"text": text}) == 0


def test_a_path_is_at_any_host_and_a_name_before_one_is_a_host() -> None:
    assert hosts(["a.test"], {"url": "/items/5?from=https://a.test/"}) == 0
    assert hosts(["a.test"], {"url": "a.test/items"}) == 0
    assert hosts(["a.test"], {"url": "evil.test/?from=https://a.test/"}) == 1
    assert hosts(["a.test"], {"url": "\\\\evil.test\\x"}) == 1
    assert hosts(["a.test"], {"url": "/\\evil.test/x"}) == 1
    assert hosts(["a.test"], {"urls": '["https://a.test/x"]'}) == 0
    assert hosts(["::/0"], {"url": "http://[::ffff:127.0.0.1]/"}) == 1


def test_a_name_is_allowed_by_the_letters_that_browsers_ask_for() -> None:
    assert hosts(["stra\u00dfe.test"], {"url": "https://xn--strae-oqa.test/"}) == 0
    assert hosts(["stra\u00dfe.test"], {"url": "https://strasse.test/"}) == 1
    assert hosts(["b\u00fccher.test"], {"url": "https://xn--bcher-kva.test/"}) == 0


def test_a_port_holds_where_it_is_given_and_names_of_arguments_tell_hosts() -> None:
    assert hosts(["a.test:443"], {"url": "https://a.test/"}) == 0
    assert hosts(["a.test:443"], {"url": "https://a.test:8443/"}) == 1
    assert hosts(["a.test"], {"hostname": "b.test", "text": "b.test"}) == 1
    assert hosts(["a.test"], {"text": "b.test:80"}, "/text") == 1
    assert hosts(["a.test"], {"url": "file:///etc/passwd"}) == 0


@pytest.mark.parametrize("entry", ["https://a.test", "a b", "a.test/x", "", "*", "me@a.test"])
def test_what_is_no_host_cannot_be_allowed(entry: str) -> None:
    with pytest.raises(InvalidInputError, match="is no host"):
        hosts([entry], {})


@pytest.mark.parametrize(
    "value",
    [
        {"outputPath": "a/../../etc/passwd"},
        {"sourceFile": "a/../../b"},
        {"fileName": "a/../../b"},
        {"files": {"/etc/passwd": "root"}},
        {"text": " /etc/passwd"},
    ],
)
def test_a_path_is_found_by_a_name_of_several_words_as_a_key_and_behind_spaces(value: Any) -> None:
    assert paths(["/srv/data"], value) == 1


@pytest.mark.parametrize(
    "value",
    [
        {"apiUrl": "evil.test/x"},
        {"targetHost": "evil.test"},
        {"hostName": "evil.test"},
        {"endPoint": "evil.test"},
        {"headers": {"https://evil.test/x": "1"}},
    ],
)
def test_a_host_is_found_by_a_name_of_several_words_and_as_a_key(value: Any) -> None:
    assert hosts(["*.example.com"], value) == 1


def test_the_name_of_an_argument_is_no_path_or_host_by_itself() -> None:
    assert paths(["/srv/data"], {"file": {"name": "of the report", "content": "a"}}, "/file/content") == 1
    assert paths(["."], {"file": {"name": "report.txt"}}) == 0
    assert hosts(["*.example.com"], {"server": {"port": 1}, "urls": {}}) == 0
