"""A modern stdio server whose tools answer with tasks (SEP-2663); the argument names a file that it notes methods in.

`work` ends after three polls, `ask` after its question is answered, `fail` at once, `never` when it is cancelled; `now`
makes a task only for those who take one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

NOTES = sys.argv[1]
EXTENSION = "io.modelcontextprotocol/tasks"
FORM = {
    "method": "elicitation/create",
    "params": {
        "message": "Your name?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
tasks: dict[str, dict[str, Any]] = {}


def note(text: str) -> None:
    with open(NOTES, "a", encoding="utf-8") as file:
        file.write(text + "\n")


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], "isError": False, "resultType": "complete"}


def shown(task_id: str) -> dict[str, Any]:
    task = tasks[task_id]
    times = {"createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
    return {"taskId": task_id, **times, "ttlMs": 60_000, "pollIntervalMs": 50, **task["state"]}


def advance(task: dict[str, Any]) -> None:
    task["polls"] += 1
    kind, state = task["kind"], task["state"]
    if state["status"] in ("completed", "failed", "cancelled"):
        return
    if kind == "work":
        state["statusMessage"] = f"step {task['polls']}"
        if task["polls"] == 3:
            task["state"] = {"status": "completed", "result": text("worked")}
    elif kind == "fail":
        task["state"] = {"status": "failed", "error": {"code": -31998, "message": "out of paper", "data": {"a": 1}}}
    elif kind == "ask" and "answer" in task:
        task["state"] = {"status": "completed", "result": text(f"hello {task['answer']}")}
    elif kind == "ask":
        task["state"] = {"status": "input_required", "inputRequests": {"name": FORM}}


class RefusedError(Exception):
    """A JSON-RPC error."""


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    capabilities = params.get("_meta", {}).get("io.modelcontextprotocol/clientCapabilities", {})
    takes_tasks = EXTENSION in capabilities.get("extensions", {})
    if method == "server/discover":
        return {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "extensions": {EXTENSION: {}}},
            "ttlMs": 0,
            "cacheScope": "private",
        }
    if method == "tools/list":
        names = ("work", "ask", "fail", "never", "now")
        listed = [{"name": name, "description": f"Does {name}", "inputSchema": {"type": "object"}} for name in names]
        return {"resultType": "complete", "tools": listed, "ttlMs": 0, "cacheScope": "private"}
    if method == "tools/call":
        if not takes_tasks:
            if params["name"] == "now":
                return text("at once")
            raise RefusedError(-32021, "tasks are needed", {"requiredCapabilities": {"extensions": {EXTENSION: {}}}})
        task_id = f"task-{len(tasks) + 1}"
        tasks[task_id] = {"kind": params["name"], "polls": 0, "state": {"status": "working"}}
        note(f"created {task_id}")
        return {"resultType": "task", **shown(task_id)}
    if method.startswith("tasks/"):
        note(f"{method} {params['taskId']}")
        if not takes_tasks or params["taskId"] not in tasks:
            raise RefusedError(-32602, "no such task", None)
        task = tasks[params["taskId"]]
        if method == "tasks/get":
            advance(task)
            return {"resultType": "complete", **shown(params["taskId"])}
        if method == "tasks/cancel":
            task["state"] = {"status": "cancelled"}
        else:
            task["answer"] = params["inputResponses"]["name"].get("content", {}).get("name", "nobody")
        return {"resultType": "complete"}
    raise RefusedError(-32601, "no such method", None)


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        reply["result"] = answer(message["method"], message.get("params") or {})
    except RefusedError as refusal:
        code, said, data = refusal.args
        reply["error"] = {"code": code, "message": said, **({"data": data} if data else {})}
    print(json.dumps(reply), flush=True)
