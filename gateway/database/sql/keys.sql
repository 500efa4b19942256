-- name: insert_key
-- A new API key; only its hash is kept.
INSERT INTO api_keys (tenant_id, name, hash, hint, expires_at) VALUES ($1, $2, $3, $4, $5) RETURNING id

-- name: insert_key_roles
-- The roles that a key carries.
INSERT INTO api_key_roles (tenant_id, key_id, role_id) SELECT $1, $2, unnest($3::bigint[])

-- name: key_by_hash
-- The key whose SHA-256 this is, with its roles: what a request is let in by.
SELECT k.tenant_id, k.id, k.name, k.hash, k.expires_at, k.revoked_at, t.suspended_at,
       ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id
             ORDER BY r.role_id) AS role_ids
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
WHERE k.hash = $1

-- name: list_keys
-- All keys of a tenant, newest first.
SELECT k.id, k.name, k.hint, k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
       ARRAY(SELECT o.name FROM api_key_roles r JOIN roles o ON o.tenant_id = r.tenant_id AND o.id = r.role_id
             WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id ORDER BY o.name) AS roles
FROM api_keys k WHERE k.tenant_id = $1 ORDER BY k.id DESC

-- name: revoke_key
-- From its commit on the key opens nothing, in whatever process.
WITH revoked AS (
    UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM revoked

-- name: touch_keys
-- When keys were last used, written in batches.
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.used_at)
FROM unnest($1::bigint[], $2::timestamptz[]) AS u (id, used_at) WHERE k.id = u.id
