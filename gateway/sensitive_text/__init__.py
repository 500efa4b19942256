"""Secrets and personal data in texts: where they stand, and the texts without them."""
