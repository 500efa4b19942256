"""Subscriptions to resources, and telling clients that a list of theirs has changed."""
