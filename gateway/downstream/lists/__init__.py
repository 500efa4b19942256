"""Lists merged from the upstream servers, for each set of roles."""
