"""What the process says of its own work: log, metrics and traces."""
