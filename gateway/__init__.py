"""ModelGate: an MCP gateway with semantic tool search."""

__version__ = "0.1.0"
