"""Who may run the gateway, and how they are let in."""
