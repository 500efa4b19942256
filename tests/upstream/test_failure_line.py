"""The line that says why: what runtimes and package managers write before they end."""

from __future__ import annotations

import pytest

from gateway.upstream.failure_line import failure_line, last_line

NODE = """node:internal/modules/cjs/loader:1215
  throw err;
  ^

Error: Cannot find module '/srv/missing.js'
Require stack:
- /srv/index.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1212:15)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/srv/index.js' ]
}

Node.js v20.11.1
"""
NODE_ESM = """node:internal/modules/esm/resolve:854
  throw new ERR_MODULE_NOT_FOUND(packageName, fileURLToPath(base), null);
        ^

Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/index.mjs
    at packageResolve (node:internal/modules/esm/resolve:854:9)

Node.js v22.1.0
"""
NODE_CAUSE = """TypeError: fetch failed
    at node:internal/deps/undici/undici:12345:11
    at async main (file:///srv/index.js:3:1) {
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:1
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1595:16) {
    errno: -111,
    code: 'ECONNREFUSED'
  }
}
"""
PYTHON = """Starting up
Traceback (most recent call last):
  File "/srv/server.py", line 1, in <module>
    import missing
ModuleNotFoundError: No module named 'missing'
"""
PYTHON_CHAIN = """Traceback (most recent call last):
  File "a.py", line 2, in f
    x["k"]
KeyError: 'k'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 9, in <module>
    main()
    ~~~~^^
RuntimeError: API_KEY is not set
"""
PYTHON_GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 3, in <module>
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 9, in f
    |     raise ValueError("no token")
    | ValueError: no token
    +------------------------------------
"""
PYDANTIC = """Traceback (most recent call last):
  File "a.py", line 3, in <module>
    Settings()
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
api_key
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.9/v/missing
"""
NPM = """npm error code E404
npm error 404 Not Found - GET https://registry.example/nope - Not found
npm error 404
npm error 404  'nope@*' is not in this registry.
npm error A complete log of this run can be found in: /home/x/.npm/_logs/2026-01-01.log
"""
UV = """  × No solution found when resolving tool dependencies:
  ╰─▶ Because nope was not found in the package registry and you require nope.
"""
RUST = """thread 'main' panicked at src/main.rs:2:5:
no configuration file
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
GO = """panic: dial tcp 127.0.0.1:1: connection refused

goroutine 1 [running]:
main.main()
	/srv/main.go:8 +0x1d
exit status 2
"""
JAVA = """Exception in thread "main" java.lang.IllegalStateException: no token
\tat com.example.Main.main(Main.java:5)
"""
DOTNET = """Unhandled exception. System.InvalidOperationException: no token
   at Program.Main() in /srv/Program.cs:line 3
"""
DENO = """error: Uncaught (in promise) TypeError: Module not found "file:///srv/x.ts".
    at file:///srv/main.ts:1:1
"""
DOCKER = """Unable to find image 'nope:latest' locally
docker: Error response from daemon: pull access denied for nope, repository does not exist.

Run 'docker run --help' for more information
"""
ARGPARSE = """usage: server [-h] --token TOKEN
server: error: the following arguments are required: --token
"""
LOGGED = """2026-01-01 12:00:00 INFO starting
2026-01-01 12:00:01 ERROR GITHUB_TOKEN is not set
2026-01-01 12:00:01 INFO bye
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (NODE, "Error: Cannot find module '/srv/missing.js'"),
        (NODE_ESM, "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/index.mjs"),
        (NODE_CAUSE, "TypeError: fetch failed (Error: connect ECONNREFUSED 127.0.0.1:1)"),
        (PYTHON, "ModuleNotFoundError: No module named 'missing'"),
        (PYTHON + "INFO: shutting down\n", "ModuleNotFoundError: No module named 'missing'"),
        (PYTHON_CHAIN, "RuntimeError: API_KEY is not set"),
        (PYTHON_GROUP, "ValueError: no token"),
        (NPM, "npm error 404 Not Found - GET https://registry.example/nope - Not found"),
        (NPM.replace("error", "ERR!"), "npm ERR! 404 Not Found - GET https://registry.example/nope - Not found"),
        (RUST, "thread 'main' panicked at src/main.rs:2:5: no configuration file"),
        (GO, "panic: dial tcp 127.0.0.1:1: connection refused"),
        (JAVA, 'Exception in thread "main" java.lang.IllegalStateException: no token'),
        (DOTNET, "Unhandled exception. System.InvalidOperationException: no token"),
        (DENO, 'error: Uncaught (in promise) TypeError: Module not found "file:///srv/x.ts".'),
        (DOCKER, "docker: Error response from daemon: pull access denied for nope, repository does not exist."),
        (ARGPARSE, "server: error: the following arguments are required: --token"),
        (LOGGED, "2026-01-01 12:00:01 ERROR GITHUB_TOKEN is not set"),
        ("Missing API key\n", "Missing API key"),
        ("\x1b[31mFatal:\x1b[0m no licence\r\n", "Fatal: no licence"),
        ("hello\nbye\n", "bye"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_the_line_that_says_why_is_found(output: str, line: str) -> None:
    assert failure_line(output) == line


def test_a_validation_error_comes_with_its_field() -> None:
    assert failure_line(PYDANTIC).startswith(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings api_key Field required"
    )


def test_a_resolver_says_what_it_cannot_find() -> None:
    assert "nope was not found in the package registry" in failure_line(UV)


def test_a_long_line_is_cut() -> None:
    assert len(failure_line("error: " + "x" * 60_000)) == 300


def test_the_last_line_of_a_progress_bar_is_as_it_is_now() -> None:
    assert last_line("Downloading\n10%\r50%\r\x1b[2K90%\n\n") == "90%"


@pytest.mark.parametrize(
    "piece", ["\x1b[", "\x1b]", " at ", "a.", "error ", "| + ", "\n at x", "Traceback (most recent call last):\n "]
)
def test_hostile_output_is_read_in_no_time(piece: str) -> None:
    assert len(failure_line(piece * (65536 // len(piece)))) <= 300
