"""Pages to find out with what went wrong: calls as they come in, and the log of the gateway."""
