"""`modelgate` in the test's own process, with the arguments, environment, folder and standard streams of one by itself.

To start Python and to import and load all that a command needs takes ten times as long as what most of them do.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from gateway.cli import main

# Folder, environment and standard streams are the process's: one command at a time.
_alone = threading.Lock()
_STREAMS = ("stdin", "stdout", "stderr")


def run_in_process(
    arguments: tuple[str, ...], environ: Mapping[str, str], folder: Path, stdin: bytes
) -> tuple[int, bytes, bytes]:
    """Run a command to its end; returns its exit code, and what it wrote to its standard output and error output.

    Blocks; call it from a thread, where it has an event loop of its own.
    """
    read, out, err = io.BytesIO(stdin), io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in (read, out, err)]
    process: dict[str, Any] = {"argv": ["modelgate", *arguments], **dict(zip(_STREAMS, streams, strict=True))}
    with (
        _alone,
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.multiple(sys, **process),
        _working_in(folder),
        _logging_as_before(),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code
        for stream in streams:
            # Without this it would close what is read from.
            stream.detach()
    return _exit_code(code), out.getvalue(), err.getvalue()


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    assert isinstance(code, int), code
    return code


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _logging_as_before() -> Iterator[None]:
    """A command sets up logging for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
