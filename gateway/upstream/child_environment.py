"""Which variables a stdio server may be given where its command is held to a list.

What starts a program reads more from its environment than the program does: `NODE_OPTIONS` loads a file into every
Node process, `PYTHONPATH` puts modules before Python's own, `BASH_FUNC_…` defines functions, `NPM_CONFIG_REGISTRY` says
where packages come from. There is no complete list of such names, so that those are listed that do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePath

# What services are let in with. What a runtime or an installer reads by such a name is listed below.
_CREDENTIAL = re.compile(r"[A-Z][A-Z0-9_]{0,99}_(?:TOKEN|KEY|SECRET|PASSWORD|USERNAME|USER|EMAIL|ID)")
_OF_EVERY_COMMAND = frozenset({"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "NO_COLOR", "FORCE_COLOR", "LOG_LEVEL"})
_OF_FAMILY = {
    "node": frozenset({"NODE_ENV", "NODE_NO_WARNINGS"}),
    "npx": frozenset({"NODE_ENV", "NODE_NO_WARNINGS"}),
    "python": frozenset({"PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE"}),
    "uvx": frozenset({"PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE"}),
    "uv": frozenset({"PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE"}),
}
_READ_BY_RUNTIMES = (
    *("LD_", "DYLD_", "NODE", "NPM_", "YARN_", "PNPM_", "BUN_", "DENO_", "PYTHON", "PIP_", "PIPX_"),
    *("UV_", "POETRY_", "VIRTUAL_", "CONDA_", "BASH", "ENV_", "ZDOT", "GIT_", "SSH_", "DOCKER_"),
    *("JAVA_", "JDK_", "MAVEN_", "RUBY", "GEM_", "BUNDLE_", "PERL", "PHP", "GO", "CARGO_", "RUST"),
    *("DOTNET_", "GLIBC_", "MALLOC_", "SSL_", "CURL_", "GCONV_"),
)


def refused_variables(command: str, names: Collection[str], allowed: Collection[str]) -> list[str]:
    """Those of `names` that a server with this command may not be given, sorted.

    `allowed` are those that an admin named. An entry that ends in `*` stands for all names that begin as it does.
    """
    family = PurePath(command).name.rstrip("0123456789.").removesuffix(".exe")
    harmless = _OF_EVERY_COMMAND | _OF_FAMILY.get(family, frozenset())
    refused = (name for name in names if name not in harmless and not _is_credential(name))
    return sorted(name for name in refused if not _is_named(name, allowed))


def _is_credential(name: str) -> bool:
    return _CREDENTIAL.fullmatch(name) is not None and not name.startswith(_READ_BY_RUNTIMES)


def _is_named(name: str, allowed: Collection[str]) -> bool:
    return any(name == entry or (entry.endswith("*") and name.startswith(entry[:-1])) for entry in allowed)
