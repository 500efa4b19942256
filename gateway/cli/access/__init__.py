"""Commands about who sees what: tenants, keys, roles and profiles."""
