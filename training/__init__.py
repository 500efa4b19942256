"""Tunes the sentence encoder of the builtin embedder on queries for tools; see README.md."""
