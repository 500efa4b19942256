"""What writes the catalogue's changes to the cluster."""
