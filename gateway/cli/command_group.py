"""A group of commands that knows what else its commands could be called, and imports each when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.exceptions import NoSuchCommand

_OTHER_WORDS = {
    "remove": ("delete", "revoke"),
    "delete": ("remove", "revoke"),
    "add": ("create", "set"),
    "create": ("add", "set"),
}


class CommandGroup(click.Group):
    """Suggests the command that does what a mistyped one means, before those that only look like it."""

    def __init__(self, *args: Any, modules: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        """`modules` are commands by name, each as `package.module:attribute`: all together they take long to import."""
        super().__init__(*args, **kwargs)
        self._modules = modules or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._modules[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; raises NoSuchCommand with the command of the other word."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            known = self.list_commands(ctx)
            other = [word for word in _OTHER_WORDS.get(error.command_name, ()) if word in known]
            if not other:
                raise
            raise click.UsageError(f"{error.message} Did you mean {other[0]!r}?", ctx) from None
