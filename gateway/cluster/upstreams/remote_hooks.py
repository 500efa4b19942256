"""What a server says and asks in the midst of a request, told to the process whose request it is."""

from __future__ import annotations

import asyncio
import contextlib

from mcp.shared.exceptions import MCPError

from gateway.cluster.links.link import LinkStream
from gateway.cluster.upstreams.upstream_wire import error_from_wire, error_to_wire
from gateway.errors import LinkFailedError, LinkLostError, ModelGateError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.request import NO_HOOKS, CallHooks


class RemoteHooks:
    """The hooks of a request that another member waits for: what is said and asked goes over to it."""

    def __init__(self, stream: LinkStream) -> None:
        self._stream = stream
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._count = 0

    def hooks(self, progress: bool, notification: bool, server_request: bool) -> CallHooks:
        """Those that the caller has."""
        if not (progress or notification or server_request):
            return NO_HOOKS
        return CallHooks(
            on_progress=self._report_progress if progress else None,
            on_notification=self._notify if notification else None,
            on_server_request=self._ask if server_request else None,
        )

    async def take_answers(self) -> None:
        """Until the caller is gone."""
        with contextlib.suppress(LinkLostError, LinkFailedError):
            while True:
                head = (await self._stream.receive()).head
                answer = self._answers.pop(int(head["answer"]), None)
                if answer is not None and not answer.done():
                    answer.set_result(head)

    async def _report_progress(self, done: float, total: float | None, message: str | None) -> None:
        with contextlib.suppress(LinkLostError, LinkFailedError):
            await self._stream.send({"progress": [done, total, message]})

    async def _notify(self, method: str, params: Message) -> None:
        with contextlib.suppress(LinkLostError, LinkFailedError):
            await self._stream.send({"notify": [method, params]})

    async def _ask(self, method: str, params: Message) -> Message:
        self._count += 1
        number = self._count
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._stream.send({"ask": number, "method": method, "params": params})
            answer = await future
        except (LinkLostError, LinkFailedError):
            raise ModelGateError("The client has left before it was asked.") from None
        finally:
            self._answers.pop(number, None)
        if "error" in answer:
            raise error_from_wire(answer["error"])
        result: Message = answer["result"]
        return result


async def receive_until_answered(stream: LinkStream, hooks: CallHooks) -> Message:
    """The last message of a request at another member; `hooks` take what is said and asked before it.

    Raises LinkLostError and LinkFailedError.
    """
    asked = TaskSet()
    try:
        while True:
            message = await stream.receive()
            head = message.head
            if message.is_last:
                return head
            if "progress" in head and hooks.on_progress is not None:
                await hooks.on_progress(*head["progress"])
            elif "notify" in head and hooks.on_notification is not None:
                await hooks.on_notification(*head["notify"])
            elif "ask" in head:
                asked.spawn(answer_question(stream, hooks, head))
    finally:
        await asked.aclose()


async def answer_question(stream: LinkStream, hooks: CallHooks, question: Message) -> None:
    """Answer what the server asks in the midst of a request, as its caller does."""
    answer: Message = {"answer": question["ask"]}
    try:
        if hooks.on_server_request is None:
            raise ModelGateError("Nobody answers questions here.")
        answer["result"] = await hooks.on_server_request(question["method"], question["params"])
    except (ModelGateError, MCPError) as error:
        answer["error"] = error_to_wire(error)
    with contextlib.suppress(LinkLostError, LinkFailedError):
        await stream.send(answer)
