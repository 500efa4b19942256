"""What people can do with upstream servers."""
