"""Guards of others, asked over HTTP."""
