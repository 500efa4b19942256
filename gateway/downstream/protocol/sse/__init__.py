"""What is sent as a stream of events: HTTP+SSE, and messages that nobody asked for."""
