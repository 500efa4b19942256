"""Let a language model in an OpenSearch cluster say which tool of a gateway answers a question, and call that one.

The model is one that `modelgate opensearch register --kind generate` has registered, by the id that it printed.

export MODELGATE_API_KEY=mg_…
python ask_with_tools.py http://127.0.0.1:8080/mcp http://127.0.0.1:9200 MODEL_ID "What is 6 * 7?"
"""

import json
import os
import sys

import httpx2

GATEWAY, CLUSTER, MODEL_ID, QUESTION = sys.argv[1:5]
HEADERS = {"Authorization": f"Bearer {os.environ['MODELGATE_API_KEY']}"}
USER = os.environ.get("OPENSEARCH_USERNAME", ""), os.environ.get("OPENSEARCH_PASSWORD", "")


def call(name: str, arguments: dict) -> str:
    """What a tool of the gateway answers."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = httpx2.post(GATEWAY, json=request, headers=HEADERS, timeout=60).json()
    if "error" in answer:
        sys.exit(f"The gateway says: {answer['error']['message']}")
    return answer["result"]["content"][0]["text"]


def ask_model(**places: str) -> str:
    """What the model answers to the template choose_tool with these texts in its places."""
    path = f"{CLUSTER}/_plugins/_ml/models/{MODEL_ID}/_predict"
    body = {"parameters": {"prompt": "${parameters.choose_tool}", **places}}
    answer = httpx2.post(path, json=body, auth=USER if USER[0] else None, timeout=300).json()
    if "error" in answer:
        sys.exit(f"The cluster says: {answer['error']}")
    return answer["inference_results"][0]["output"][0]["dataAsMap"]["response"]


def chosen(text: str) -> tuple[str | None, dict]:
    """The tool and the arguments in an answer, which may have words around its JSON."""
    try:
        choice = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return choice["name"], choice.get("arguments") or {}
    except (ValueError, KeyError, TypeError):
        return None, {}


found = json.loads(call("tool_search", {"query": QUESTION}))["tools"]
lines = [
    f"- {tool['name']}: {' '.join(tool['description'].split())} "
    f"Arguments: {tool.get('signature') or json.dumps(tool['inputSchema'].get('properties', {}))}"
    for tool in found
]
said = ask_model(tools="\n".join(lines), question=QUESTION)
name, arguments = chosen(said)
# A model may name a tool that is not there: only what the search has found is called.
if name not in [tool["name"] for tool in found]:
    sys.exit(f"The model chose none of {len(found)} tools; it said: {said.strip()}")
print(f"{name}({json.dumps(arguments)}) says {call(name, arguments)}")
