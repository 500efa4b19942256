"""The file of a backup: a ZIP archive with the rows of each table, and a manifest that says what there has to be.

A table is `tables/NAME`, its rows as PostgreSQL's COPY writes them in text form, which every version reads. The
manifest comes last: a file that was cut short has none.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import Self

from gateway import __version__
from gateway.errors import BackupError

FORMAT = 1
"""The number of this form; one that is higher was written by a newer version."""

_MANIFEST = "manifest.json"
_TABLES = "tables/"
_CHUNK_BYTES = 256 * 1024
_MAX_MANIFEST_BYTES = 16 * 2**20
_Name = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]{0,62}$")]


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class AppliedMigration:
    """A migration that the database had when it was backed up; `checksum` is the SHA-256 of its text, in hex."""

    number: int
    name: str
    checksum: str


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class StoredTable:
    """The rows of a table or partition: `rows` of `columns`, `sha256` (hex) of their bytes as they stand in the file.

    `parent` is the table that a partition belongs to, and `month` a time in that partition.
    """

    name: _Name
    columns: Annotated[list[_Name], Field(min_length=1)]
    rows: int
    sha256: str
    parent: _Name | None = None
    month: str | None = None


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class Manifest:
    """What a backup holds. `keys` are the fingerprints of the encryption keys that open the secrets in it."""

    format: int
    version: str
    made_at: str
    migrations: list[AppliedMigration]
    tables: list[StoredTable]
    sequences: dict[_Name, int]
    keys: list[str]
    has_vectors: bool

    def rows(self, table: str) -> int:
        """How many rows a table has, over all its partitions."""
        return sum(each.rows for each in self.tables if table in (each.name, each.parent))


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of a backup once all tables are written; see `Manifest`."""

    migrations: Sequence[AppliedMigration]
    tables: Sequence[StoredTable]
    sequences: dict[str, int]
    keys: Sequence[str]
    has_vectors: bool


class TableWriter:
    """Takes the rows of one table in pieces."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)

    def close(self) -> str:
        """No more is to come; the SHA-256 of all, in hex."""
        self._file.close()
        return self._hash.hexdigest()


class BackupWriter:
    """Writes a backup beside its place and moves it there when it is whole. For its owner alone: it holds secrets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise BackupError(f"{self._path} cannot be written: {error.strerror}.") from None
        self._file = os.fdopen(descriptor, "w+b")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._beside.unlink(missing_ok=True)

    def open_table(self, name: str) -> TableWriter:
        """Begin a table; one at a time."""
        return TableWriter(self._archive.open(_TABLES + name, "w", force_zip64=True))

    def finish(self, contents: Contents) -> Manifest:
        """All tables are written: put the backup in its place."""
        manifest = Manifest(
            FORMAT,
            __version__,
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
            list(contents.migrations),
            list(contents.tables),
            contents.sequences,
            sorted(contents.keys),
            contents.has_vectors,
        )
        self._archive.writestr(_MANIFEST, json.dumps(asdict(manifest), indent=1))
        self._archive.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._beside.replace(self._path)
        return manifest


class BackupReader:
    """Reads a backup. Raises BackupError where the file is none, is damaged, or is of a newer version."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._archive = zipfile.ZipFile(self._path)
        except OSError as error:
            raise BackupError(f"{self._path} cannot be read: {error.strerror}.") from None
        except zipfile.BadZipFile:
            raise BackupError(f"{self._path} is no backup, or only a part of one.") from None
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._archive.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._archive.close()

    def check(self) -> None:
        """Read all of it. Raises BackupError where any byte is not as it was written."""
        for table in self.manifest.tables:
            digest = hashlib.sha256()
            for chunk in self.rows(table):
                digest.update(chunk)
            if digest.hexdigest() != table.sha256:
                raise self._damaged(table.name)

    def rows(self, table: StoredTable) -> Iterator[bytes]:
        """The rows of a table in pieces. Raises BackupError where they are damaged."""
        try:
            with self._archive.open(_TABLES + table.name) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            raise self._damaged(table.name) from None

    def _read_manifest(self) -> Manifest:
        try:
            if self._archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
                raise self._damaged("manifest")
            text = self._archive.read(_MANIFEST)
            decoded = json.loads(text)
            if isinstance(decoded, dict) and isinstance(decoded.get("format"), int) and decoded["format"] > FORMAT:
                raise BackupError(
                    f"{self._path} was written by ModelGate {decoded.get('version')} in a form that this version does "
                    "not know; update ModelGate, then restore it."
                )
            return TypeAdapter(Manifest).validate_json(text)
        except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error):
            raise BackupError(f"{self._path} is no backup of ModelGate, or is damaged.") from None

    def _damaged(self, part: str) -> BackupError:
        return BackupError(f"{self._path} is damaged, in {part}; restore another backup.")
