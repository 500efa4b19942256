"""What people can do about who sees what: tenants, roles, rules, profiles, keys and admins."""
