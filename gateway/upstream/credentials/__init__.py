"""What a request is let in with at a server: the gateway's own, or a person's."""
