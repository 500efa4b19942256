"""The embedder for other programs, in OpenAI's shapes."""
