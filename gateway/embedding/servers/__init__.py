"""Models that run behind an HTTP server."""
