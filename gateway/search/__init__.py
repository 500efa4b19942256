"""Finding the few tools that a query needs."""
