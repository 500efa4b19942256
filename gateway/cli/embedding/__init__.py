"""Commands about the embedder, its models and its spaces."""
