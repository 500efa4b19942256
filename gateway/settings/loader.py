"""The settings in force: `config.toml`, then the environment; the later wins.

An unknown key or a value of the wrong kind stops the start with file, line, key and the nearest known key.
"""

from __future__ import annotations

import difflib
import os
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from gateway.errors import SettingsError
from gateway.settings.config_file import ConfigFile
from gateway.settings.sections import LoadedSettings, Settings
from gateway.settings.setting import all_settings

_DEFAULT_FILE = Path("config.toml")

# Names that users of earlier gateways of this kind have in their environment.
_ALIASES = {
    "MODELGATE_EMBEDDER_URL": ("embedder", "base_url"),
    "OPENAI_API_KEY": ("embedder", "api_key"),
    "MODELGATE_ENCRYPTION_KEY": ("server", "encryption_key"),
    "MODELGATE_DATA_DIR": ("server", "data_dir"),
}
# Read by the command line itself, not settings.
_NOT_SETTINGS = {"MODELGATE_CONFIG", "MODELGATE_URL", "MODELGATE_API_KEY"}

_OLLAMA_VARIABLE = "OLLAMA_BASE_URL"

_Values: TypeAlias = dict[str, dict[str, Any]]


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read the settings in force.

    `path` is the file to read; without it `$MODELGATE_CONFIG`, else `config.toml` in the working directory where there
    is one. Raises SettingsError for a file that is missing or not TOML, an unknown key, or a value that does not fit.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get("MODELGATE_CONFIG"):
        path = Path(environ["MODELGATE_CONFIG"])
    values: _Values = {section: {} for section in all_settings()}
    sources: dict[str, str] = {}
    if path is not None or _DEFAULT_FILE.is_file():
        _read_file(ConfigFile.read(path or _DEFAULT_FILE), values, sources, environ)
    _read_environment(values, sources, environ)
    _read_ollama_address(values["embedder"], sources, environ)
    sections = {name: kind(**values[name]) for name, kind in typing.get_type_hints(Settings).items()}
    return LoadedSettings(**sections, sources=sources)


def _read_file(file: ConfigFile, values: _Values, sources: dict[str, str], environ: Mapping[str, str]) -> None:
    for section in file.sections():
        known = all_settings().get(section.key)
        if known is None:
            raise SettingsError(
                f"{section.source}: unknown section [{section.key}].{_suggest(section.key, all_settings())}"
            )
        if not isinstance(section.value, dict):
            raise SettingsError(f"{section.source}: {section.key} has to be a section, written [{section.key}].")
        for entry in file.settings(section):
            if entry.key not in known:
                raise SettingsError(
                    f"{entry.source}: unknown key {section.key}.{entry.key}.{_suggest(entry.key, known)}"
                )
            raw = _expand(entry.value, environ)
            values[section.key][entry.key] = known[entry.key].parse(raw, entry.source)
            sources[f"{section.key}.{entry.key}"] = entry.source


def _read_environment(values: _Values, sources: dict[str, str], environ: Mapping[str, str]) -> None:
    by_variable = {
        f"MODELGATE_{section}_{key}".upper(): (section, key) for section, keys in all_settings().items() for key in keys
    }
    for variable in sorted(environ):
        if variable in _NOT_SETTINGS or not (variable.startswith("MODELGATE_") or variable in _ALIASES):
            continue
        place = _ALIASES.get(variable) or by_variable.get(variable.upper())
        if place is None:
            raise SettingsError(f"Environment variable {variable}: unknown setting.{_suggest(variable, by_variable)}")
        section, key = place
        if variable in _ALIASES and f"MODELGATE_{section}_{key}".upper() in environ:
            # A variable named by its section and key is the more exact one.
            continue
        setting = all_settings()[section][key]
        values[section][key] = setting.parse(environ[variable], f"Environment variable {variable}")
        sources[f"{section}.{key}"] = f"Environment variable {variable}"


def _read_ollama_address(embedder: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    """Other programs look for Ollama there, and this one as long as nothing else is said of it."""
    address = environ.get(_OLLAMA_VARIABLE)
    if address and not embedder.get("base_url") and embedder.get("type", "auto") in ("auto", "ollama"):
        source = f"Environment variable {_OLLAMA_VARIABLE}"
        embedder["base_url"] = all_settings()["embedder"]["base_url"].parse(address, source)
        sources["embedder.base_url"] = source


def _expand(raw: Any, environ: Mapping[str, str]) -> Any:
    """`raw` with each `${NAME}` in its texts replaced by that variable; one that is not set stands for nothing."""
    if isinstance(raw, list):
        return [_expand(item, environ) for item in raw]
    if isinstance(raw, dict):
        return {key: _expand(item, environ) for key, item in raw.items()}
    if not isinstance(raw, str):
        return raw
    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda match: environ.get(match[1], ""), raw)


def _suggest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to `word`, else all of them, as a sentence."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(sorted(known))}."
