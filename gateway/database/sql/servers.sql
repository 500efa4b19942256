-- name: next_server_id
-- The id of a server that is about to be added: what is sealed for it is bound to that.
SELECT nextval(pg_get_serial_sequence('servers', 'id'))

-- name: insert_server
-- A new server.
INSERT INTO servers (tenant_id, id, name, slug, description, transport, command, args, cwd, url, sealed_secrets, limits,
                     prefix, credential, document, document_url, enabled)
OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)

-- name: servers_of_0_1
-- Servers with something that is still bound to their slug.
SELECT s.tenant_id, s.id, s.slug, s.sealed_secrets, s.sealed_grant
FROM servers_of_0_1 f JOIN servers s ON s.tenant_id = f.tenant_id AND s.id = f.server_id

-- name: adopt_server_of_0_1
-- All that is sealed of a server is bound to its row.
DELETE FROM servers_of_0_1 WHERE tenant_id = $1 AND server_id = $2

-- name: servers_sealed_otherwise
-- Servers beyond an id with something that does not begin as texts that are sealed now.
SELECT s.tenant_id, s.id, s.sealed_secrets, s.sealed_grant, s.sealed_personal
FROM servers s
WHERE s.id > $2::bigint AND (substring(s.sealed_secrets FOR length($1::bytea)) <> $1::bytea
                             OR substring(s.sealed_grant FOR length($1::bytea)) <> $1::bytea
                             OR substring(s.sealed_personal FOR length($1::bytea)) <> $1::bytea)
ORDER BY s.id LIMIT $3::bigint

-- name: reseal_secrets
-- The same secrets sealed anew, unless they have changed.
UPDATE servers SET sealed_secrets = $4 WHERE tenant_id = $1 AND id = $2 AND sealed_secrets = $3

-- name: reseal_grant
-- The same tokens sealed anew, unless they have changed.
UPDATE servers SET sealed_grant = $4 WHERE tenant_id = $1 AND id = $2 AND sealed_grant = $3

-- name: try_lock_rotation
-- At most one rotation of the encryption key at a time; the lock ends with the connection.
SELECT pg_try_advisory_lock(1836016457)

-- name: list_servers
-- All servers of a tenant, or server $2 alone, with the number of their live tools, and how many of these lack a vector
-- where searches look.
SELECT s.*, coalesce(n.tools, 0) AS tool_count, coalesce(n.lacking, 0) AS tools_lacking_vectors, v.version
FROM servers s
LEFT JOIN (
    SELECT t.server_id, count(*) AS tools,
           count(p.id) FILTER (WHERE e.tool_id IS NULL OR NOT e.is_complete OR e.refused <> '{}') AS lacking
    FROM tools t
    LEFT JOIN embedding_spaces p ON p.active
    LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = p.id
    WHERE t.tenant_id = $1 AND t.removed_at IS NULL AND ($2::bigint IS NULL OR t.server_id = $2)
    GROUP BY t.server_id
) n ON n.server_id = s.id
LEFT JOIN (
    SELECT server_id, max(version) AS version FROM server_versions
    WHERE tenant_id = $1 AND ($2::bigint IS NULL OR server_id = $2) GROUP BY server_id
) v ON v.server_id = s.id
WHERE s.tenant_id = $1 AND ($2::bigint IS NULL OR s.id = $2)
ORDER BY s.name

-- name: server_by_id (lookup)
-- One server.
SELECT * FROM servers WHERE tenant_id = $1 AND id = $2

-- name: server_by_name
-- One server by its name or slug; the name goes first.
SELECT * FROM servers WHERE tenant_id = $1 AND (name = $2 OR slug = $2) ORDER BY (name = $2) DESC LIMIT 1

-- name: update_server
-- What a server is called and how it is reached; who renews tokens for where it was can no longer save them.
WITH unlocked AS (
    DELETE FROM grant_locks WHERE tenant_id = $1 AND server_id = $2 AND NOT $13::boolean
)
UPDATE servers SET name = $3, description = $4, command = $5, args = $6, cwd = $7, url = $8, sealed_secrets = $9,
       credential = $10, document = $11, document_url = $12,
       sealed_grant = CASE WHEN $13::boolean THEN sealed_grant END
WHERE tenant_id = $1 AND id = $2

-- name: set_server_personal
-- Of which kind the personal credentials of a server are, null: it has none. Those of another kind end.
WITH before AS (
    SELECT personal FROM servers WHERE tenant_id = $1 AND id = $2
), ended AS (
    DELETE FROM connections c USING before b
    WHERE c.tenant_id = $1 AND c.server_id = $2 AND b.personal IS DISTINCT FROM $3
)
UPDATE servers SET personal = $3, sealed_personal = $4, list_as = $5 WHERE tenant_id = $1 AND id = $2

-- name: end_connections_of_server
-- What persons have connected was for where the server was.
DELETE FROM connections WHERE tenant_id = $1 AND server_id = $2

-- name: reseal_personal
-- The same sealed anew, unless it has changed.
UPDATE servers SET sealed_personal = $4 WHERE tenant_id = $1 AND id = $2 AND sealed_personal = $3

-- name: set_server_tuning
-- How a server is used: limits that differ from the gateway's, sessions, idle stop and the interval of syncs.
UPDATE servers SET limits = $3, session = $4, idle_stop_seconds = $5, sync_every_seconds = $6
WHERE tenant_id = $1 AND id = $2

-- name: sealed_grant
-- The OAuth tokens of a server.
SELECT slug, sealed_grant FROM servers WHERE tenant_id = $1 AND id = $2

-- name: replace_sealed_grant
-- The OAuth tokens of a new sign-in; who renews those before can no longer save them.
WITH unlocked AS (
    DELETE FROM grant_locks WHERE tenant_id = $1 AND server_id = $2
)
UPDATE servers SET sealed_grant = $3 WHERE tenant_id = $1 AND id = $2

-- name: save_renewed_grant
-- Renewed OAuth tokens of a server, from whoever holds its lock. As wherever else both are locked, the server goes first.
WITH server AS MATERIALIZED (
    SELECT id FROM servers WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
), held AS MATERIALIZED (
    SELECT l.server_id FROM server s JOIN grant_locks l ON l.tenant_id = $1 AND l.server_id = s.id AND l.holder = $4
    FOR UPDATE OF l
)
UPDATE servers s SET sealed_grant = $3 FROM held h WHERE s.tenant_id = $1 AND s.id = h.server_id

-- name: lock_grant
-- At most one renewal of a server's tokens at a time, in whatever process, for so many seconds; nothing where somebody
-- else is at it.
INSERT INTO grant_locks AS held (tenant_id, server_id, holder, expires_at)
SELECT s.tenant_id, s.id, $3, now() + make_interval(secs => $4::float8)
FROM servers s WHERE s.tenant_id = $1 AND s.id = $2
ON CONFLICT (tenant_id, server_id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE held.expires_at < now()
RETURNING true

-- name: unlock_grant
-- A renewal is over.
DELETE FROM grant_locks WHERE tenant_id = $1 AND server_id = $2 AND holder = $3

-- name: servers_to_check
-- Every server that is switched on, of every tenant that is not suspended, with when it is to be synced by itself.
SELECT s.tenant_id, s.id, s.health, s.sync_every_seconds, s.synced_at, s.sync_failed_at
FROM servers s JOIN tenants t ON t.id = s.tenant_id
WHERE s.enabled AND t.suspended_at IS NULL
ORDER BY s.id

-- name: servers_never_checked
-- Those of servers_to_check that no process has looked at since they were added.
SELECT s.tenant_id, s.id
FROM servers s JOIN tenants t ON t.id = s.tenant_id
WHERE s.enabled AND s.checked_at IS NULL AND t.suspended_at IS NULL
ORDER BY s.id

-- name: record_health
-- How a server did at a check; true where its last sync has failed.
UPDATE servers SET health = $3, checked_at = now(), last_seen_at = coalesce($4, last_seen_at), latency_ms = $5,
       restarts = $6, last_error = $7, startup_line = $8
WHERE tenant_id = $1 AND id = $2
RETURNING sync_failed_at IS NOT NULL

-- name: note_health
-- Carry on the row of a server's state $3, or begin one where it is another, or the last check is more than $5 seconds ago.
WITH carried_on AS (
    UPDATE server_health SET until = now(), error = coalesce($4, error)
    WHERE tenant_id = $1 AND server_id = $2 AND state = $3 AND until > now() - $5::float8 * interval '1 second'
      AND since = (SELECT max(since) FROM server_health WHERE tenant_id = $1 AND server_id = $2)
    RETURNING since
)
INSERT INTO server_health (tenant_id, server_id, since, until, state, error)
SELECT $1, $2, now(), now(), $3, $4 FROM servers
WHERE tenant_id = $1 AND id = $2 AND NOT EXISTS (SELECT FROM carried_on)
ON CONFLICT DO NOTHING

-- name: drop_old_health
-- What nobody looks at any more.
DELETE FROM server_health WHERE tenant_id = $1 AND server_id = $2 AND until < now() - interval '2 days'

-- name: server_health_since
-- How a server did since a moment, in order.
SELECT since, until, state, error FROM server_health
WHERE tenant_id = $1 AND server_id = $2 AND until >= $3 ORDER BY since

-- name: set_server_enabled
-- A server that is switched off is left alone, and so are its tools.
UPDATE servers SET enabled = $3 WHERE tenant_id = $1 AND id = $2

-- name: delete_server (bulk)
-- A server with its tools, vectors, versions and the rules about it.
DELETE FROM servers WHERE tenant_id = $1 AND id = $2

-- name: record_sync
-- What the upstream said of itself at a sync that went well; true where what it can do is not what it was. Without $7 it
-- is not known what it said, and what it said before stays.
WITH before AS (
    SELECT capabilities FROM servers WHERE tenant_id = $1 AND id = $2
)
UPDATE servers SET synced_at = now(), sync_error = NULL, sync_failed_at = NULL, skipped_tools = $3,
       instructions = CASE WHEN $7::jsonb IS NULL THEN servers.instructions ELSE $4 END,
       server_info = CASE WHEN $7::jsonb IS NULL THEN servers.server_info ELSE $5 END,
       protocol_version = CASE WHEN $7::jsonb IS NULL THEN servers.protocol_version ELSE $6 END,
       capabilities = coalesce($7, servers.capabilities)
FROM before WHERE tenant_id = $1 AND id = $2
RETURNING before.capabilities <> servers.capabilities

-- name: record_sync_failure
-- Why a sync failed; the catalogue stays as it was.
UPDATE servers SET sync_error = $3, sync_failed_at = now() WHERE tenant_id = $1 AND id = $2

-- name: try_lock_server_sync
-- At most one sync of a server at a time, in whatever process; the lock ends with the connection.
SELECT pg_try_advisory_lock(1836016455, $1::int)
