"""Addresses of pages to which the parts of the admin side send people."""

from __future__ import annotations

HOME_PATH = "/admin"
SIGN_IN_PATH = "/signin"
CONNECTIONS_PATH = "/connections"
"""What everybody sees who can sign in: their own connections."""
