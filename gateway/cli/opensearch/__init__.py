"""Commands about models for the users of an OpenSearch cluster."""
