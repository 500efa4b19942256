"""The guards that the gateway brings along."""
