"""Guards of others, run in processes of their own."""
