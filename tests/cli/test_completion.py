"""`modelgate completion`, and what a shell then asks."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell

SHELL = Shell({"MODELGATE_CONFIG": "/dev/null"})


@pytest.mark.parametrize(
    ("shell", "hook"), [("bash", "complete -o"), ("zsh", "#compdef modelgate"), ("fish", "complete --no-files")]
)
def test_a_shell_is_given_what_asks_for_completions(shell: str, hook: str) -> None:
    said = SHELL.says("completion", shell)
    assert hook in said
    assert f"_MODELGATE_COMPLETE={shell}_complete" in said


def test_other_shells_are_refused() -> None:
    assert "'powershell' is not one of 'bash', 'zsh', 'fish'" in SHELL.fails("completion", "powershell")
