"""The ways in which messages reach a server: stdio, streamable HTTP and HTTP+SSE."""
