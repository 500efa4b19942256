"""Upstream servers, their versions and syncs."""
