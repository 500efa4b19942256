"""Sessions with servers: one, one that is opened when it is needed, one a client, and how many calls at a time."""
