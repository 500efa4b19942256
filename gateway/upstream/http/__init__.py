"""HTTP to upstream servers, to checked addresses only."""
