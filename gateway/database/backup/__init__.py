"""What a gateway knows, in one file: written while it runs, and read back into an empty database."""
