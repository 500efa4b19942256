"""Servers that a registry lists, as servers to add."""
