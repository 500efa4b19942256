"""Handshake sessions: which are open, what was said in them, and how requests in them are answered."""
