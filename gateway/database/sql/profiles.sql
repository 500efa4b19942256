-- name: profile_by_name (lookup)
-- One profile.
SELECT id, name, description, list_mode, version FROM roles WHERE tenant_id = $1 AND name = $2 AND kind = 'profile'

-- name: list_profiles
-- All profiles of a tenant with the number of their rules.
SELECT r.id, r.name, r.description, r.list_mode, r.version,
       (SELECT count(*) FROM role_rules u WHERE u.tenant_id = r.tenant_id AND u.role_id = r.id) AS rule_count
FROM roles r WHERE r.tenant_id = $1 AND r.kind = 'profile' ORDER BY r.name

-- name: profile_description (lookup)
-- What the profile among these roles says of itself.
SELECT description FROM roles WHERE tenant_id = $1 AND id = ANY($2::bigint[]) AND kind = 'profile'
