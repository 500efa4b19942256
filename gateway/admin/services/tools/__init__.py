"""What people do with tools: look for them, compare them, try them, say otherwise what they are."""
