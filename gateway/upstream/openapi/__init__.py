"""HTTP APIs with an OpenAPI document, as MCP servers."""
