"""Of all that a process wrote before it failed, the line that says why."""

from __future__ import annotations

import re

_MAX_CHARACTERS = 300
_MAX_LINES = 400
_RECENT_LINES = 20

# Colours and their like, and what else steers a terminal.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FRAME = re.compile(r"\s+at\s\S")
_NAMED_ERROR = re.compile(
    r"\s*(?:Uncaught |Unhandled exception[.:]? |Exception in thread \S+ )?[\w.$]*(?:error|exception)\b", re.IGNORECASE
)
_CAUSE = re.compile(r"\s*\[cause\]: (.+)")
_TRACEBACK = re.compile(r"[\s|+]*Traceback \(most recent call last\):")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::.*)?\Z")
_WITH_DETAILS = re.compile(r":\s*\Z|:\s*\d+ validation errors? for ")
_PACKAGE_MANAGER = re.compile(
    r"(?:npm|pnpm|yarn)\s+(?:error|ERR!)\s+(?!code\b|errno\b|syscall\b|path\b|dest\b|A complete log)\S"
)
_PANIC = re.compile(r"panic: |thread '[^']*' panicked at |Caused by: ")
_RESOLUTION = re.compile(r"\s*(?:╰─▶|×)\s*(.+)")
_NOISE = re.compile(
    r"\s*(?!\s)(?:Node\.js v\d|note: |hint: |npm notice|npm warn|npm WARN|A complete log|Run '|See '|"
    r"For more information|[\]\[{}()^~\s|+-]*\Z|at\s|code: |errno: |syscall: |requireStack|During handling of|"
    r"The above exception)"
)
_TROUBLE = re.compile(
    r"error|fatal|fail|cannot|can't|could not|unable|not found|no such|missing|required|denied|refused|exception"
    r"|invalid|unauthorized|unknown|must |undefined",
    re.IGNORECASE,
)


def failure_line(output: str) -> str:
    """The line of `output`, the end of a standard error output, that says why its process failed; "" for nothing.

    Of a stack trace it is the error, not the frames; of a Python traceback the exception, not what led there.
    """
    lines = [line for line in _clean_lines(output) if line.strip()][-_MAX_LINES:]
    found = _traceback_line(lines) or _stack_trace_line(lines) or _known_line(lines) or _troubled_line(lines)
    return _shorten(found)


def last_line(output: str) -> str:
    """The last line of `output` that says anything."""
    return _shorten(next((line for line in reversed(_clean_lines(output)) if line.strip()), ""))


def _clean_lines(output: str) -> list[str]:
    # What ends in a carriage return is a line that was written over, as progress bars do.
    text = _ESCAPES.sub("", output)
    return [_CONTROLS.sub(" ", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n")]


def _traceback_line(lines: list[str]) -> str:
    """The exception of the last Python traceback."""
    begin = next((at for at in range(len(lines) - 1, -1, -1) if _TRACEBACK.match(lines[at])), None)
    if begin is None:
        return ""
    indent = len(lines[begin]) - len(lines[begin].lstrip(" |+"))
    for at in range(begin + 1, len(lines)):
        line = lines[at]
        inner = line[indent:] if not line[:indent].strip(" |+") else line
        if inner[:1].isspace() or not _EXCEPTION.match(inner):
            continue
        details = lines[at + 1 : at + 3] if _WITH_DETAILS.search(inner) else []
        return " ".join([inner, *(detail.strip(" |+") for detail in details)])
    return ""


def _stack_trace_line(lines: list[str]) -> str:
    """The error above the frames of a stack trace as Node, Deno, Bun, Java and .NET write them."""
    frame = next((at for at in range(len(lines) - 1, -1, -1) if _FRAME.match(lines[at])), None)
    if frame is None:
        return ""
    best = cause = ""
    for line in reversed(lines[:frame]):
        if caused := _CAUSE.match(line):
            cause = caused[1]
        elif _FRAME.match(line):
            continue
        elif _NAMED_ERROR.match(line):
            best = line
            # What stands indented is a part of the error above it.
            if not line[:1].isspace():
                break
        elif not best and not line[:1].isspace() and not line.startswith(("-", "Require stack")):
            best = line
    return f"{best} ({cause})" if best and cause else best


def _known_line(lines: list[str]) -> str:
    """What package managers, resolvers and panicking programs say."""
    for at, line in enumerate(lines):
        if _PACKAGE_MANAGER.match(line):
            return line
        if _PANIC.match(line):
            below = lines[at + 1] if line.rstrip().endswith(":") and at + 1 < len(lines) else ""
            return f"{line.strip()} {below.strip()}"
    parts = [match[1] for line in lines if (match := _RESOLUTION.match(line))]
    return " ".join(parts[-2:])


def _troubled_line(lines: list[str]) -> str:
    """The last of the recent lines that speaks of trouble, else the last one."""
    telling = [line for line in lines if not _NOISE.match(line)] or lines
    recent = telling[-_RECENT_LINES:]
    return next((line for line in reversed(recent) if _TROUBLE.search(line)), recent[-1] if recent else "")


def _shorten(line: str) -> str:
    text = " ".join(line.split())
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
