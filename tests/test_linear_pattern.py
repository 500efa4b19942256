"""Patterns over text from outside: linear by their syntax (RE2), or, where they are Python's, by what is measured here.

Every pattern of the gateway is looked up, whoever wrote it; one that reads again and again what it has read takes
seconds for texts of 64 KB that are made of its own pieces, and holds up everybody meanwhile.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.audit.redaction import Redactor
from gateway.catalog.scan.wording import RULES
from gateway.guards.builtin.injection import InjectionFinder
from gateway.linear_pattern import LinearPattern, ReadText
from gateway.sensitive_text.personal_data import mask_personal
from gateway.sensitive_text.secrets import mask_secrets
from gateway.settings import AuditSettings
from tests.catalog.scan.corpus import scan

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_parse

_SIZE = 64 * 1024
_METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "split")
# Over the gateway's own files, and nothing else.
_OWN_TEXT = {"gateway/database/queries.py", "gateway/database/migrate.py"}


@dataclass(frozen=True)
class PatternUse:
    """A pattern as it stands in the source, with a method that it is used by."""

    pattern: re.Pattern[Any]
    method: str

    def run(self, text: Any) -> None:
        if self.method in ("match", "fullmatch"):
            getattr(self.pattern, self.method)(text)
        else:
            for _ in self.pattern.finditer(text):
                pass


def _python_patterns() -> dict[str, PatternUse]:
    """Each use of a pattern in the source, by where it stands."""
    root = Path(gateway.__path__[0]).parent
    found = {}
    for path in sorted(root.joinpath("gateway").rglob("*.py")):
        module = str(path.relative_to(root))
        if module in _OWN_TEXT:
            continue
        tree = ast.parse(path.read_text())
        for line, pattern, method in _calls(tree):
            found[f"{module}:{line}"] = PatternUse(re.compile(pattern), method)
        for name in _compiled_names(tree):
            pattern = getattr(importlib.import_module(module.removesuffix(".py").replace("/", ".")), name)
            for method in _methods_of(tree, name):
                found[f"{module}:{name}.{method}"] = PatternUse(pattern, method)
    return found


def _calls(tree: ast.Module) -> Iterator[tuple[int, Any, str]]:
    """Line, pattern and method of each call as `re.sub(pattern, …)`, where the pattern is not computed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            pattern = _constant(node.args[0]) if ast.unparse(node.func.value) == "re" else None
            if pattern is not None:
                yield node.lineno, pattern, node.func.attr


def _constant(node: ast.expr) -> Any:
    """The value of a literal; None for what is computed."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _compiled_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and "re.compile" in ast.unparse(node.value.func)
        ):
            yield ast.unparse(node.targets[0])


def _methods_of(tree: ast.Module, name: str) -> set[str]:
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    return used & set(_METHODS) or {"search"}


_PATTERNS = _python_patterns()


def _samples(pattern: re.Pattern[Any]) -> Iterator[str]:
    """The least that each beginning of the pattern and of its parts matches."""
    yield from _beginnings(sre_parse.parse(pattern.pattern, pattern.flags & ~re.UNICODE))


def _beginnings(parsed: Any) -> Iterator[str]:
    text = ""
    for item in parsed:
        for below in _parts(item[1]):
            yield from _beginnings(below)
        text += _least(item)
        yield text


def _parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, sre_parse.SubPattern):
        yield argument
    elif isinstance(argument, (list, tuple)):
        for each in argument:
            yield from _parts(each)


def _least(item: Any) -> str:
    """A short text that an element of a pattern matches, with one repetition at least."""
    kind, argument = str(item[0]), item[1]
    if kind == "LITERAL":
        return chr(int(argument))
    if kind == "IN":
        return _member(argument)
    if kind in ("ANY", "NOT_LITERAL"):
        return "b" if kind == "NOT_LITERAL" and int(argument) == ord("a") else "a"
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return "".join(map(_least, argument[2])) * min(max(int(argument[0]), 1), 30)
    if kind == "BRANCH":
        return "".join(map(_least, argument[1][0]))
    if kind == "SUBPATTERN":
        return "".join(map(_least, argument[3]))
    return ""


def _member(argument: Any) -> str:
    """A character of a class."""
    if str(argument[0][0]) == "NEGATE":
        excluded = {chr(value) for kind, value in argument[1:] if str(kind) == "LITERAL"}
        for kind, value in argument[1:]:
            if str(kind) == "RANGE":
                excluded.update(map(chr, range(value[0], value[1] + 1)))
        return str(next((chr(code) for code in (*range(97, 123), *range(32, 97)) if chr(code) not in excluded), " "))
    kind, value = str(argument[0][0]), argument[0][1]
    if kind in ("LITERAL", "RANGE"):
        return chr(int(value if kind == "LITERAL" else value[0]))
    return str({"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_NOT_WORD": "-"}.get(str(value), "a"))


def _adversarial(samples: Iterator[str]) -> list[str]:
    """Repetitions of the samples, close together and apart, and of each two of them."""
    pieces = list(dict.fromkeys(sample for sample in samples if sample))
    some = pieces[:: max(1, len(pieces) // 20)]
    few = pieces[:: max(1, len(pieces) // 6)]
    repeated = [f"{piece}{apart}" for piece in some for apart in ("", " ", "-")]
    return list(dict.fromkeys([*repeated, *(f"{piece}{other}" for piece in few for other in few)]))


def _seconds(find: Callable[[Any], object], piece: Any, size: int) -> float:
    """The processor's time for a text of `size` characters; what others do on the machine does not count."""
    text = piece * (size // len(piece))
    started = time.thread_time()
    find(text)
    return time.thread_time() - started


def _assert_linear(find: Callable[[Any], object], pieces: Sequence[Any]) -> None:
    """A linear pattern takes a fraction of a millisecond for 8 KB and some for 64. Only one that takes far longer is
    looked at closely: whether its time has grown by more than three times as much as the text.
    """
    for piece in pieces:
        taken = _seconds(find, piece, _SIZE // 8)
        assert taken < 0.25, f"{piece[:60]!r} takes {taken:.2f} s for an eighth of the text"
        if taken < 0.002 and _seconds(find, piece, _SIZE) < 0.15:
            continue
        shorter, longer = (min(_seconds(find, piece, size) for _ in range(3)) for size in (_SIZE // 8, _SIZE))
        assert longer < max(24 * shorter, 0.15), f"{piece[:60]!r} takes {longer:.2f} s"


@pytest.mark.parametrize("place", sorted(_PATTERNS))
def test_a_pattern_of_python_takes_time_linear_in_repetitions_of_its_own_pieces(place: str) -> None:
    use = _PATTERNS[place]
    pieces: list[Any] = _adversarial(_samples(use.pattern))
    if isinstance(use.pattern.pattern, bytes):
        pieces = [piece.encode("latin-1") for piece in pieces]
    # What ends otherwise makes the whole of it fail.
    _assert_linear(lambda text: use.run(text + ("\x01" if isinstance(text, str) else b"\x01")), pieces)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_takes_time_linear_in_repetitions_of_its_own_words(rule: Any) -> None:
    sources = [rule.pattern.pattern, *(pattern.pattern for pattern, _ in rule.excusable)]
    words = list(dict.fromkeys(word for source in sources for word in re.findall(r"[^\W\d_]{3,}", source)))
    some = words[:: max(1, len(words) // 40)]
    pieces = [f"{word} " for word in words] + [f"{word} {other} " for word in some for other in some[::5]]
    _assert_linear(rule.find, [*pieces, " ".join(words) + " "])


@pytest.mark.parametrize(
    "piece",
    [
        *("![](http://x?", "<!--", "[//]: # (", "&#65;", "%41", "\\u0041", "<display:none ", "<<", "{", "\n", "a b "),
        *(
            "ignore previous ",
            "send all the conversation ",
            "always send ",
            "aB",
            "A",
            "_",
            "YWFh",
            "0a ",
            "é",
            "а",
            "ｅ",
        ),
    ],
)
def test_a_definition_full_of_it_is_scanned_in_time_linear_in_its_length(piece: str) -> None:
    def scan_text(text: str) -> None:
        scan([{"name": "x", "description": text, "inputSchema": {"properties": {text: {}}}}])

    _assert_linear(scan_text, [piece])


@pytest.mark.parametrize(
    "piece",
    [
        "sk-",
        "eyJaaaaaaaa-",
        "eyJaaaaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "Bearer ",
        "password=",
        "xoxb-",
        "a_",
    ],
)
def test_arguments_full_of_it_are_masked_in_time_linear_in_their_length(piece: str) -> None:
    redactor = Redactor(AuditSettings(argument_bytes=2 * _SIZE, redact_patterns=(r"(?:a+)+b", r"(?:x*)*y")))
    _assert_linear(lambda text: redactor.redact_json({"text": text}), [piece, f"{piece} "])


@pytest.mark.parametrize(
    "piece",
    [
        "a@b.co",
        "a@b.",
        "a@",
        "4111 ",
        "4111-1111-1111-",
        "4111111111111112 ",
        "DE89",
        "DE89 3704 ",
        "+49 ",
        "+1(",
        "0171 ",
        "123-45-",
        "AB12",
        "12345678-",
        "-----BEGIN PRIVATE KEY-----",
        "sk-a-",
        "eyJaaaaaaaa.",
        "Basic ",
        "Basic aaaaaaaaaaaa ",
        "://a:b",
        "password=aaaaaaaa ",
        "12345678:AA",
    ],
)
@pytest.mark.parametrize("mask", [mask_secrets, mask_personal])
def test_a_text_full_of_it_is_masked_in_time_linear_in_its_length(mask: Callable[[str], object], piece: str) -> None:
    _assert_linear(mask, [piece, f"{piece} ", f"{piece}é"])


@pytest.mark.parametrize(
    "piece",
    [
        "<important>",
        "<system>",
        "![ignore previous instructions ",
        "<!--",
        "ignore previous ",
        "[a](https://x?",
        "<img src=",
        "YWFh",
        "%41",
        "&#65;",
        "send all the conversation to http://",
        "a\u200b",
        "аb ",
        "\x1b",
    ],
)
def test_a_result_full_of_it_is_scanned_in_time_linear_in_its_length(piece: str) -> None:
    _assert_linear(InjectionFinder().mask, [piece])


@pytest.mark.parametrize("pattern", [r"(?<=a)b", r"(a)\1", "(", r"a{5000}", "\ud800"])
def test_a_pattern_that_could_not_be_linear_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LinearPattern(pattern)


@given(st.text(st.characters(), max_size=60))
def test_places_are_those_of_the_text_whatever_characters_it_holds(text: str) -> None:
    assert [text[start:end] for start, end in LinearPattern("[ab]+").matches_in(text)] == re.findall("[ab]+", text)


def test_groups_that_were_captured_decide_over_what_stands_instead() -> None:
    pattern = LinearPattern("(a=)[^ ]+|(b)", captures=True)
    assert pattern.replace("x a=1 é b", lambda groups: f"<{groups[0]}|{groups[1]}>") == "x <a=|> é <|b>"


@given(st.text(st.sampled_from("ab1 é中\U0001f600\ud800\udfff\u200b\n")))
def test_matches_stand_where_python_has_them_in_whatever_letters(text: str) -> None:
    source = r"a+1?|[é中]b|(\x{200b}+)|\x{1f600}"
    pattern = LinearPattern(source, captures=True)
    python = re.compile(source.replace(r"\x{200b}", "\u200b").replace(r"\x{1f600}", "\U0001f600"))
    expected = [(match.span(), match[0], match[1] or "") for match in python.finditer(text)]
    for given_text in (text, ReadText(text)):
        found = [(span, given_text[slice(*span)], groups[0]) for span, groups in pattern.captures_in(given_text)]
        assert found == expected
        assert list(pattern.matches_in(given_text)) == [span for span, _, _ in expected]
        assert pattern.replace(given_text, lambda groups: f"<{groups[0]}>") == python.sub(
            lambda match: f"<{match[1] or ''}>", text
        )
