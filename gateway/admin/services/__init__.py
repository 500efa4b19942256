"""What people can do with the gateway: the functions behind both the REST API and the pages."""
