"""Start from an OpenSearch cluster, and end with a tool_search that runs in it.

A gateway of its own is started on an embedded PostgreSQL in FOLDER, a server of tools is added, its tools are written
into the cluster, and the query is answered from there. `modelgate index drop` takes the index out again.

python search_in_opensearch.py http://127.0.0.1:9200 FOLDER "calculate math expressions"
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2

CLUSTER, FOLDER, QUERY = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3]
LOCAL_MCP = Path(__file__).parent / "local_mcp.py"
SECONDS = 180

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]

ENVIRONMENT = {
    **os.environ,
    "MODELGATE_DATA_DIR": str(FOLDER),
    "MODELGATE_SERVER_PORT": str(PORT),
    "MODELGATE_EMBEDDER_TYPE": "builtin",
    "MODELGATE_SEARCH_INDEX": "opensearch",
    "MODELGATE_OPENSEARCH_URLS": CLUSTER,
    # With a single node there is nowhere to put a second copy.
    "MODELGATE_OPENSEARCH_REPLICAS": "0",
}


def modelgate(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def wait_until(condition, what: str) -> None:
    """Look every half second, for three minutes."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what} took more than {SECONDS} s.")
        time.sleep(0.5)


def ready() -> bool:
    """Whether the gateway answers."""
    try:
        return httpx2.get(f"http://127.0.0.1:{PORT}/ready", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def filled() -> bool:
    """Whether an index in the cluster has all tools."""
    indexes = json.loads(modelgate("index", "status", "--json"))["indexes"]
    return any(each["state"] == "serving" and each["documents"] == each["tools"] > 0 for each in indexes)


gateway = subprocess.Popen(
    [sys.executable, "-m", "gateway", "serve"], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
try:
    wait_until(ready, "The start of the gateway")
    modelgate("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP), "--root", str(FOLDER))
    modelgate("sync", "Local MCP")
    wait_until(filled, "Filling the index")
    print(modelgate("index", "status"))

    key = modelgate("keys", "create", "--name", "example")
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "tool_search", "arguments": {"query": QUERY, "detail": "brief"}},
    }
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx2.post(f"http://127.0.0.1:{PORT}/mcp", json=request, headers=headers, timeout=60).json()
    found = json.loads(answer["result"]["content"][0]["text"])
    for tool in found["tools"]:
        print(f"{tool['_metadata']['score']:.2f}  {tool['name']}: {tool['description'].splitlines()[0]}")
    print(found.get("notice", "Answered by the cluster."))
finally:
    gateway.terminate()
    gateway.wait(60)
