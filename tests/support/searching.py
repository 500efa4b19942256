"""Whether a gateway answers searches."""

from __future__ import annotations

from tests.support.gateway import RunningGateway

SEARCH = {"name": "tool_search", "arguments": {"query": "calculate math expressions"}}


async def search_status(gateway: RunningGateway) -> int:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": SEARCH}
    return (await gateway.post(message)).status_code


async def searches(gateway: RunningGateway) -> bool:
    return await search_status(gateway) == 200
