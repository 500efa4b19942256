"""The command that runs the gateway, in one process or several."""
