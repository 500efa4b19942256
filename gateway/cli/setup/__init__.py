"""`modelgate setup`: MCP clients that are to use this gateway."""
