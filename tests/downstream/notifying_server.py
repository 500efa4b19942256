"""An upstream stdio server in bare Python that says unasked what its tools are told to have it say.

Arguments: the era ("handshake" or "modern"), a file with what it lists and refuses, read anew for each request, and a
file that it writes its process id and what it is subscribed to.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

ERA, LISTED, NOTES = sys.argv[1:4]
Message = dict[str, Any]

lock = threading.Lock()
streams: dict[Any, Message] = {}
subscribed: set[str] = set()
STREAM = "io.modelcontextprotocol/subscriptionId"
FLAGS = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}
UPDATED = "notifications/resources/updated"
LISTS = {
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def listed() -> Message:
    with open(LISTED, encoding="utf-8") as file:
        return dict(json.load(file))


def send(message: Message) -> None:
    with lock:
        sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        sys.stdout.buffer.flush()


def note(text: str) -> None:
    with lock, open(NOTES, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {text}\n")


def say(method: str, params: Message) -> int:
    """Say it in the way of the era to those who listen; returns how often it was said."""
    uri = str(params.get("uri"))
    if ERA == "handshake":
        heard = method != UPDATED or any(uri.startswith(own) for own in subscribed)
        if heard:
            send({"method": method, "params": params})
        return int(heard)
    said = 0
    for stream, wanted in list(streams.items()):
        about = [own for own in wanted.get("resourceSubscriptions", []) if uri.startswith(own)]
        if wanted.get(FLAGS.get(method, "")) or about:
            send({"method": method, "params": {**params, "_meta": {STREAM: stream}}})
            said += 1
    return said


def result_of(method: str, params: Message) -> Message | None:
    lists = listed()
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("say", "die", "id")]}
    if method == "tools/call":
        arguments = params.get("arguments") or {}
        if params["name"] == "die":
            os._exit(3)
        said = say(arguments["method"], arguments.get("params") or {}) if params["name"] == "say" else os.getpid()
        return {"content": [{"type": "text", "text": str(said)}]}
    if method in LISTS:
        note(method)
        return {LISTS[method]: lists.get(LISTS[method], [])}
    if method == "resources/subscribe" and ERA == "handshake":
        note(f"subscribing {params['uri']}")
        while listed().get("wait"):
            time.sleep(0.01)
        if params["uri"] in listed().get("refused", []):
            return None
        subscribed.add(params["uri"])
        note(f"subscribed {params['uri']}")
        return {}
    if method == "resources/unsubscribe" and ERA == "handshake":
        subscribed.discard(params["uri"])
        note(f"unsubscribed {params['uri']}")
        return {}
    if method == "completion/complete":
        return {"completion": {"values": [f"value {number}" for number in range(lists["completions"])]}}
    return {} if method == "ping" and ERA == "handshake" else None


def handle(message: Message) -> None:
    request_id, method, params = message["id"], message["method"], message.get("params") or {}
    if method == "initialize" and ERA == "handshake":
        result: Message | None = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": INFO}
    elif method == "server/discover" and ERA == "modern":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}
        result["_meta"] = {"io.modelcontextprotocol/serverInfo": INFO}
    elif method == "subscriptions/listen" and ERA == "modern":
        wanted = params["notifications"]
        for uri in wanted.get("resourceSubscriptions", []):
            note(f"subscribing {uri}")
        while wanted.get("resourceSubscriptions") and listed().get("wait"):
            time.sleep(0.01)
        refused = set(wanted.get("resourceSubscriptions", [])) & set(listed().get("refused", []))
        if refused:
            send({"id": request_id, "error": {"code": -32602, "message": "Not to be subscribed to"}})
            return
        streams[request_id] = wanted
        for uri in wanted.get("resourceSubscriptions", []):
            note(f"subscribed {uri}")
        about = {"notifications": wanted, "_meta": {STREAM: request_id}}
        send({"method": "notifications/subscriptions/acknowledged", "params": about})
        return
    else:
        result = result_of(method, params)
    if result is None:
        known = method == "resources/subscribe" and ERA == "handshake"
        code, said = (-32602, "Not to be subscribed to") if known else (-32601, "Method not found")
        send({"id": request_id, "error": {"code": code, "message": said}})
        return
    if ERA == "modern":
        result = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}
    send({"id": request_id, "result": result})


INFO = {"name": "notifier", "version": "1"}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
}


def main() -> None:
    if listed().get("down"):
        sys.exit(1)
    note("started")
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            stream = streams.pop(message["params"]["requestId"], None)
            for uri in (stream or {}).get("resourceSubscriptions", []):
                note(f"unsubscribed {uri}")
        elif "id" in message and "method" in message:
            threading.Thread(target=handle, args=(message,), daemon=True).start()
    note("stopped")


if __name__ == "__main__":
    main()
