"""An entry put into a client's configuration file or taken out of it: previewed first, then written with a backup."""

from __future__ import annotations

import contextlib
import copy
import difflib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.catalog.client_config.client import ENTRY_NAME, Client
from gateway.catalog.client_config.config_text import parse_document
from gateway.catalog.client_config.json_edit import remove_json_entry, set_json_entry
from gateway.catalog.client_config.text_edit import TextEdit, apply_edits
from gateway.catalog.client_config.toml_edit import remove_toml_entry, set_toml_entry
from gateway.catalog.client_config.yaml_edit import remove_yaml_entry, set_yaml_entry
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_BYTES = 64 * 1024 * 1024
_BACKUP_SUFFIX = ".before-modelgate"
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What a file holds, and what it is to hold; None: there is no file."""

    path: Path
    before: bytes | None
    after: bytes | None
    backup: bytes | None = None
    """What a backup is to hold, which is made or kept; None: none is left."""

    def diff(self) -> str:
        """The difference as a unified diff; empty where there is none."""
        old, new = (_decode(self.path, text or b"").splitlines() for text in (self.before, self.after))
        return "\n".join(difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm=""))

    def require_unchanged(self) -> None:
        """Raises ConflictError where the file is no longer as it was when the change was made out."""
        if _read(self.path.resolve()) != self.before:
            raise ConflictError(f"{self.path} has changed since it was shown; look at the difference again.")

    def write(self) -> None:
        """Raises ConflictError where the file has changed meanwhile, InvalidInputError where it cannot be written."""
        path = self.path.resolve()
        self.require_unchanged()
        try:
            backup = backup_path(path)
            if self.backup is not None:
                _replace(backup, self.backup, _mode(path))
            if self.after is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                _replace(path, self.after, _mode(path))
            if self.backup is None:
                backup.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInputError(f"{self.path} cannot be written: {error.strerror}.") from None


def backup_path(path: Path) -> Path:
    """Where what a file held before its first change is kept, for `undo_entry`."""
    return path.with_name(path.name + _BACKUP_SUFFIX)


def put_entry(client: Client, path: Path, entry: Mapping[str, Any]) -> ConfigChange:
    """The change that puts `entry` into a client's file and leaves all else in it as it is, byte by byte.

    Raises InvalidInputError for a file that is not of the client's format, or in which that cannot be done.
    """
    target = path.resolve()
    before, kept = _read(target), _read(backup_path(target))
    text = _decode(path, before or b"")
    after = _with_entry(client, path, text, entry)
    first = kept is None or _find_entry(client, _load(client, path, text)) is None
    return ConfigChange(path, before, after.encode(), before if first else kept)


def undo_entry(client: Client, path: Path) -> ConfigChange:
    """The change that takes the entry out again: back to what was there, but for what was changed since.

    Raises NotFoundError where there is no entry, and InvalidInputError as `put_entry`.
    """
    target = path.resolve()
    before, kept = _read(target), _read(backup_path(target))
    text = _decode(path, before or b"")
    entry = _find_entry(client, _load(client, path, text))
    if entry is None:
        raise NotFoundError(f"There is no entry {ENTRY_NAME} in {path}.")
    former = _decode(path, kept or b"")
    # As it was left: every byte of what it was before can be given back.
    if _try_with_entry(client, path, former, entry) == text:
        return ConfigChange(path, before, kept)
    former_entry = _find_entry(client, _load(client, path, former))
    after = (
        _without_entry(client, path, text) if former_entry is None else _with_entry(client, path, text, former_entry)
    )
    return ConfigChange(path, before, after.encode())


def read_config(path: Path) -> str | None:
    """What a file holds, None where it is not there. Raises InvalidInputError."""
    content = _read(path.resolve())
    return None if content is None else _decode(path, content)


def has_entry(client: Client, path: Path) -> bool:
    """Whether the gateway is in a client's file. Raises InvalidInputError."""
    text = read_config(path)
    return text is not None and _find_entry(client, _load(client, path, text)) is not None


def key_in_entry(client: Client, path: Path) -> str | None:
    """The API key in the gateway's entry of a client's file. Raises InvalidInputError."""
    text = read_config(path)
    entry = None if text is None else _find_entry(client, _load(client, path, text))
    found = re.search(r"\bmg_[0-9a-f]{64}\b", json.dumps(entry))
    return None if found is None else found[0]


def _with_entry(client: Client, path: Path, text: str, entry: Mapping[str, Any]) -> str:
    _load(client, path, text)
    editor = {"json": set_json_entry, "toml": set_toml_entry, "yaml": set_yaml_entry}[client.format]
    try:
        edits = editor(text, client.place, ENTRY_NAME, entry)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error.message}") from None
    return _checked(client, path, text, edits, dict(entry))


def _try_with_entry(client: Client, path: Path, text: str, entry: Mapping[str, Any]) -> str | None:
    try:
        return _with_entry(client, path, text, entry)
    except InvalidInputError:
        return None


def _without_entry(client: Client, path: Path, text: str) -> str:
    editor = {"json": remove_json_entry, "toml": remove_toml_entry, "yaml": remove_yaml_entry}[client.format]
    return _checked(client, path, text, editor(text, client.place, ENTRY_NAME), None)


def _checked(client: Client, path: Path, text: str, edits: list[TextEdit], entry: dict[str, Any] | None) -> str:
    """The text with edits, once it is sure that it holds `entry` and otherwise what it held."""
    if "\r\n" in text:
        edits = [TextEdit(edit.start, edit.end, re.sub(r"\r?\n", "\r\n", edit.replacement)) for edit in edits]
    after = apply_edits(text, edits)
    by_hand = f"{path} is written in a way that cannot be changed safely; put the entry in by hand (--print shows it)."
    try:
        document = _load(client, path, after)
    except InvalidInputError:
        raise InvalidInputError(by_hand) from None
    if _find_entry(client, document) != entry or _rest(client, document) != _rest(client, _load(client, path, text)):
        raise InvalidInputError(by_hand)
    return after


def _load(client: Client, path: Path, text: str) -> Any:
    """The document as plain values, an empty mapping for an empty text."""
    text = text.lstrip("\ufeff")
    if not text.strip():
        return {}
    try:
        if client.format == "json":
            return parse_document(text)
        return tomllib.loads(text) if client.format == "toml" else yaml.safe_load(text) or {}
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error.message}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(f"{path} is not valid {client.format.upper()}: {reason}.") from None


def _find_entry(client: Client, document: Any) -> dict[str, Any] | None:
    for step in (*client.place, ENTRY_NAME):
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None


def _rest(client: Client, document: Any) -> Any:
    """The document without the entry, and without what is only there to hold it."""
    rest = copy.deepcopy(document)
    path = [rest]
    for step in client.place:
        inner = path[-1].get(step) if isinstance(path[-1], dict) else None
        if inner is None:
            break
        path.append(inner)
    if len(path) > len(client.place) and isinstance(path[-1], dict):
        path[-1].pop(ENTRY_NAME, None)
    for step, holder in reversed(list(zip(client.place, path, strict=False))):
        if isinstance(holder, dict) and step in holder and not holder[step]:
            del holder[step]
    return rest


def _read(path: Path) -> bytes | None:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInputError(f"{path} is larger than the {_MAX_BYTES} bytes that are read.")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from None


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is not a text file in UTF-8.") from None


def _mode(path: Path) -> int:
    """The permissions of a file; of one that is to be made, its owner's alone, for it holds a key."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return _OWNER_ONLY


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file in one step: whoever reads it finds the former or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
