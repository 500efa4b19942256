"""Servers: the list, each with its limits and what it offers, and the ways to add one."""
