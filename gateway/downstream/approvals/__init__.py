"""Approvals for programs: keys that have the right `approve`, and the chat tool behind the webhook."""
