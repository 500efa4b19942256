"""All tools of all servers of a tenant, and how they get there."""
