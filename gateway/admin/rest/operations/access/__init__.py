"""Who may do what: sessions of people, roles, keys, profiles and tenants."""
