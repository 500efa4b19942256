"""JSON-RPC with one server: requests, replies, negotiation, and what the server asks."""
