"""What MCP clients reach: the /mcp endpoint and its tools."""
