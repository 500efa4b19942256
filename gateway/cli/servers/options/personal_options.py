"""Options that say how each person is let in at a server as who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli.options import option_group
from gateway.cli.servers.options.token_options import (
    given_token_options,
    read_exchange,
    read_id_jag,
    read_oauth,
)
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.personal import PERSONAL_KINDS, PersonalHeader, PersonalKind, PersonalSecret

_PLACES = ("header", "query", "env")

personal_options = option_group(
    click.option(
        "--credential",
        type=click.Choice(["shared", "per_user"]),
        help="One credential for all, or each person by what they have connected.",
    ),
    click.option("--kind", type=click.Choice(list(PERSONAL_KINDS)), help="per_user: what a person is let in by."),
    click.option("--to", metavar="PLACE:NAME", help="Where it goes: header:NAME, query:NAME, env:NAME or basic."),
    click.option("--form", metavar="TEXT", help="How a secret is sent, as in 'Bearer {secret}'."),
    click.option("--from", "from_header", metavar="HEADER", help="header: what the trusted proxy puts on a request."),
    click.option("--list-as", metavar="PERSON", help="per_user: by whose connection it is listed, where they agreed."),
)


def read_personal(options: dict[str, Any]) -> PersonalKind | None:
    """The kind of personal credentials that the options say, None where they say none. Raises InvalidInputError.

    What is said of OAuth is for such a kind, and taken out of `options` then.
    """
    if options["credential"] != "per_user":
        given = [name for name in ("kind", "to", "form", "from_header") if options[name] is not None]
        if given:
            raise InvalidInputError("--kind, --to, --form and --from go with --credential per_user.")
        if tokens := given_token_options(options):
            raise InvalidInputError(f"{', '.join(tokens)}: for --credential per_user with --kind exchange or id_jag.")
        return None
    if options["kind"] is None:
        raise InvalidInputError(f"--credential per_user takes a --kind: {', '.join(PERSONAL_KINDS)}.")
    if options["kind"] in ("secret", "header") and (tokens := given_token_options(options)):
        raise InvalidInputError(f"{', '.join(tokens)}: not for --kind {options['kind']}; leave it out.")
    if options["kind"] not in ("secret", "header"):
        placed = [name for name in ("to", "form", "from_header") if options[name] is not None]
        if placed:
            raise InvalidInputError("--to, --form and --from are for --kind secret and header; tokens go as Bearer.")
    return _READERS[options["kind"]](options)


def _read_secret(options: Mapping[str, Any]) -> PersonalSecret:
    if options["from_header"] is not None:
        raise InvalidInputError("--from is for --kind header.")
    if options["to"] == "basic":
        return PersonalSecret(basic=True)
    place, name = _target(options["to"] or "header:Authorization")
    bare = (place, name.lower()) != ("header", "authorization")
    return PersonalSecret(place=place, name=name, form=options["form"] or ("{secret}" if bare else "Bearer {secret}"))  # type: ignore[arg-type]


def _read_header(options: Mapping[str, Any]) -> PersonalHeader:
    if options["form"] is not None:
        raise InvalidInputError("--form is for --kind secret; what the proxy adds goes on as it is.")
    if not options["from_header"]:
        raise InvalidInputError("--kind header takes --from with the name of the header that the proxy adds.")
    place, name = _target(options["to"] or f"header:{options['from_header']}")
    if place != "header":
        raise InvalidInputError("What a proxy adds goes on as a header: --to header:NAME.")
    return PersonalHeader(options["from_header"], name)


def _target(text: str) -> tuple[str, str]:
    place, colon, name = text.partition(":")
    if not colon or place not in _PLACES:
        raise InvalidInputError("--to is written header:NAME, query:NAME, env:NAME or basic.")
    return place, name


_READERS: Mapping[str, Callable[[dict[str, Any]], PersonalKind]] = {
    "secret": _read_secret,
    "oauth": read_oauth,
    "exchange": read_exchange,
    "id_jag": read_id_jag,
    "header": _read_header,
}
