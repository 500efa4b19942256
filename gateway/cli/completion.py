"""`modelgate completion`: completion of commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what completes commands in SHELL.

    \b
    bash: add to ~/.bashrc: eval "$(modelgate completion bash)"
    zsh:  add to ~/.zshrc, after compinit: eval "$(modelgate completion zsh)"
    fish: modelgate completion fish > ~/.config/fish/completions/modelgate.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "modelgate", "_MODELGATE_COMPLETE").source())
