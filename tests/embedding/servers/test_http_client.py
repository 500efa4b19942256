from __future__ import annotations

import logging
import time

import anyio
import pytest

from gateway.circuit_breaker import CircuitBreaker
from gateway.embedding.servers.http_client import EmbeddingHttpClient
from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import EmbedderUnavailableError, EmbeddingError, SettingsError
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.conftest import MODEL, MakeClient
from tests.support.waiting import until

BODY = {"model": MODEL, "input": ["hello"]}


async def embed(client: EmbeddingHttpClient) -> ServerReply:
    return await client.post("/api/embed", BODY, "documents")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.failing(500, times=2),
        Fault.failing(503, times=1, retry_after="0"),
        Fault.failing(408, times=1),
        Fault.rate_limited("0", times=3),
        Fault.rate_limited(None, times=3),
        Fault.cut(times=2),
    ],
)
async def test_what_passes_is_retried(server: EmbeddingServer, make_client: MakeClient, fault: Fault) -> None:
    server.fault = fault
    assert (await embed(make_client(server.url))).ok
    assert len(server.requests) == (fault.times or 0) + 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
async def test_what_does_not_pass_is_asked_once(server: EmbeddingServer, make_client: MakeClient, status: int) -> None:
    server.fault = Fault.failing(status)
    assert (await embed(make_client(server.url))).status == status
    assert len(server.requests) == 1


async def test_a_server_that_keeps_failing_is_named_with_its_own_words(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    server.fault = Fault.failing(500)
    with pytest.raises(EmbedderUnavailableError) as caught:
        await embed(make_client(server.url))
    assert caught.value.message == (
        f"Ollama at {server.url} failed with HTTP 500 (the model runner is out of luck); "
        "look into that server's log, or try again later."
    )
    assert len(server.requests) == 4


async def test_retry_after_is_waited_for(server: EmbeddingServer, make_client: MakeClient) -> None:
    server.fault = Fault.rate_limited("1", times=1)
    started = time.monotonic()
    assert (await embed(make_client(server.url))).ok
    assert time.monotonic() - started >= 1


async def test_a_wait_that_is_too_long_is_told_at_once(server: EmbeddingServer, make_client: MakeClient) -> None:
    server.fault = Fault.rate_limited("3600")
    with pytest.raises(EmbedderUnavailableError, match=r"asks to wait 3600 s .*; try again later"):
        await embed(make_client(server.url))
    assert len(server.requests) == 1


async def test_a_search_does_not_wait_as_long_as_a_sync(server: EmbeddingServer, make_client: MakeClient) -> None:
    server.fault = Fault.rate_limited("2")
    with pytest.raises(EmbedderUnavailableError):
        await make_client(server.url).post("/api/embed", BODY, "query")
    assert len(server.requests) == 1


async def test_a_slow_server_is_given_up_after_the_timeout_and_not_asked_again(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    server.fault = Fault.slow(30)
    with pytest.raises(EmbedderUnavailableError, match=r"did not answer within 0\.1 s; see what else it does"):
        await embed(make_client(server.url, timeout=0.1))
    await until(lambda: len(server.requests) == 1)


async def test_a_server_that_is_down_is_left_alone_after_its_failures_and_found_again_after_the_rest(
    make_client: MakeClient,
) -> None:
    now = 0.0
    async with EmbeddingServer() as server:
        client = make_client(server.url, breaker=CircuitBreaker(5, 15, clock=lambda: now))
        assert (await embed(client)).ok
        await anyio.to_thread.run_sync(server.stop)
        with pytest.raises(EmbedderUnavailableError, match="does not answer; start it with `ollama serve`"):
            await embed(client)
        with pytest.raises(EmbedderUnavailableError, match="failed 5 times in a row and is left alone for 15 s"):
            await embed(client)
        await anyio.to_thread.run_sync(server.start)
        server.clear()
        with pytest.raises(EmbedderUnavailableError, match="left alone"):
            await embed(client)
        assert server.requests == []
        assert (await client.get("/api/tags", "check")).ok
        now = 15.0
        assert (await embed(client)).ok


async def test_being_limited_does_not_open_the_circuit(server: EmbeddingServer, make_client: MakeClient) -> None:
    client = make_client(server.url, breaker=CircuitBreaker(1, 15))
    server.fault = Fault.rate_limited(None, times=3)
    assert (await embed(client)).ok


async def test_no_more_requests_than_allowed_are_under_way_at_once(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    server.fault = Fault.slow(30)
    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(embed, client)
        with anyio.fail_after(10):
            while len(server.requests) < 4:
                await anyio.wait_all_tasks_blocked()
        assert (await client.get("/api/tags", "check")).ok
        assert len(server.requests) == 5
        server.fault = None
    assert len(server.embedded) == 12


async def test_an_answer_without_end_is_cut_off(server: EmbeddingServer, make_client: MakeClient) -> None:
    server.fault = Fault.huge(64 * 2**20)
    with pytest.raises(EmbeddingError, match="longer than 4,194,304 bytes; check that"):
        await embed(make_client(server.url, max_reply_bytes=4 * 2**20))


@pytest.mark.parametrize("body", ["<html>welcome</html>", "", '{"embeddings": [[1,'])
async def test_an_answer_that_is_not_json_is_told(server: EmbeddingServer, make_client: MakeClient, body: str) -> None:
    server.fault = Fault.body(body)
    with pytest.raises(EmbeddingError, match="answered something that is not JSON"):
        await embed(make_client(server.url))


async def test_a_server_that_does_not_speak_http_is_told(make_client: MakeClient) -> None:
    async def greet(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"220 smtp ready\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(EmbedderUnavailableError, match="broke off the connection"):
            await embed(make_client(f"http://127.0.0.1:{port}"))
        tasks.cancel_scope.cancel()


async def test_a_cancelled_request_frees_its_place(server: EmbeddingServer, make_client: MakeClient) -> None:
    client = make_client(server.url)
    server.fault = Fault.slow(30)
    for _ in range(6):
        with anyio.move_on_after(0.05):
            await embed(client)
    server.fault = None
    assert (await embed(client)).ok


@pytest.mark.parametrize("fault", [Fault.failing(500), Fault.failing(400), Fault.failing(401)])
async def test_the_api_key_is_sent_and_never_shown(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    caplog.set_level(logging.DEBUG)
    async with EmbeddingServer(api_key="sk-other") as server:
        server.fault = fault
        client = make_client(server.url, api_key="sk-very-secret")
        try:
            error: Exception = client.refusal_error(await embed(client), "do this")
        except EmbedderUnavailableError as unavailable:
            error = unavailable
        assert server.requests[0].authorization == "Bearer sk-very-secret"
    assert "sk-very-secret" not in str(error) + caplog.text + repr(vars(error))


@pytest.mark.parametrize(
    "url",
    ["localhost:11434", "", "ftp://here", "http://", "http://here:port", "http://[::1", "http://here/\n"],
)
async def test_an_address_that_is_no_url_is_refused(make_client: MakeClient, url: str) -> None:
    with pytest.raises(SettingsError, match=r"embedder\.base_url has to be a URL such as"):
        make_client(url)


async def test_user_and_password_in_the_address_are_not_shown(make_client: MakeClient) -> None:
    assert make_client("https://me:secret@[::1]:8443/ollama/?token=x").label == "Ollama at https://[::1]:8443/ollama/"


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk-1\nsk-2", "sk 1"])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(make_client: MakeClient, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_client("http://here", api_key=key)
    assert "sk" not in caught.value.message


async def test_a_line_break_after_the_key_does_no_harm(server: EmbeddingServer, make_client: MakeClient) -> None:
    await embed(make_client(server.url, api_key="sk-1\n"))
    assert server.requests[0].authorization == "Bearer sk-1"
