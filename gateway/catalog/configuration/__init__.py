"""A tenant's configuration as one YAML document: servers, roles, rules and profiles, without secrets."""
