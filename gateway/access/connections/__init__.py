"""What persons have given or granted, so that servers let each in as who they are."""
