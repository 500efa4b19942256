-- name: insert_key
-- A new API key; only its hash is kept.
INSERT INTO api_keys (tenant_id, name, hash, hint, expires_at, note, requests_per_minute, concurrent_calls,
                      calls_per_day, rights, replaces)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id

-- name: insert_key_roles
-- The roles that a key carries.
INSERT INTO api_key_roles (tenant_id, key_id, role_id)
SELECT $1, $2, r.id FROM roles r WHERE r.tenant_id = $1 AND r.kind = 'role' AND r.id = ANY($3::bigint[])

-- name: key_by_hash
-- The key whose SHA-256 this is, with its roles: what a request is let in by.
SELECT k.tenant_id, k.id, k.name, k.hash, k.expires_at, k.revoked_at, t.suspended_at,
       k.requests_per_minute, k.concurrent_calls, k.calls_per_day, k.rights,
       ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id
             ORDER BY r.role_id) AS role_ids
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
WHERE k.hash = $1

-- name: list_keys
-- All keys of a tenant, newest first, with the calls taken out of the budget of today (UTC).
SELECT k.id, k.name, k.hint, k.note, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.replaces,
       k.requests_per_minute, k.concurrent_calls, k.calls_per_day, k.rights, coalesce(u.calls, 0) AS calls_today,
       ARRAY(SELECT o.name FROM api_key_roles r JOIN roles o ON o.tenant_id = r.tenant_id AND o.id = r.role_id
             WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id ORDER BY o.name) AS roles
FROM api_keys k
LEFT JOIN key_usage u ON u.tenant_id = k.tenant_id AND u.key_id = k.id AND u.day = (now() AT TIME ZONE 'UTC')::date
WHERE k.tenant_id = $1 ORDER BY k.id DESC

-- name: key_to_rotate
-- A key in force with its roles, locked until the end of the transaction.
SELECT k.id, k.name, k.note, k.created_at, k.expires_at, k.requests_per_minute, k.concurrent_calls, k.calls_per_day,
       k.rights,
       ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id) AS role_ids
FROM api_keys k
WHERE k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
FOR UPDATE OF k

-- name: update_key
-- Change what goes with a key in force; every value is written, null is none. From its commit on it holds everywhere.
WITH changed AS (
    UPDATE api_keys SET name = $3, note = $4, expires_at = $5, requests_per_minute = $6, concurrent_calls = $7,
           calls_per_day = $8, rights = $9
    WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM changed

-- name: delete_key_roles
-- Before the roles of a key are written anew.
DELETE FROM api_key_roles WHERE tenant_id = $1 AND key_id = $2

-- name: expire_key_at
-- A key that another takes over from ends at $3, unless it ends before.
WITH ending AS (
    UPDATE api_keys SET expires_at = least(expires_at, $3) WHERE tenant_id = $1 AND id = $2 RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM ending

-- name: revoke_key
-- From its commit on the key opens nothing, in whatever process.
WITH revoked AS (
    UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM revoked

-- name: touch_keys
-- When keys of tenants $1 were last used, written in batches.
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.used_at)
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (tenant_id, id, used_at)
WHERE k.tenant_id = u.tenant_id AND k.id = u.id

-- name: reserve_key_calls
-- Take up to $4 calls out of a key's budget of $5 for a day; returns how many were left to take.
INSERT INTO key_usage AS stored (tenant_id, key_id, day, calls, granted)
VALUES ($1, $2, $3, least($4::bigint, $5::bigint), least($4::bigint, $5::bigint))
ON CONFLICT (tenant_id, key_id, day) DO UPDATE
SET calls = greatest(stored.calls, least(stored.calls + $4, $5)),
    granted = greatest(0, least(stored.calls + $4, $5) - stored.calls)
RETURNING granted

-- name: release_key_calls
-- Calls that were taken and not made.
UPDATE key_usage SET calls = greatest(0, calls - $4::bigint) WHERE tenant_id = $1 AND key_id = $2 AND day = $3

-- name: trim_key_usage
-- Counts of days before $1 are of no use any more.
DELETE FROM key_usage WHERE day < $1
