"""`modelgate demo`: the gateway with real MCP servers, installed when it is first started."""
