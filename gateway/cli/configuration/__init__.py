"""`modelgate export` and `modelgate apply`: a tenant's configuration as one document."""
