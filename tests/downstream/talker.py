"""An upstream stdio server in bare Python for tests of what passes through the gateway.

Arguments: the era ("handshake" or "modern"), a label that its answers carry, and a file that it writes what it is told
to: cancellations, and the lists that it changes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

ERA, LABEL, NOTES = sys.argv[1:4]
# Claims to have whatever is asked for.
GREEDY = "GREEDY" in os.environ
GREEDY_TEMPLATES = ["{+any}", "note:{+any}", "note://{host}/{+any}", "item:/{+any}", "{scheme}://North/{id}"]
Message = dict[str, Any]

lock = threading.Lock()
answers: dict[Any, Message] = {}
arrived = threading.Condition(lock)
listening: list[Any] = []
extra = False

EVERYTHING = {
    "content": [
        {"type": "text", "text": "naïve ☃ \ud83d\ude00", "annotations": {"audience": ["user"], "priority": 0.5}},
        {"type": "image", "data": "aGk=", "mimeType": "image/png", "_meta": {"x": None}},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "a", "vendor": 1}},
        {"type": "resource_link", "uri": "file:///b", "name": "b", "icons": [{"src": "data:,x"}]},
        {"type": "hologram", "depth": 3},
    ],
    "structuredContent": {"n": 1.0, "big": 12345678901234567890, "none": None, "list": [[], {}]},
    "isError": False,
    "_meta": {"vendor/key": {"kept": [True]}},
    "x-unknown": {"deep": {"er": 1e-7}},
}


def send(message: Message) -> None:
    with lock:
        sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        sys.stdout.buffer.flush()


def note(text: str) -> None:
    with open(NOTES, "a", encoding="utf-8") as file:
        file.write(text + "\n")


def text(value: Any) -> Message:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def ask(method: str, params: Message) -> Message:
    """Ask the client in the middle of a call, and wait for its answer."""
    question = f"q-{os.urandom(4).hex()}"
    send({"id": question, "method": method, "params": params})
    with lock:
        arrived.wait_for(lambda: question in answers)
        return answers.pop(question)


def tool(name: str, **more: Any) -> Message:
    return {"name": name, "description": f"Does {name} for {LABEL}.", "inputSchema": {"type": "object"}, **more}


def tools() -> list[Message]:
    names = (
        "echo",
        "everything",
        "progress",
        "log",
        "hang",
        "die",
        "big",
        "refuse",
        "misfit",
        "ask",
        "twice",
        "together",
        "change",
    )
    listed = [tool(name) for name in names]
    listed.append(
        tool(
            "app",
            title="An App",
            icons=[{"src": "data:image/png;base64,aGk="}],
            annotations={"readOnlyHint": True},
            _meta={"ui": {"resourceUri": "ui://app/main.html"}},
        )
    )
    return [*listed, tool("extra")] if extra else listed


def log_once_there(file: str) -> None:
    """Say something when the call is over, and there is a file."""
    while not os.path.exists(file):
        time.sleep(0.01)
    for number, level in enumerate(("debug", "error")):
        send({"method": "notifications/message", "params": {"level": level, "data": {"number": number}}})
    send({"method": "notifications/elicitation/complete", "params": {"elicitationId": LABEL}})
    send({"method": "notifications/unheard/of", "params": {}})
    note("logged")


def call(request_id: Any, params: Message) -> Message | None:
    global extra
    name, arguments, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
    if name == "echo":
        time.sleep(arguments.get("seconds", 0))
        return text({"label": LABEL, "params": params})
    if name == "everything":
        return dict(EVERYTHING)
    if name == "progress":
        for step in range(1, 4):
            token = {"progressToken": meta.get("progressToken"), "progress": step, "total": 3}
            send({"method": "notifications/progress", "params": {**token, "message": f"step {step}"}})
        return text("done")
    if name == "log" and "later" in arguments:
        threading.Thread(target=log_once_there, args=(arguments["later"],), daemon=True).start()
        return text("later")
    if name == "log":
        for level in ("debug", "error"):
            send({"method": "notifications/message", "params": {"level": level, "data": {"said": level}}})
        return text("done")
    if name == "hang":
        note(f"hanging {request_id}")
        return None
    if name == "die":
        os._exit(3)
    if name == "big":
        if meta.get("progressToken") is not None:
            token = {"progressToken": meta["progressToken"], "progress": 1}
            send({"method": "notifications/progress", "params": token})
        if "picture" in arguments:
            picture = {"type": "image", "data": "A" * arguments["picture"], "mimeType": "image/png"}
            return {"content": [text("twice")["content"][0], picture, picture], "isError": False}
        return {"content": [{"type": "text", "text": "é" * arguments["characters"]}], "structuredContent": {"a": 1}}
    if name == "refuse":
        send({"id": request_id, "error": {"code": -31999, "message": "not today", "data": {"retry": [7]}}})
        return None
    if name == "misfit":
        # With a result of this text, or with a JSON-RPC error of this message.
        if "text" in arguments:
            return {**text(arguments["text"]), "isError": arguments.get("isError", True)}
        send({"id": request_id, "error": {"code": -32602, "data": {"path": ["how"]}, **arguments}})
        return None
    if name in ("ask", "twice"):
        return asking(params, arguments, 2 if name == "twice" else 1)
    if name == "together":
        said: list[Message] = []
        asking_two = [threading.Thread(target=lambda: said.append(ask(METHOD, FORM))) for _ in range(2)]
        for thread in asking_two:
            thread.start()
            # The second question comes when the client is busy with the first.
            time.sleep(0.1)
        for thread in asking_two:
            thread.join()
        return text(said)
    if name == "change":
        extra = not extra
        changed("notifications/tools/list_changed")
        changed("notifications/prompts/list_changed")
        return text("changed")
    return {"content": [{"type": "text", "text": f"Unknown tool: {name}"}], "isError": True}


def asking(params: Message, arguments: Message, rounds: int) -> Message:
    method, about = arguments.get("method", METHOD), arguments.get("params") or FORM
    if ERA == "handshake":
        return text([ask(method, about) for _ in range(rounds)])
    state = params.get("requestState")
    done = 0 if state is None else int(state.removeprefix("state-"))
    given = (params.get("inputResponses") or {}).get("q")
    if given is not None:
        done += 1
        note(f"answer {json.dumps(given)}")
        if done == rounds:
            return text({"answer": given, "state": state})
    asked = {"q": {"method": method, "params": about}}
    return {"resultType": "input_required", "inputRequests": asked, "requestState": f"state-{done}"}


METHOD = "elicitation/create"
FORM = {
    "message": "Which colour?",
    "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]},
}


def changed(method: str, params: Message | None = None) -> None:
    for subscription in listening or [None]:
        marked = dict(params or {})
        if subscription is not None:
            marked["_meta"] = {"io.modelcontextprotocol/subscriptionId": subscription}
        send({"method": method, "params": marked})


def result_of(method: str, params: Message) -> Message | None:
    if method == "tools/list":
        return {"tools": tools()}
    if method == "prompts/list":
        return {"prompts": [{"name": "greet", "description": LABEL, "arguments": [{"name": "who"}]}]}
    if method == "prompts/get" and params["name"] == "greet":
        said = f"{LABEL} greets {params.get('arguments')}"
        return {"messages": [{"role": "user", "content": {"type": "text", "text": said}}]}
    if GREEDY and method == "resources/list":
        return {"resources": []}
    if GREEDY and method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": each, "name": each} for each in GREEDY_TEMPLATES]}
    if method == "resources/list":
        shared = {"uri": "file:///shared.txt", "name": "shared"}
        return {"resources": [shared, {"uri": f"note://{LABEL}/a b", "name": "own"}]}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": "item://" + LABEL + "/{id}", "name": "items"}]}
    if method == "resources/read":
        uri = params["uri"]
        is_own = not uri.startswith(("note:", "item:")) or f"://{LABEL}/" in uri
        if not GREEDY and ("missing" in uri or not is_own):
            return None
        return {"contents": [{"uri": uri, "text": f"{LABEL} has {uri}"}]}
    if method in ("resources/subscribe", "resources/unsubscribe"):
        note(f"{method} {params['uri']}")
        if method == "resources/subscribe":
            changed("notifications/resources/updated", {"uri": params["uri"]})
        return {}
    if method == "completion/complete":
        return {"completion": {"values": [LABEL, json.dumps(params["ref"])]}}
    return None


def handle(message: Message) -> None:
    request_id, method, params = message["id"], message["method"], message.get("params") or {}
    if method == "tools/call":
        result = call(request_id, params)
        if result is None:
            return
    elif method == "initialize" and ERA == "handshake":
        result = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": INFO}
    elif method == "server/discover" and ERA == "modern":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}
        result["_meta"] = {"io.modelcontextprotocol/serverInfo": INFO}
    elif method == "subscriptions/listen" and ERA == "modern":
        listening.append(request_id)
        marked = {"io.modelcontextprotocol/subscriptionId": request_id}
        acknowledged = {"notifications": params["notifications"], "_meta": marked}
        send({"method": "notifications/subscriptions/acknowledged", "params": acknowledged})
        for uri in params["notifications"].get("resourceSubscriptions", []):
            send({"method": "notifications/resources/updated", "params": {"uri": uri, "_meta": marked}})
        return
    else:
        if method in ("prompts/get", "resources/read") and "refuse" in json.dumps(params):
            send({"id": request_id, "error": {"code": -31999, "message": f"refused: {params}", "data": params}})
            return
        found = result_of(method, params)
        if found is None:
            known = method in ("prompts/get", "resources/read")
            code, said = (-32602, "Not found") if known else (-32601, "Method not found")
            send({"id": request_id, "error": {"code": code, "message": said}})
            return
        result = found
    if ERA == "modern":
        result = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}
    send({"id": request_id, "result": result})


INFO = {"name": "talker", "version": "1"}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
}


def main() -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "method" not in message:
            with lock:
                answers[message["id"]] = message.get("result", {"error": message.get("error")})
                arrived.notify_all()
        elif message["method"] == "notifications/cancelled":
            note(f"cancelled {message['params']['requestId']}")
        elif "id" in message:
            threading.Thread(target=handle, args=(message,), daemon=True).start()


if __name__ == "__main__":
    main()
