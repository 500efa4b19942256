-- name: insert_server
-- A new server.
INSERT INTO servers (tenant_id, name, slug, description, transport, command, args, cwd, url, sealed_secrets, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id

-- name: list_servers
-- All servers of a tenant with the number of their tools that are there.
SELECT s.*, (SELECT count(*) FROM tools t WHERE t.tenant_id = s.tenant_id AND t.server_id = s.id
             AND t.removed_at IS NULL) AS tool_count,
       (SELECT max(version) FROM server_versions v WHERE v.tenant_id = s.tenant_id AND v.server_id = s.id) AS version
FROM servers s WHERE s.tenant_id = $1
ORDER BY s.name

-- name: server_by_id
-- One server.
SELECT * FROM servers WHERE tenant_id = $1 AND id = $2

-- name: server_by_name
-- One server by its name or slug; the name goes first.
SELECT * FROM servers WHERE tenant_id = $1 AND (name = $2 OR slug = $2) ORDER BY (name = $2) DESC LIMIT 1

-- name: delete_server
-- A server with its tools, vectors, versions and the rules about it.
DELETE FROM servers WHERE tenant_id = $1 AND id = $2

-- name: record_sync
-- What the upstream said of itself at a sync that went well.
UPDATE servers SET synced_at = now(), sync_error = NULL, sync_failed_at = NULL, skipped_tools = $3,
       instructions = $4, server_info = $5, protocol_version = $6
WHERE tenant_id = $1 AND id = $2

-- name: record_sync_failure
-- Why a sync failed; the catalogue stays as it was.
UPDATE servers SET sync_error = $3, sync_failed_at = now() WHERE tenant_id = $1 AND id = $2

-- name: try_lock_server_sync
-- At most one sync of a server at a time, in whatever process; the lock ends with the connection.
SELECT pg_try_advisory_lock(1836016455, $1::int)

-- name: unlock_server_sync
-- The sync is over.
SELECT pg_advisory_unlock(1836016455, $1::int)

-- name: insert_server_version
-- What a sync changed.
INSERT INTO server_versions (tenant_id, server_id, version, added, removed, changed)
SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5 FROM server_versions WHERE tenant_id = $1 AND server_id = $2
RETURNING version
