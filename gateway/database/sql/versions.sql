-- name: lock_server
-- What decides over what a server lists; until commit nobody else changes or judges its tools.
SELECT on_change, pinned_version, synced_at IS NULL AS never_synced,
       (SELECT max(v.version) FROM server_versions v WHERE v.tenant_id = s.tenant_id AND v.server_id = s.id) AS newest
FROM servers s WHERE s.tenant_id = $1 AND s.id = $2
FOR NO KEY UPDATE

-- name: insert_version
-- What changed with a version: $8 applied, $9 the version it restores.
INSERT INTO server_versions (tenant_id, server_id, version, added, removed, changed, renamed, breaking, applied, restores)
SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9
FROM server_versions WHERE tenant_id = $1 AND server_id = $2
RETURNING version

-- name: insert_definitions
-- Definitions, by their hash.
INSERT INTO tool_definitions (tenant_id, server_id, content_hash, definition)
SELECT DISTINCT ON (d.hash) $1, $2, d.hash, d.definition::json
FROM unnest($3::bytea[], $4::text[]) AS d (hash, definition)
ON CONFLICT DO NOTHING

-- name: insert_version_tools
-- The tools of a version.
INSERT INTO server_version_tools (tenant_id, server_id, version, name, content_hash)
SELECT $1, $2, $3, v.name, v.hash FROM unnest($4::text[], $5::bytea[]) AS v (name, hash)

-- name: version_tools
-- The tools of a version as they were.
SELECT v.name, d.definition, v.content_hash
FROM server_version_tools v
JOIN tool_definitions d ON d.tenant_id = v.tenant_id AND d.server_id = v.server_id AND d.content_hash = v.content_hash
WHERE v.tenant_id = $1 AND v.server_id = $2 AND v.version = $3
ORDER BY v.name

-- name: list_versions
-- The versions of a server, newest first.
SELECT v.version, v.created_at, v.added, v.removed, v.changed, v.renamed, v.breaking, v.applied, v.restores,
       (SELECT count(*) FROM server_version_tools n
        WHERE n.tenant_id = v.tenant_id AND n.server_id = v.server_id AND n.version = v.version) AS tool_count,
       v.version IS NOT DISTINCT FROM s.pinned_version AS pinned
FROM server_versions v JOIN servers s ON s.tenant_id = v.tenant_id AND s.id = v.server_id
WHERE v.tenant_id = $1 AND v.server_id = $2
ORDER BY v.version DESC

-- name: version_exists
-- Whether a server has a version: its number.
SELECT version FROM server_versions WHERE tenant_id = $1 AND server_id = $2 AND version = $3

-- name: newest_applied_version
-- The version that is offered.
SELECT max(version) FROM server_versions WHERE tenant_id = $1 AND server_id = $2 AND applied

-- name: pin_server
-- Offer one version from now on; null: what the server lists.
UPDATE servers SET pinned_version = $3 WHERE tenant_id = $1 AND id = $2

-- name: drop_old_versions
-- Keep the newest $3 versions of a server, and the one it is pinned to.
DELETE FROM server_versions v
USING servers s
WHERE v.tenant_id = $1 AND v.server_id = $2 AND s.tenant_id = v.tenant_id AND s.id = v.server_id
  AND v.version IS DISTINCT FROM s.pinned_version
  AND v.version <= (SELECT max(n.version) FROM server_versions n WHERE n.tenant_id = $1 AND n.server_id = $2) - $3

-- name: drop_unused_definitions
-- Definitions of no version that is kept, and of no approval.
DELETE FROM tool_definitions d
WHERE d.tenant_id = $1 AND d.server_id = $2
  AND NOT EXISTS (SELECT FROM server_version_tools v WHERE v.tenant_id = d.tenant_id AND v.server_id = d.server_id
                  AND v.content_hash = d.content_hash)
  AND NOT EXISTS (SELECT FROM tools t WHERE t.tenant_id = d.tenant_id AND t.server_id = d.server_id
                  AND t.approved_hash = d.content_hash)

-- name: save_former_embeddings
-- Vectors of tools that are about to have other texts, for when they go back.
INSERT INTO former_embeddings
    (tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding, combined_embedding)
SELECT tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding, combined_embedding
FROM tool_embeddings
WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[])
  AND num_nulls(name_embedding, description_embedding, combined_embedding) = 0
ON CONFLICT (tenant_id, tool_id, space_id, text_hash) DO UPDATE SET kept_at = now()

-- name: drop_old_former_embeddings
-- Keep the newest $3 of each of these tools in each space.
DELETE FROM former_embeddings f
WHERE f.tenant_id = $1 AND f.tool_id = ANY($2::bigint[])
  AND (SELECT count(*) FROM former_embeddings n WHERE n.tenant_id = f.tenant_id AND n.tool_id = f.tool_id
       AND n.space_id = f.space_id AND (n.kept_at, n.text_hash) > (f.kept_at, f.text_hash)) >= $3

-- name: former_embedding_hashes
-- Which of these texts (by tool, in the same order) had vectors in a space before.
SELECT f.tool_id, f.text_hash FROM former_embeddings f
JOIN unnest($3::bigint[], $4::bytea[]) AS w (tool_id, text_hash)
     ON w.tool_id = f.tool_id AND w.text_hash = f.text_hash
WHERE f.tenant_id = $1 AND f.space_id = $2

-- name: restore_embeddings
-- Vectors that tools had before, for the texts that they have again.
INSERT INTO tool_embeddings
    (tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding, combined_embedding)
SELECT f.tenant_id, f.tool_id, f.space_id, f.text_hash, f.name_embedding, f.description_embedding, f.combined_embedding
FROM former_embeddings f
JOIN unnest($3::bigint[], $4::bytea[]) AS w (tool_id, text_hash)
     ON w.tool_id = f.tool_id AND w.text_hash = f.text_hash
WHERE f.tenant_id = $1 AND f.space_id = $2
ON CONFLICT (tenant_id, tool_id, space_id) DO UPDATE
SET text_hash = excluded.text_hash, name_embedding = excluded.name_embedding,
    description_embedding = excluded.description_embedding, combined_embedding = excluded.combined_embedding,
    refused = '{}', cut = '{}', is_complete = true
