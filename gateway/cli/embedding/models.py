"""`modelgate models`: the models of Ollama."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import ResultT, load_command_settings, run_async
from gateway.errors import ModelGateError

if TYPE_CHECKING:
    from gateway.embedding.servers.ollama_models import OllamaModels, TriedVector
    from gateway.embedding.servers.pull_stream import PullProgress

_WARM_TEXT = "warm up"
_BAR_CHARACTERS = 30


@click.group(cls=CommandGroup)
@click.option("--url", default="", help="Where Ollama answers [default: embedder.base_url, else on this machine]")
@click.pass_context
def models(context: click.Context, url: str) -> None:
    """List, pull, show, copy, remove, test and warm up the models of Ollama."""
    context.obj = url


@models.command("list")
@json_option
@click.pass_context
def list_models(context: click.Context, *, as_json: bool) -> None:
    """List the models that are there."""
    listed = _run(context, lambda ollama: ollama.installed())
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There is no model yet; modelgate models pull nomic-embed-text brings one.")
        return
    print_table(
        ["MODEL", "SIZE", "PARAMETERS", "QUANTIZATION", "DIGEST", "CHANGED"],
        [
            [
                printable(each.name),
                _size(each.size),
                printable(each.parameters),
                printable(each.quantization),
                printable(each.digest[:12]),
                printable(each.modified_at[:16].replace("T", " ")),
            ]
            for each in listed
        ],
    )


@models.command("pull")
@click.argument("model")
@click.pass_context
def pull(context: click.Context, model: str) -> None:
    """Pull MODEL from Ollama's library, or what is missing of it, load it, and see that it makes vectors."""
    view = _ProgressView()

    async def pull_and_test(ollama: OllamaModels) -> TriedVector:
        try:
            async for progress in ollama.pull(model):
                view.show(progress)
        finally:
            view.end()
        return await ollama.test(model, _WARM_TEXT)

    tested = _run(context, pull_and_test)
    click.echo(
        f"{model} is there: vectors of {len(tested.vector)} dimensions, the first in {tested.milliseconds:.0f} ms."
    )


@models.command("show")
@click.argument("model")
@json_option
@click.pass_context
def show(context: click.Context, model: str, *, as_json: bool) -> None:
    """Show what MODEL says of itself."""
    shown = _run(context, lambda ollama: ollama.show(model))
    if as_json:
        print_json(shown)
        return
    rows = [
        ["family", shown.family],
        ["dimensions", str(shown.dimensions or "unknown")],
        ["longest text, in tokens", str(shown.max_tokens or "unknown")],
        ["capabilities", ", ".join(shown.capabilities)],
        *(["set", line] for line in shown.parameters.splitlines()),
    ]
    print_table(["FACT", "VALUE"], [[name, printable(" ".join(value.split()))] for name, value in rows])


@models.command("copy")
@click.argument("model")
@click.argument("new_name")
@click.pass_context
def copy(context: click.Context, model: str, new_name: str) -> None:
    """Have MODEL under NEW_NAME, too."""
    _run(context, lambda ollama: ollama.copy(model, new_name))
    click.echo(f"{new_name} is a copy of {model}.")


@models.command("remove")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.confirmation_option("--yes", prompt="They have to be pulled anew then; go on?")
@click.pass_context
def remove(context: click.Context, names: tuple[str, ...]) -> None:
    """Remove each MODEL; where one cannot be, the others are all the same."""

    async def remove_each(ollama: OllamaModels) -> list[str]:
        left = []
        for name in names:
            try:
                await ollama.remove(name)
                click.echo(f"{name} is removed.")
            except ModelGateError as error:
                left.append(name)
                click.echo(f"Error: {error.message}", err=True)
        return left

    left = _run(context, remove_each)
    if left:
        click.echo(f"Not removed: {', '.join(left)}.", err=True)
        sys.exit(1)


@models.command("test")
@click.argument("model")
@click.argument("text")
@click.pass_context
def test(context: click.Context, model: str, text: str) -> None:
    """Print the vector that MODEL makes of TEXT, as it is, and how long that took."""
    tested = _run(context, lambda ollama: ollama.test(model, text))
    click.echo(f"{len(tested.vector)} dimensions in {tested.milliseconds:.1f} ms")
    click.echo(json.dumps([round(float(number), 6) for number in tested.vector]))


@models.command("warm")
@click.argument("model")
@click.option("--keep-alive", default="", help="How long it stays loaded, as 30m, 24h or -1 [default: Ollama's choice]")
@click.pass_context
def warm(context: click.Context, model: str, keep_alive: str) -> None:
    """Load MODEL, so that the next one who needs it does not wait for that."""
    tested = _run(context, lambda ollama: ollama.test(model, _WARM_TEXT, keep_alive))
    click.echo(f"{model} is loaded, in {tested.milliseconds:.0f} ms.")


class _ProgressView:
    """A bar that moves on a terminal; elsewhere a line for each new step."""

    def __init__(self) -> None:
        self._moves = sys.stdout.isatty()
        self._status = ""
        self._is_open = False

    def show(self, progress: PullProgress) -> None:
        """Show where the pull is."""
        status = printable(progress.status, 60)
        if status != self._status:
            self.end()
            self._status = status
            if not (self._moves and progress.total):
                size = f" ({_size(progress.total)})" if progress.total else ""
                click.echo(f"{status}{size}")
        if self._moves and progress.total:
            share = min(progress.completed / progress.total, 1.0)
            bar = "█" * int(share * _BAR_CHARACTERS)
            click.echo(f"\r{status} {bar:<{_BAR_CHARACTERS}} {share:4.0%} of {_size(progress.total)}", nl=False)
            self._is_open = True

    def end(self) -> None:
        """Leave the line of a bar."""
        if self._is_open:
            click.echo()
        self._is_open = False


def _run(context: click.Context, work: Callable[[OllamaModels], Awaitable[ResultT]]) -> ResultT:
    from gateway.embedding.servers.server_factory import open_ollama_models

    settings = load_command_settings(context, log_level="warning")

    async def open_and_work() -> ResultT:
        async with open_ollama_models(settings.embedder, context.obj) as ollama:
            return await work(ollama)

    return run_async(open_and_work)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
