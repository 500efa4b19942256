"""`modelgate servers …` on one server, as a person types it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx2
import pytest

from gateway.access.tenants import create_tenant, tenant_by_slug
from gateway.app import Components
from gateway.catalog.new_server import NewServer
from gateway.cli import cli
from gateway.cli.servers.credential_options import read_certificate
from gateway.errors import InvalidInputError
from gateway.settings import Settings
from gateway.upstream.credential import Basic, ClientCertificate
from tests.doubles.http_api import HttpApi
from tests.doubles.oauth_server import OAuthServer
from tests.upstream.conftest import serving

RAW = Path(__file__).parents[1] / "upstream" / "servers" / "raw.py"
SECRET = "s3cret-that-nobody-may-see"

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
        "MODELGATE_CONFIG": str(tmp_path / "config.toml"),
    }


@pytest.fixture
def typed(environment: dict[str, str], tmp_path: Path) -> Typed:
    """Runs `modelgate servers` with arguments, or `modelgate sync`."""
    (tmp_path / "config.toml").touch()

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", *(arguments if arguments[0] == "sync" else ("servers", *arguments))],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    return run


async def test_a_server_is_checked_tuned_shown_and_switched_off(typed: Typed) -> None:
    typed("add", "Raw", sys.executable, "--env", f"TOKEN={SECRET}", "--", "-I", "-S", str(RAW), "handshake")
    assert re.search(r"Raw answers in [\d.]+ ms", typed("check", "Raw").stdout)
    typed("set", "Raw", "--call-timeout", "5", "--session", "per_client", "--sync-every", "0", "--disable")
    shown = typed("show", "raw").stdout
    assert re.search(r"call_timeout_seconds: +5", shown)
    assert re.search(r"Session: +per_client", shown)
    assert re.search(r"State: +disabled", shown)
    assert re.search(r"Environment: +TOKEN", shown)
    assert SECRET not in shown
    assert typed("set", "Raw", "--max-calls", "0", code=1).stderr.startswith("Error: max_calls_in_flight has to be")


async def test_a_server_that_does_not_answer_is_told(typed: Typed) -> None:
    typed("add", "Gone", sys.executable, "--", "-I", "-S", str(RAW), "exit")
    ended = typed("check", "Gone", code=1)
    assert "exited with code 7" in ended.stderr
    assert re.search(r"Gone .* failing", typed("list").stdout)


async def test_what_a_server_wrote_before_it_ended_is_shown_line_by_line_and_does_nothing_to_the_terminal(
    typed: Typed,
) -> None:
    said = "\\x1b[2J\\x1b]0;pwned\\x07first\\r\\nno \\u202elicence\\u202c: set TOKEN\\n"
    typed("add", "Gone", sys.executable, "--", "-c", f"import sys; sys.stderr.write('{said}'); sys.exit(3)")
    for command in (("check", "Gone"), ("sync", "Gone")):
        ended = typed(*command, code=1)
        shown = ended.stdout + ended.stderr
        assert "exited with code 3" in shown
        assert "It wrote to its standard error output:" in shown
        assert re.search(r"\| +no +licence +: set TOKEN\n", shown)
        assert all(character.isprintable() or character == "\n" for character in shown)


async def test_only_the_end_of_much_that_a_server_wrote_is_shown(typed: Typed) -> None:
    typed("add", "Chatty", sys.executable, "--", "-c", "print('line\\n' * 5000, file=__import__('sys').stderr)")
    assert typed("check", "Chatty", code=1).stderr.count("| line") == 10


async def test_tools_are_named_with_the_prefix_that_was_chosen(typed: Typed) -> None:
    typed("add", "Raw", sys.executable, "--prefix", "r2", "--", "-I", "-S", str(RAW), "handshake")
    typed("add", "Bare", sys.executable, "--prefix", "", "--", "-I", "-S", str(RAW), "handshake")
    assert re.search(r"Names begin: +r2__", typed("show", "Raw").stdout)
    assert re.search(r"Names begin: +as they are", typed("show", "Bare").stdout)
    assert "The prefix" in typed("add", "Odd", sys.executable, "--prefix", "a b", code=1).stderr


async def test_a_server_is_added_with_limits_of_its_own_or_not_at_all(typed: Typed) -> None:
    typed("add", "Raw", sys.executable, "--call-timeout", "7", "--session", "per_client", "--", str(RAW))
    shown = typed("show", "Raw").stdout
    assert re.search(r"call_timeout_seconds: +7", shown)
    assert re.search(r"Session: +per_client", shown)
    assert "idle_stop_seconds" in typed("add", "Two", sys.executable, "--idle-stop", "-1", code=1).stderr
    assert "Two" not in typed("list").stdout


async def test_how_a_server_is_reached_is_changed_without_adding_it_again(typed: Typed, parts: Components) -> None:
    async def kept(name: str) -> NewServer:
        tenant = await tenant_by_slug(parts.database)
        return await parts.servers.stored(tenant.id, (await parts.servers.named(tenant.id, name)).id)

    def type_all(*commands: tuple[str, ...]) -> None:
        for command in commands:
            typed(*command)

    await anyio.to_thread.run_sync(
        type_all,
        ("add", "Raw", "python3", "--env", f"TOKEN={SECRET}", "--env", "MODE=a", "--prefix", "r", "--", "one"),
        ("set", "Raw", "--command", sys.executable, "--arg=-I", "--arg", str(RAW), "--cwd", "/", "--env", "MODE=b"),
        ("set", "Raw", "--rename", "Rawer", "--description", "For tests."),
    )
    server = await kept("Rawer")
    assert (server.command, server.args, server.cwd) == (sys.executable, ("-I", str(RAW)), "/")
    assert (dict(server.env), server.description) == ({"TOKEN": SECRET, "MODE": "b"}, "For tests.")
    assert server.prefix == "r"
    await anyio.to_thread.run_sync(
        type_all,
        ("set", "Rawer", "--without-env", "TOKEN"),
        ("add", "Web", "https://one.example/mcp", "--header", f"X-Key: {SECRET}", "--bearer", SECRET),
        ("set", "Web", "--url", "https://two.example/mcp", "--header", "X-Team: a", "--basic", "me:secret"),
    )
    assert dict((await kept("Rawer")).env) == {"MODE": "b"}
    web = await kept("Web")
    assert web.url == "https://two.example/mcp"
    assert dict(web.headers) == {"X-Key": SECRET, "X-Team": "a"}
    assert web.credential == Basic("me", "secret")


@pytest.mark.parametrize(
    "wrong",
    [
        ("https://x.example", "--env", "A=b"),
        ("https://x.example", "--cwd", "/"),
        (sys.executable, "--header", "A:b"),
        ("https://x.example", "--base-url", "https://y.example"),
    ],
)
def test_an_option_that_is_not_for_what_is_added_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="--"):
        cli.main(["servers", "add", "X", *wrong], standalone_mode=False)


async def test_an_option_that_is_not_for_the_server_is_refused(typed: Typed) -> None:
    typed("add", "Web", "https://one.example/mcp")
    for wrong in (("--arg", "x"), ("--document", "https://x.example/a.json"), ("--without-header", "X-None")):
        assert typed("set", "Web", *wrong, code=1).stderr.startswith("Error: ")


async def test_a_server_of_another_tenant_is_its_own(typed: Typed, parts: Components) -> None:
    await create_tenant(parts.database, "other", "")

    def type_all() -> None:
        typed("add", "Raw", sys.executable, "--tenant", "other", "--", "-I", "-S", str(RAW), "handshake")
        assert "Raw" in typed("list", "--tenant", "other").stdout
        assert "Raw" not in typed("list").stdout
        assert "1 of 1 servers are synced" in typed("sync", "Raw", "--tenant", "other").stdout
        typed("remove", "Raw", "--tenant", "other")

    await anyio.to_thread.run_sync(type_all)


async def test_a_secret_is_kept_and_not_shown(typed: Typed) -> None:
    typed("add", "Locked", "https://locked.example/mcp?key=hidden", "--bearer", SECRET)
    shown = typed("show", "Locked").stdout
    assert re.search(r"Credential: +bearer", shown)
    assert SECRET not in shown
    assert "hidden" not in shown
    typed("set", "Locked", "--no-credential")
    assert re.search(r"Credential: +none", typed("show", "Locked").stdout)
    both = typed("add", "Two", "https://two.example", "--bearer", "x", "--basic", "a:b", code=1)
    assert "Give one of --bearer" in both.stderr


def test_a_certificate_is_read_past_what_tools_write_around_it(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    certificate.write_text(f"friendlyName: Müller\n{block}\nsubject=/CN=a\n{block}\n")
    key.write_text("no key at all")
    given = {"client_cert": certificate, "client_key": certificate, "ca": None}
    assert read_certificate(given) == ClientCertificate(f"{block}\n{block}\n", f"{block}\n{block}\n")
    with pytest.raises(InvalidInputError, match="holds nothing in PEM"):
        read_certificate({**given, "client_key": key})
    with pytest.raises(InvalidInputError, match="takes both"):
        read_certificate({**given, "client_key": None})
    with pytest.raises(InvalidInputError, match="No such file"):
        read_certificate({**given, "ca": tmp_path / "none.pem"})


async def test_an_api_is_added_by_its_document(typed: Typed) -> None:
    async with serving(HttpApi().app()) as base:

        def add_and_check() -> str:
            typed("add", "Pets", f"{base}/openapi.json", "--openapi")
            typed("check", "Pets")
            return typed("show", "Pets").stdout

        shown = await anyio.to_thread.run_sync(add_and_check)
    assert re.search(r"Transport: +openapi", shown)
    assert re.search(r"Health: +connected", shown)


async def test_somebody_signs_in_at_a_terminal(typed: Typed, environment: dict[str, str]) -> None:
    server = OAuthServer()
    async with serving(server.app()) as url:
        server.base = url
        await anyio.to_thread.run_sync(lambda: typed("add", "Vault", f"{url}/mcp", "--sign-in"))
        command = [sys.executable, "-m", "gateway", "servers", "login", "Vault"]
        async with await anyio.open_process(command, env={**environment, "PYTHONUNBUFFERED": "1"}) as process:
            assert process.stdout is not None
            said = b""
            while b"\n\n" not in said.partition(b"http")[2]:
                said += await process.stdout.receive()
            address = re.search(rb"https?://\S+", said)
            assert address is not None
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                assert "close this page" in (await browser.get(address[0].decode())).text
            assert await process.wait() == 0
        checked = await anyio.to_thread.run_sync(lambda: typed("check", "Vault"))
    assert "Vault answers in" in checked.stdout
