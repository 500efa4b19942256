"""OAuth 2.1 toward upstream servers: discovery, sign-in, grants and tokens."""
