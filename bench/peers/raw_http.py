"""The source of a server that answers every POST on a kept connection, at next to no cost of its own."""

from __future__ import annotations

_SERVING = """
import asyncio
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            body = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]))
            reply = answer(body)
            writer.write(HEAD % len(reply) + reply)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def raw_http_server(answering: str) -> str:
    """A program that prints its port; `answering` is source that defines `answer(body: bytes) -> bytes`."""
    return answering + _SERVING
