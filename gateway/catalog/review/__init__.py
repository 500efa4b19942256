"""What changed in a server's tools, who approved what, and versions to go back to."""
