"""Commands that install what they run: killed in the midst of that, they leave a cache that stays broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_RUNNERS = frozenset({"npx", "pnpx", "bunx", "uvx", "pipx", "dnx", "cnpx", "tnpx"})
_RUNNING_WORDS: Mapping[str, frozenset[str]] = {
    "npm": frozenset({"exec", "x", "init", "create", "i", "install", "ci"}),
    "pnpm": frozenset({"dlx", "exec", "x", "create", "i", "install"}),
    "yarn": frozenset({"dlx", "exec", "create", "install"}),
    "bun": frozenset({"x", "run", "install", "i"}),
    "uv": frozenset({"run", "tool", "sync", "pip"}),
    "pip": frozenset({"install"}),
    "pip3": frozenset({"install"}),
    "deno": frozenset({"run", "x"}),
    "go": frozenset({"run", "install"}),
    "cargo": frozenset({"run", "install"}),
    "dotnet": frozenset({"run", "tool"}),
    "docker": frozenset({"run", "pull", "compose"}),
    "podman": frozenset({"run", "pull", "compose"}),
    "nerdctl": frozenset({"run", "pull", "compose"}),
    "nix": frozenset({"run", "shell", "develop"}),
    "conda": frozenset({"run"}),
    "poetry": frozenset({"run", "install"}),
}
_WORD = re.compile(r"[^\s;&|()\"'`]+")
_ENDING = re.compile(r"\.(?:exe|cmd|bat|ps1|sh)\Z")


def find_package_runner(command: str, args: Iterable[str]) -> str | None:
    """The name of the package runner that a command line starts, behind `env`, `sh -c` and their like as well."""
    words = [_name(word) for part in (command, *args) for word in _WORD.findall(part)]
    for position, word in enumerate(words):
        if word in _RUNNERS:
            return word
        running = _RUNNING_WORDS.get(word)
        if running is not None and not running.isdisjoint(words[position + 1 :]):
            return word
    return None


def _name(word: str) -> str:
    return _ENDING.sub("", re.split(r"[/\\]", word)[-1].lower())
