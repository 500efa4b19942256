"""What people reach: the REST API and the admin pages."""
