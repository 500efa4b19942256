"""Models of a gateway or an Ollama for the users of an OpenSearch cluster, by ML Commons."""
