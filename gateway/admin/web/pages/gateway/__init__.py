"""Pages about the gateway itself: its settings, and the documents that come with it."""
