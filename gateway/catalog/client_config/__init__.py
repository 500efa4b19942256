"""Servers from the configuration files of MCP clients."""
