"""Bringing the tools of servers into the catalogue, and keeping them up to date."""
