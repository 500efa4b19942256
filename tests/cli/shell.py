"""`modelgate` in the test's own process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.errors import ModelGateError


class Shell:
    """Runs commands with an environment."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner(env=self.environ).invoke(cli, arguments, input=typed)

    def says(self, *arguments: str, typed: str = "") -> str:
        """What a command that goes well says."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def fails(self, *arguments: str, typed: str = "") -> str:
        """The sentence of a command that fails."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code != 0
        if isinstance(result.exception, ModelGateError):
            return result.exception.message
        assert isinstance(result.exception, SystemExit)
        return result.output
