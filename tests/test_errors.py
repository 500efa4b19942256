"""The rules that every error of the package keeps."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import gateway
from gateway import errors
from gateway.errors import FieldProblem, InvalidInputError, LockedOutError, ModelGateError, NotFoundError

PUBLIC = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, BaseException)]


def error_classes() -> Iterator[type[BaseException]]:
    """The error classes that the package defines, wherever they stand."""
    for module in walk_packages(gateway.__path__, "gateway."):
        if module.name.endswith("__main__"):
            continue
        for _, each in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(each, BaseException) and each.__module__ == module.name:
                yield each


def imported_names() -> set[str]:
    """Every name that a module of the package takes from another one."""
    names: set[str] = set()
    for file in Path(gateway.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names |= {alias.name for alias in node.names}
    return names


def test_every_error_class_stands_in_errors_or_is_private_to_its_module() -> None:
    elsewhere = [each for each in error_classes() if not each.__module__.startswith(f"{errors.__name__}.")]
    assert [each for each in elsewhere if not each.__name__.startswith("_")] == []
    assert {each.__name__ for each in elsewhere} & imported_names() == set()


@pytest.mark.parametrize("error", PUBLIC)
def test_every_error_has_the_one_root_and_a_sentence_of_its_own(error: type[BaseException]) -> None:
    assert issubclass(error, ModelGateError)
    assert error.__name__.endswith("Error")
    assert "__doc__" in vars(error)
    assert (inspect.getdoc(error) or "").endswith(".")


def test_an_error_raised_without_a_message_says_what_its_class_says() -> None:
    assert NotFoundError().message == "There is no such thing in this tenant."
    assert NotFoundError("There is no key 3.").message == "There is no key 3."


def test_bad_input_names_its_field_apart_from_the_sentence() -> None:
    error = InvalidInputError("The name is taken by a robot.", "name")
    assert (error.message, error.field) == ("The name is taken by a robot.", "name")
    assert error.problems == (FieldProblem("name", "The name is taken by a robot."),)


def test_bad_input_without_a_field_has_no_problems_by_field() -> None:
    error = InvalidInputError("Give one of the two.")
    assert (error.field, error.problems) == (None, ())


def test_bad_input_in_several_fields_is_told_by_the_first() -> None:
    problems = [FieldProblem("name", "name is empty."), FieldProblem("note", "note is too long.")]
    error = InvalidInputError.of_fields(iter(problems))
    assert (error.message, error.field, error.problems) == ("name is empty.", "name", tuple(problems))


@pytest.mark.parametrize(("seconds", "told"), [(30, "30 seconds"), (119, "119 seconds"), (121, "3 minutes")])
def test_who_is_locked_out_is_told_for_how_long(seconds: int, told: str) -> None:
    error = LockedOutError(seconds)
    assert error.retry_after == seconds
    assert error.message.endswith(f"try again in {told}.")


def test_every_code_of_an_error_has_its_section_in_the_document_on_troubleshooting() -> None:
    document = (Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text()
    codes = {error.error_code for error in PUBLIC if issubclass(error, ModelGateError)}
    assert {line.removeprefix("### ") for line in document.splitlines() if line.startswith("### ")} == codes


def test_what_a_class_is_not_given_it_has_of_the_class_above_it() -> None:
    assert InvalidInputError.error_code == "invalid-input"
    assert errors.EmbedderFailedError.error_code == errors.EmbedderUnavailableError.error_code == "embedder-unavailable"
