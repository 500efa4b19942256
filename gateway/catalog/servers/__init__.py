"""The upstream servers of a tenant: defined, tuned, kept and listed."""
