-- name: offerings_of_kind
-- What a server was seen to offer of a kind, no longer listed ones too.
SELECT name_hash, content_hash, listed, approved_hash, approved_by, quarantine
FROM offerings WHERE tenant_id = $1 AND server_id = $2 AND kind = $3

-- name: has_baseline
-- Whether a server was asked for this kind before.
SELECT $3::text = ANY(baselines) FROM servers WHERE tenant_id = $1 AND id = $2

-- name: add_baseline
-- What a server lists of this kind from now on is compared with what it listed before.
UPDATE servers SET baselines = baselines || $3::text WHERE tenant_id = $1 AND id = $2 AND NOT $3 = ANY(baselines)

-- name: save_offering
-- What is offered now, and what is held against it: $8 the hash approved, $9 by whom, $10 why it is quarantined, $11 flags.
INSERT INTO offerings AS o (tenant_id, server_id, kind, name_hash, name, definition, content_hash, approved_hash, approved_by,
                            quarantine, flags, approved_definition)
VALUES ($1, $2, $3, $4, $5, $6::text, $7::bytea, $8::bytea, $9, $10, $11, CASE WHEN $8::bytea = $7::bytea THEN $6::text END)
ON CONFLICT (tenant_id, server_id, kind, name_hash) DO UPDATE SET
    definition = EXCLUDED.definition, content_hash = EXCLUDED.content_hash, listed = true, seen_at = now(),
    approved_hash = EXCLUDED.approved_hash, approved_by = EXCLUDED.approved_by, quarantine = EXCLUDED.quarantine,
    flags = EXCLUDED.flags, approved_definition = coalesce(EXCLUDED.approved_definition, o.approved_definition)

-- name: scanned_offerings
-- What a server offers beside tools, and how that stands.
SELECT kind, name_hash, content_hash, definition, approved_hash, approved_by, quarantine, flags
FROM offerings WHERE tenant_id = $1 AND server_id = $2 AND listed ORDER BY kind, name_hash

-- name: set_offering_findings
-- What the scan finds in an offering from now on: $5 flags, $6 by whom it is approved still, $7 why it is quarantined.
UPDATE offerings SET flags = $5, approved_by = $6, quarantine = $7
WHERE tenant_id = $1 AND server_id = $2 AND kind = $3 AND name_hash = $4

-- name: unlist_offerings
-- The server no longer offers these; what was approved of them is kept, for they may come back as something else.
UPDATE offerings SET listed = false, seen_at = now()
WHERE tenant_id = $1 AND server_id = $2 AND kind = $3 AND name_hash = ANY($4::bytea[])

-- name: drop_old_offerings
-- Of what is no longer offered, the $4 seen last are kept.
DELETE FROM offerings
WHERE (tenant_id, server_id, kind, name_hash) IN (
    SELECT tenant_id, server_id, kind, name_hash FROM offerings
    WHERE tenant_id = $1 AND server_id = $2 AND kind = $3 AND NOT listed ORDER BY seen_at DESC OFFSET $4)

-- name: offering_reviews
-- What servers ($2, null: all) offer beside tools as an admin judges it, what is hidden first; $3: only what waits.
SELECT o.server_id, s.name AS server_name, o.kind, o.name, o.content_hash, o.definition, o.quarantine, o.approved_at, o.flags,
       o.approved_hash IS DISTINCT FROM o.content_hash AS changed, o.approved_definition,
       coalesce(o.approved_by = 'person' AND o.approved_hash = o.content_hash, false) AS dismissed
FROM offerings o
JOIN servers s ON s.tenant_id = o.tenant_id AND s.id = o.server_id
WHERE o.tenant_id = $1 AND ($2::bigint IS NULL OR o.server_id = $2) AND o.listed
  AND (NOT $3::boolean OR o.quarantine IS NOT NULL OR o.approved_hash IS DISTINCT FROM o.content_hash
       OR (o.flags <> '[]' AND o.approved_by IS DISTINCT FROM 'person'))
ORDER BY o.quarantine IS NULL, s.name, o.kind, o.name

-- name: approve_offerings
-- A person approves what a server offers of kind $3 under the name $4 (null: whatever waits) as it is, $5 the hash of that.
UPDATE offerings SET approved_hash = content_hash, approved_definition = definition, approved_by = 'person', approved_at = now(),
                     quarantine = NULL
WHERE tenant_id = $1 AND server_id = $2 AND listed AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR name = $4)
  AND ($5::bytea IS NULL OR content_hash = $5)
  AND (quarantine IS NOT NULL OR approved_hash IS DISTINCT FROM content_hash OR approved_by <> 'person')
RETURNING kind, name
