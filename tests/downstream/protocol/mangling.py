"""JSON-RPC requests, mangled in every way: values of other kinds, missing and foreign members, broken bytes."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {VERSION: "2026-07-28", CAPABILITIES: {}}

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**70, -(2**70), "", " ", "\x00", "\ud800", "☃" * 50, "a" * 5_000, [], {},
    [[]], [None], {"": None}, {"a": {"b": [1]}}, {"__proto__": 1}, {"_meta": 3}, "../../etc", "'; DROP TABLE tools; --",
    "%s{0}", [1, [2, [3, [4]]]],
)  # fmt: skip

METHODS = (
    "ping", "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/read",
    "resources/templates/list", "resources/subscribe", "resources/unsubscribe", "completion/complete",
    "logging/setLevel", "server/discover", "initialize", "notifications/initialized", "notifications/cancelled",
    "notifications/progress", "sampling/createMessage", "roots/list", "tasks/get", "no/such", "", "tools/call\x00",
)  # fmt: skip

PARAMS: tuple[dict[str, Any], ...] = (
    {},
    {"name": "tool_search", "arguments": {"query": "add", "max_results": 3}},
    {"name": "tool_search", "arguments": {"queries": ["a", "b"], "detail": "brief", "category": "git"}},
    {"name": "tool_call", "arguments": {"name": "nobody__nothing", "arguments": {"a": 1}}},
    {"name": "nobody__nothing", "arguments": {"a": [1, 2]}, "requestState": "x", "inputResponses": {"a": {}}},
    {"uri": "file:///x"},
    {"cursor": "abc"},
    {"level": "info"},
    {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}},
    {"requestId": 1, "reason": "none"},
    {"progressToken": 1, "progress": 2},
)


def request(random: Random, *, modern: bool) -> dict[str, Any]:
    """A request that is well formed but for what it asks."""
    params: dict[str, Any] = json.loads(json.dumps(random.choice(PARAMS)))
    if modern:
        params["_meta"] = json.loads(json.dumps(META))
    # subscriptions/listen is left out: its answer does not end.
    return {"jsonrpc": "2.0", "id": random.randrange(1, 10**6), "method": random.choice(METHODS), "params": params}


def mangled(random: Random, *, modern: bool = False) -> bytes:
    """The body of one POST, mangled somewhere."""
    message: Any = request(random, modern=modern)
    for _ in range(random.randrange(4)):
        _mangle(random, message)
    if random.random() < 0.05:
        message = random.choice(([message], [message, message], *STRANGE))
    body = json.dumps(message).encode()
    if random.random() < 0.1:
        body = _broken(random, body)
    return body


def _mangle(random: Random, message: dict[str, Any]) -> None:
    """Change one member of one of the nested objects."""
    objects = [message]
    for each in objects:
        objects += [value for value in each.values() if isinstance(value, dict) and len(objects) < 20]
    target = random.choice(objects)
    key = random.choice([*target, "extra"])
    if random.random() < 0.3:
        target.pop(key, None)
    else:
        target[key] = deepcopy(random.choice(STRANGE))


def _broken(random: Random, body: bytes) -> bytes:
    position = random.randrange(len(body) + 1)
    way = random.randrange(5)
    if way == 0:
        return body[:position]
    if way == 1:
        return body[:position] + random.randbytes(3) + body[position:]
    if way == 2:
        return b"[" * 20_000
    if way == 3:
        return b"\xef\xbb\xbf" + body
    return body.decode().encode("utf-16")
