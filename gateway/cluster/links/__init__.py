"""Connections between processes: signed frames, and many requests over each."""
