-- name: insert_key
-- A new API key; only its hash is kept.
INSERT INTO api_keys (tenant_id, name, hash, hint, expires_at, note, requests_per_minute, concurrent_calls,
                      calls_per_day, rights, replaces, owner, person_id, accepted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id

-- name: insert_key_roles
-- The roles that a key carries.
INSERT INTO api_key_roles (tenant_id, key_id, role_id)
SELECT $1, $2, r.id FROM roles r WHERE r.tenant_id = $1 AND r.kind = 'role' AND r.id = ANY($3::bigint[])

-- name: key_by_hash (lookup)
-- The key whose SHA-256 this is, with its roles: what a request is let in by.
SELECT k.tenant_id, k.id, k.name, k.hash, k.expires_at, k.revoked_at, t.suspended_at,
       k.requests_per_minute, k.concurrent_calls, k.calls_per_day, k.rights,
       k.owner, k.accepted_at, p.issuer AS person_issuer, p.subject AS person_subject,
       ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id
             ORDER BY r.role_id) AS role_ids
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
LEFT JOIN persons p ON p.tenant_id = k.tenant_id AND p.id = k.person_id
WHERE k.hash = $1

-- name: key_records
-- Keys k of a tenant with their roles, and the calls taken out of the budget of today (UTC).
SELECT k.id, k.name, k.hint, k.note, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.replaces,
       k.requests_per_minute, k.concurrent_calls, k.calls_per_day, k.rights, coalesce(u.calls, 0) AS calls_today, k.owner, k.accepted_at,
       ARRAY(SELECT o.name FROM api_key_roles r JOIN roles o ON o.tenant_id = r.tenant_id AND o.id = r.role_id
             WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id ORDER BY o.name) AS roles
FROM api_keys k
LEFT JOIN key_usage u ON u.tenant_id = k.tenant_id AND u.key_id = k.id AND u.day = (now() AT TIME ZONE 'UTC')::date
WHERE k.tenant_id = $1

-- name: list_keys
-- All keys of a tenant, newest first.
{{key_records}} ORDER BY k.id DESC

-- name: key_record
-- One key.
{{key_records}} AND k.id = $2

-- name: has_key_text
-- Whether key k has the text $2, as a pattern, in its name, its first characters or the name of a role; null: any.
($2::text IS NULL OR k.name ILIKE $2 OR k.hint ILIKE $2 OR EXISTS (
    SELECT FROM api_key_roles r JOIN roles o ON o.tenant_id = r.tenant_id AND o.id = r.role_id
    WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id AND o.name ILIKE $2))

-- name: keys_page
-- The $4 newest of them with the text $2 and an id below $3.
{{key_records}} AND ($3::bigint IS NULL OR k.id < $3) AND {{has_key_text}}
ORDER BY k.id DESC LIMIT $4

-- name: count_keys
-- How many they are in all.
SELECT count(*) FROM api_keys k WHERE k.tenant_id = $1 AND {{has_key_text}}

-- name: key_to_rotate
-- A key in force with its roles, locked until the end of the transaction.
SELECT k.id, k.name, k.note, k.created_at, k.expires_at, k.requests_per_minute, k.concurrent_calls, k.calls_per_day,
       k.rights, k.owner, k.person_id, k.accepted_at,
       ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = k.tenant_id AND r.key_id = k.id) AS role_ids
FROM api_keys k
WHERE k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
FOR UPDATE OF k

-- name: update_key
-- Change what goes with a key in force; every value is written, null is none. From its commit on it holds everywhere. For
-- another owner it does not act before they accept it.
WITH changed AS (
    UPDATE api_keys SET name = $3, note = $4, expires_at = $5, requests_per_minute = $6, concurrent_calls = $7,
           calls_per_day = $8, rights = $9, owner = $10,
           person_id = CASE WHEN owner IS NOT DISTINCT FROM $10 THEN person_id END,
           accepted_at = CASE WHEN owner IS NOT DISTINCT FROM $10 THEN accepted_at END
    WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM changed

-- name: keys_awaiting
-- Keys in force that wait for the account named $2 to accept them.
{{key_records}} AND lower(k.owner) = lower($2) AND k.accepted_at IS NULL AND k.revoked_at IS NULL
AND (k.expires_at IS NULL OR k.expires_at > now()) ORDER BY k.id DESC

-- name: keys_of_person
-- Keys in force that a person has accepted.
{{key_records}} AND k.person_id = $2 AND k.accepted_at IS NOT NULL AND k.revoked_at IS NULL
AND (k.expires_at IS NULL OR k.expires_at > now()) ORDER BY k.id DESC

-- name: accept_key
-- The account named $4 lets a key act for them, who are person $3.
WITH accepted AS (
    UPDATE api_keys SET person_id = $3, accepted_at = now()
    WHERE tenant_id = $1 AND id = $2 AND lower(owner) = lower($4) AND accepted_at IS NULL AND revoked_at IS NULL
    RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM accepted

-- name: release_key
-- A key no longer acts for person $3.
WITH released AS (
    UPDATE api_keys SET person_id = NULL, accepted_at = NULL
    WHERE tenant_id = $1 AND id = $2 AND person_id = $3 AND accepted_at IS NOT NULL RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'key', id)::text) FROM released

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

-- name: reserve_key_calls (lookup)
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

-- name: findable_tool
-- A tool that the roles of key $2 can find, of those that are described the first.
SELECT t.name, t.description
FROM visible_tools($1, ARRAY(SELECT r.role_id FROM api_key_roles r WHERE r.tenant_id = $1 AND r.key_id = $2)) AS v
JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id
WHERE NOT t.app_only
ORDER BY t.description = '', t.position
LIMIT 1
