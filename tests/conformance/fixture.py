"""The upstream server behind the gateway while the official suite runs: the suite's own tools, resources and prompts.

Over stdio, in both eras; with `--handshake` it does not know the modern one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, RootModel

from tests.conformance.schemas import DEFAULTS_FORM, ENUMS_FORM, MIRRORED, SCHEMA_2020_12, USER_FORM
from tests.conformance.tasks import WORK, Tasks

Context = ServerRequestContext[Any, Any]
Message = dict[str, Any]
Tool = Callable[[Context, Message], Awaitable[Message]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
SECRET = b"of the fixture"
FRESH: Message = {"ttlMs": 0, "cacheScope": "private"}


class Raw(BaseModel):
    method: str
    params: Message | None = None


class RawResult(RootModel[Message]):
    """Any object."""


def text(*texts: str) -> Message:
    return {"content": [{"type": "text", "text": each} for each in texts]}


def form(message: str, **properties: Message) -> Message:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(prompt: str, tokens: int) -> Message:
    said = [{"role": "user", "content": {"type": "text", "text": prompt}}]
    return {"method": "sampling/createMessage", "params": {"messages": said, "maxTokens": tokens}}


ROOTS: Message = {"method": "roots/list", "params": {}}


class AskingError(Exception):
    """The client is to answer first; carries the input_required result."""

    def __init__(self, result: Message) -> None:
        self.result = result


async def ask(context: Context, questions: dict[str, Message], state: str | None = None) -> dict[str, Message]:
    """The answers to `questions`: brought by the request in the modern era, else asked for on the way."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        metadata = ServerMessageMetadata(related_request_id=context.request_id)
        return {
            key: (await context.session.send_request(Raw(**question), RawResult, metadata=metadata)).root  # type: ignore[arg-type]
            for key, question in questions.items()
        }
    brought = (context.params or {}).get("inputResponses")
    brought = brought if isinstance(brought, dict) else {}
    missing = {key: question for key, question in questions.items() if not isinstance(brought.get(key), dict)}
    if missing:
        asked: Message = {"resultType": "input_required", "inputRequests": missing}
        raise AskingError(asked if state is None else {**asked, "requestState": state})
    return {key: brought[key] for key in questions}


def signed(state: str) -> str:
    return f"{state}.{hmac.new(SECRET, state.encode(), hashlib.sha256).hexdigest()}"


def state_of(context: Context) -> str | None:
    """The state that the client echoes. Raises MCPError where it is not as it was given."""
    given = (context.params or {}).get("requestState")
    if given is None:
        return None
    state = str(given).rpartition(".")[0]
    if not hmac.compare_digest(signed(state), str(given)):
        raise MCPError(code=INVALID_PARAMS, message="requestState has been changed")
    return state


class Fixture:
    """The tools by name; those that change the lists tell so."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.changes = 0
        self.prompt_changes = 0
        self.tools: dict[str, tuple[Tool, Message]] = {}
        empty: Message = {"type": "object", "properties": {}}
        for name, content in CONTENTS.items():
            self.tools[name] = (self.fixed({"content": content}), empty)
        prompt = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
        message = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
        self.tools |= {
            "greet": (self.greet, empty),
            "test_error_handling": (
                self.fixed({**text("This tool intentionally returns an error for testing"), "isError": True}),
                empty,
            ),
            "json_schema_2020_12_tool": (self.fixed(text("accepted")), SCHEMA_2020_12),
            "test_mirrored_arguments": (self.fixed(text("accepted")), MIRRORED),
            "test_tool_with_logging": (self.logging, empty),
            "test_logging_tool": (self.logging, empty),
            "test_tool_with_progress": (self.progress, empty),
            "test_sampling": (self.sample, prompt),
            "test_elicitation": (self.elicit, message),
            "test_elicitation_sep1034_defaults": (self.elicit_form(DEFAULTS_FORM), empty),
            "test_elicitation_sep1330_enums": (self.elicit_form(ENUMS_FORM), empty),
            "test_streaming_elicitation": (self.elicit_form(USER_FORM), empty),
            "test_missing_capability": (self.needs_sampling, empty),
            "test_trigger_tool_change": (self.change_tools, empty),
            "test_trigger_prompt_change": (self.change_prompts, empty),
            "test_input_required_result_elicitation": (
                self.inputs({"user_name": form("What is your name?", name={"type": "string"})}),
                empty,
            ),
            "test_input_required_result_sampling": (
                self.inputs({"capital_question": sampling("What is the capital of France?", 100)}),
                empty,
            ),
            "test_input_required_result_list_roots": (self.inputs({"client_roots": ROOTS}), empty),
            "test_input_required_result_request_state": (
                self.inputs({"confirm": form("Please confirm", ok={"type": "boolean"})}, "state-ok"),
                empty,
            ),
            "test_input_required_result_tampered_state": (
                self.inputs({"confirm": form("Please confirm", ok={"type": "boolean"})}, "state-ok"),
                empty,
            ),
            "test_input_required_result_multiple_inputs": (
                self.inputs(
                    {
                        "user_name": form("What is your name?", name={"type": "string"}),
                        "greeting": sampling("Generate a greeting", 50),
                        "client_roots": ROOTS,
                    },
                    "all",
                ),
                empty,
            ),
            "test_input_required_result_multi_round": (self.rounds, empty),
            "test_input_required_result_capabilities": (self.able_inputs, empty),
        }

    async def greet(self, context: Context, arguments: Message) -> Message:
        return text(f"Hello, {arguments.get('name')}!")

    def fixed(self, result: Message) -> Tool:
        async def answer(context: Context, arguments: Message) -> Message:
            return result

        return answer

    def elicit_form(self, schema: Message) -> Tool:
        async def answer(context: Context, arguments: Message) -> Message:
            question = {
                "method": "elicitation/create",
                "params": {"message": "Please fill in", "requestedSchema": schema},
            }
            said = (await ask(context, {"form": question}))["form"]
            return text(f"Elicitation completed: action={said['action']}, content={json.dumps(said.get('content'))}")

        return answer

    def inputs(self, questions: dict[str, Message], state: str | None = None) -> Tool:
        async def answer(context: Context, arguments: Message) -> Message:
            state_of(context)
            answers = await ask(context, questions, None if state is None else signed(state))
            return text(f"{state or 'done'}: {json.dumps(answers)}")

        return answer

    async def logging(self, context: Context, arguments: Message) -> Message:
        for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.session.send_log_message("info", said, related_request_id=context.request_id)
            await asyncio.sleep(0.05)
        return text("The tool has run.")

    async def progress(self, context: Context, arguments: Message) -> Message:
        for done in (0, 50, 100):
            await context.session.report_progress(done, 100)
            await asyncio.sleep(0.05)
        return text("The tool has run.")

    async def sample(self, context: Context, arguments: Message) -> Message:
        said = (await ask(context, {"sample": sampling(arguments["prompt"], 100)}))["sample"]
        return text(f"LLM response: {said['content'].get('text')}")

    async def elicit(self, context: Context, arguments: Message) -> Message:
        question = {
            "method": "elicitation/create",
            "params": {"message": arguments["message"], "requestedSchema": USER_FORM},
        }
        said = (await ask(context, {"user": question}))["user"]
        return text(f"User response: action={said['action']}, content={json.dumps(said.get('content'))}")

    async def rounds(self, context: Context, arguments: Message) -> Message:
        state = state_of(context)
        if state is None:
            await ask(context, {"step1": form("Step 1: What is your name?", name={"type": "string"})}, signed("one"))
        if state in (None, "one"):
            step = {"step2": form("Step 2: What is your favorite color?", color={"type": "string"})}
            await ask(context, step, signed("two"))
        return text("Three rounds are over.")

    async def able_inputs(self, context: Context, arguments: Message) -> Message:
        able = context.session.client_capabilities
        questions: dict[str, Message] = {}
        if able is not None and able.sampling is not None:
            questions["sample"] = sampling("Say something", 10)
        if able is not None and able.elicitation is not None:
            questions["name"] = form("What is your name?", name={"type": "string"})
        return text(json.dumps(await ask(context, questions)))

    async def needs_sampling(self, context: Context, arguments: Message) -> Message:
        able = context.session.client_capabilities
        if able is None or able.sampling is None:
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message="The client cannot sample",
                data={"requiredCapabilities": {"sampling": {}}},
            )
        return text("The client can sample.")

    async def change_tools(self, context: Context, arguments: Message) -> Message:
        self.changes += 1
        await self.bus.publish(ToolsListChanged())
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            await context.session.send_tool_list_changed()
        return text("The tools have changed.")

    async def change_prompts(self, context: Context, arguments: Message) -> Message:
        self.prompt_changes += 1
        await self.bus.publish(PromptsListChanged())
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            await context.session.send_prompt_list_changed()
        return text("The prompts have changed.")

    async def list_tools(self, context: Context, params: Any) -> Message:
        tools = [
            {"name": name, "description": f"The suite's {name}.", "inputSchema": schema}
            for name, (_, schema) in self.tools.items()
        ]
        for name in WORK:
            tools.append({"name": name, "description": f"The suite's {name}.", "inputSchema": {"type": "object"}})
        if self.changes % 2:
            tools.append({"name": "test_extra", "description": "Comes and goes.", "inputSchema": {"type": "object"}})
        return {"tools": tools, **FRESH}

    async def call_tool(self, context: Context, params: mcp_types.CallToolRequestParams) -> Message:
        if params.name not in self.tools:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool {params.name}")
        try:
            return await self.tools[params.name][0](context, params.arguments or {})
        except AskingError as asking:
            return asking.result

    async def list_prompts(self, context: Context, params: Any) -> Message:
        def described(name: str, *arguments: str) -> Message:
            each = [{"name": argument, "description": argument, "required": True} for argument in arguments]
            return {"name": name, "description": f"The suite's {name}.", "arguments": each}

        prompts = [
            described("test_simple_prompt"),
            described("test_prompt_with_arguments", "arg1", "arg2"),
            described("test_prompt_with_embedded_resource", "resourceUri"),
            described("test_prompt_with_image"),
            described("test_input_required_result_prompt"),
        ]
        if self.prompt_changes % 2:
            prompts.append(described("test_extra_prompt"))
        return {"prompts": prompts, **FRESH}

    async def get_prompt(self, context: Context, params: mcp_types.GetPromptRequestParams) -> Message:
        given = params.arguments or {}
        uri = given.get("resourceUri", "test://example-resource")
        resource = {"uri": uri, "mimeType": "text/plain", "text": "Embedded resource content for testing."}
        contents: dict[str, list[Message]] = {
            "test_simple_prompt": [{"type": "text", "text": "This is a simple prompt for testing."}],
            "test_prompt_with_arguments": [
                {
                    "type": "text",
                    "text": f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'",
                }
            ],
            "test_prompt_with_embedded_resource": [
                {"type": "resource", "resource": resource},
                {"type": "text", "text": "Please process the embedded resource above."},
            ],
            "test_prompt_with_image": [
                {"type": "image", "data": PNG, "mimeType": "image/png"},
                {"type": "text", "text": "Please analyze the image above."},
            ],
            "test_input_required_result_prompt": [{"type": "text", "text": "In the given context."}],
        }
        if params.name not in contents:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown prompt {params.name}")
        if params.name == "test_input_required_result_prompt":
            question = form("What context should the prompt use?", context={"type": "string"})
            try:
                await ask(context, {"user_context": question})
            except AskingError as asking:
                return asking.result
        return {"messages": [{"role": "user", "content": content} for content in contents[params.name]]}

    async def list_resources(self, context: Context, params: Any) -> Message:
        def described(name: str, kind: str) -> Message:
            return {"uri": f"test://{name}", "name": name, "description": f"The suite's {name}.", "mimeType": kind}

        return {
            "resources": [
                described("static-text", "text/plain"),
                described("static-binary", "image/png"),
                described("watched-resource", "text/plain"),
            ],
            **FRESH,
        }

    async def list_templates(self, context: Context, params: Any) -> Message:
        template = {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}
        return {"resourceTemplates": [{**template, "description": "The suite's template."}], **FRESH}

    async def read_resource(self, context: Context, params: mcp_types.ReadResourceRequestParams) -> Message:
        uri = str(params.uri)
        known: dict[str, Message] = {
            "test://static-text": {
                "mimeType": "text/plain",
                "text": "This is the content of the static text resource.",
            },
            "test://static-binary": {"mimeType": "image/png", "blob": PNG},
            "test://watched-resource": {"mimeType": "text/plain", "text": "It may change."},
        }
        if uri.startswith("test://template/") and uri.endswith("/data"):
            given = uri.removeprefix("test://template/").removesuffix("/data")
            data = {"id": given, "templateTest": True, "data": f"Data for ID: {given}"}
            known[uri] = {"mimeType": "application/json", "text": json.dumps(data)}
        if uri not in known:
            raise MCPError(code=INVALID_PARAMS, message="Resource not found", data={"uri": uri})
        return {"contents": [{"uri": uri, **known[uri]}], **FRESH}

    async def subscribe(self, context: Context, params: Any) -> Message:
        return {}

    async def complete(self, context: Context, params: mcp_types.CompleteRequestParams) -> Message:
        words = [word for word in ("paris", "park", "party", "test") if word.startswith(params.argument.value)]
        return {"completion": {"values": words, "total": len(words), "hasMore": False}}


CONTENTS: dict[str, list[Message]] = {
    "test_simple_text": [{"type": "text", "text": "This is a simple text response for testing."}],
    "test_image_content": [{"type": "image", "data": PNG, "mimeType": "image/png"}],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        {
            "type": "resource",
            "resource": {
                "uri": "test://embedded-resource",
                "mimeType": "text/plain",
                "text": "This is an embedded resource content.",
            },
        }
    ],
    "test_multiple_content_types": [
        {"type": "text", "text": "Multiple content types test:"},
        {"type": "image", "data": PNG, "mimeType": "image/png"},
        {
            "type": "resource",
            "resource": {
                "uri": "test://mixed-content-resource",
                "mimeType": "application/json",
                "text": '{"test":"data","value":123}',
            },
        },
    ],
}


def completed(handler: Callable[[Context, Any], Awaitable[Message]]) -> Any:
    """`handler` with what every result of the modern era has to say."""

    async def handle(context: Context, params: Any) -> Message:
        return {"resultType": "complete", **await handler(context, params)}

    return handle


async def main() -> None:
    fixture = Fixture()
    server: Server[Any] = Server(
        "conformance-fixture",
        version="1",
        on_list_tools=completed(fixture.list_tools),
        on_call_tool=completed(fixture.call_tool),
        on_list_prompts=completed(fixture.list_prompts),
        on_get_prompt=completed(fixture.get_prompt),
        on_list_resources=completed(fixture.list_resources),
        on_list_resource_templates=completed(fixture.list_templates),
        on_read_resource=completed(fixture.read_resource),
        on_subscribe_resource=completed(fixture.subscribe),
        on_unsubscribe_resource=completed(fixture.subscribe),
        on_completion=completed(fixture.complete),
        on_set_logging_level=completed(fixture.subscribe),
        on_subscriptions_listen=ListenHandler(fixture.bus),
    )
    server.middleware.append(Tasks().middleware)
    async with stdio_server() as (read, write):
        changes = NotificationOptions(tools_changed=True, prompts_changed=True, resources_changed=True)
        options = server.create_initialization_options(changes)
        if "--handshake" in sys.argv[1:]:
            await serve_loop(server, read, write, lifespan_state={}, session_id=None, init_options=options)
        else:
            await server.run(read, write, options)


if __name__ == "__main__":
    anyio.run(main)
