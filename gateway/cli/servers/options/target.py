"""What `servers add` is given beside its options: a name, then a URL, or a command with its arguments."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.servers.options.openapi_document import is_url
from gateway.errors import InvalidInputError

_URL_EXAMPLE = "modelgate servers add Docs https://example.com/mcp"
_COMMAND_EXAMPLE = "modelgate servers add Files -- npx -y PACKAGE"
# What other programs have options for.
_ELSEWHERE = {
    "--url": f"A URL follows the name by itself: {_URL_EXAMPLE}",
    "--command": f"A command follows the name by itself: {_COMMAND_EXAMPLE}",
    "--name": f"The name comes first, by itself: {_URL_EXAMPLE}",
    "--transport": "A URL speaks streamable HTTP, and HTTP+SSE with --sse; anything else is a command.",
}
_WITHOUT_SCHEME = re.compile(
    r"https?:[^/].*|[a-z]{2,}:/.*|(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:\d{1,5}(/.*)?|/.*)", re.IGNORECASE
)


def check_target(
    context: click.Context, name: str | None, target: str | None, arguments: Sequence[str], *, openapi: bool
) -> tuple[str, str]:
    """Name and target, where they and the arguments are what they seem to be.

    Raises click.UsageError where one is missing or is an option that there is not, and InvalidInputError for a target
    that is meant to be a URL and is none.
    """
    for word in (name, target):
        _reject_option(context, word)
    if name is None or target is None:
        missing = "NAME" if name is None else "TARGET"
        raise click.UsageError(
            f"Missing argument {missing!r}. A name, and a URL or a command: {_URL_EXAMPLE}, or {_COMMAND_EXAMPLE}",
            context,
        )
    if openapi or is_url(target):
        for word in arguments:
            _reject_option(context, word)
            raise click.UsageError(
                f"{word!r} stands after {target!r}, which takes no arguments; leave it out.", context
            )
    elif _WITHOUT_SCHEME.fullmatch(target) and not Path(target).exists() and shutil.which(target) is None:
        raise InvalidInputError(
            f"{target!r} is neither a command nor a URL; a URL begins with http:// or https://.", "target"
        )
    return name, target


def _reject_option(context: click.Context, word: str | None) -> None:
    if word is None or not word.startswith("-") or word == "-":
        return
    option = word.partition("=")[0]
    known = [each for parameter in context.command.params for each in parameter.opts if each.startswith("--")]
    message = f"No such option {option!r}."
    if option in _ELSEWHERE:
        raise click.NoSuchOption(option, f"{message} {_ELSEWHERE[option]}", ctx=context)
    raise click.NoSuchOption(option, message, known, context)
