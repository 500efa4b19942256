"""Commands about upstream servers: added, set, shown, synced, reviewed and rolled back."""
