"""What can be asked of the REST API, by subject."""
