"""Asking a person to connect a server that lets each in as who they are."""
