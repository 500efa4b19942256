-- name: connection_by_key (lookup)
-- The connection of a person to a server.
SELECT * FROM connections WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3

-- name: connection_row
-- Connections c with whose they are and to what.
SELECT c.tenant_id, c.person_id, c.server_id, c.id, c.kind, c.subject, c.scopes, c.expires_at, c.connected_at,
       c.last_used_at, c.listing_agreed_at, p.name AS person_name, p.issuer, p.subject AS person_subject,
       s.name AS server_name
FROM connections c
JOIN persons p ON p.tenant_id = c.tenant_id AND p.id = c.person_id
JOIN servers s ON s.tenant_id = c.tenant_id AND s.id = c.server_id

-- name: connections_of_person
-- All connections of one person.
{{connection_row}} WHERE c.tenant_id = $1 AND c.person_id = $2 ORDER BY s.name

-- name: connections_page
-- Connections of a tenant, of one server where $2 says which, beyond a person $3 and server $4; at most $5.
{{connection_row}}
WHERE c.tenant_id = $1 AND ($2::bigint IS NULL OR c.server_id = $2) AND (c.person_id, c.server_id) > ($3, $4)
ORDER BY c.person_id, c.server_id LIMIT $5

-- name: connect (connection)
-- What a person has connected; who renews what was there before can no longer save it.
WITH written AS (
    INSERT INTO connections AS c (tenant_id, person_id, server_id, id, kind, sealed, subject, scopes, expires_at,
                                  listing_agreed_at, person_name)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10::boolean THEN now() END, p.name
    FROM persons p WHERE p.tenant_id = $1 AND p.id = $2
    ON CONFLICT (tenant_id, person_id, server_id) DO UPDATE
    SET id = excluded.id, kind = excluded.kind, sealed = excluded.sealed, subject = excluded.subject,
        scopes = excluded.scopes, expires_at = excluded.expires_at, connected_at = now(),
        listing_agreed_at = excluded.listing_agreed_at, person_name = excluded.person_name,
        lock_holder = NULL, locked_until = NULL
    RETURNING c.*
), told AS (
    SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'person', $2::bigint, 'server', $3::bigint)::text)
    FROM written
)
SELECT written.* FROM written, told

-- name: disconnect (connection)
-- A connection ends; with an id only that one does.
WITH ended AS (
    DELETE FROM connections WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3 AND ($4::uuid IS NULL OR id = $4)
    RETURNING person_id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'person', $2::bigint, 'server', $3::bigint)::text)
FROM ended

-- name: agree_to_listing (connection)
-- Whether a connection may be used for listing what its server offers.
WITH agreed AS (
    UPDATE connections SET listing_agreed_at = CASE WHEN $4::boolean THEN coalesce(listing_agreed_at, now()) END
    WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3
    RETURNING server_id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint, 'person', $2::bigint, 'server', $3::bigint)::text)
FROM agreed

-- name: lock_connection
-- At most one renewal of a connection at a time, in whatever process, for so many seconds; nothing where somebody else is
-- at it, or it is another by now.
UPDATE connections SET lock_holder = $5, locked_until = now() + make_interval(secs => $6::float8)
WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3 AND id = $4
  AND (locked_until IS NULL OR locked_until < now())
RETURNING true

-- name: unlock_connection
-- A renewal is over.
UPDATE connections SET lock_holder = NULL, locked_until = NULL
WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3 AND lock_holder = $4

-- name: save_renewed_connection
-- What a renewal brought, from whoever holds the lock.
UPDATE connections SET sealed = $5, scopes = $6, expires_at = $7
WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3 AND lock_holder = $4

-- name: touch_connections
-- When connections were last used, written in batches.
UPDATE connections c SET last_used_at = greatest(c.last_used_at, u.used_at)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS u (tenant_id, person_id, server_id, used_at)
WHERE c.tenant_id = u.tenant_id AND c.person_id = u.person_id AND c.server_id = u.server_id

-- name: connections_sealed_otherwise
-- Connections beyond a person and server whose secret does not begin as texts that are sealed now.
SELECT tenant_id, person_id, server_id, id, sealed FROM connections
WHERE substring(sealed FOR length($1::bytea)) <> $1::bytea AND (tenant_id, person_id, server_id) > ($2, $3, $4)
ORDER BY tenant_id, person_id, server_id LIMIT $5::bigint

-- name: reseal_connection
-- The same secret sealed anew, unless it has changed.
UPDATE connections SET sealed = $5
WHERE tenant_id = $1 AND person_id = $2 AND server_id = $3 AND sealed = $4

-- name: insert_connection_link
-- A link for person $3 and server $4; those whose time is over go.
WITH swept AS (
    DELETE FROM connection_links WHERE expires_at < now() - interval '1 hour'
)
INSERT INTO connection_links (hash, tenant_id, person_id, server_id, key_id, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6::float8))

-- name: connection_link (lookup)
-- What a link is for, while it is good.
SELECT tenant_id, person_id, server_id, key_id FROM connection_links
WHERE hash = $1 AND used_at IS NULL AND expires_at > now()

-- name: use_connection_link
-- A link works once.
UPDATE connection_links SET used_at = now() WHERE hash = $1 AND used_at IS NULL AND expires_at > now() RETURNING true

-- name: personal_servers
-- Servers that let each person in as who they are.
SELECT id, name, description, personal, list_as FROM servers
WHERE tenant_id = $1 AND personal IS NOT NULL AND enabled ORDER BY name

-- name: connected_servers (lookup)
-- Which servers a person has connected.
SELECT server_id FROM connections WHERE tenant_id = $1 AND person_id = $2

-- name: connection_ids
-- Which connections there are, of tenants $1, persons $2 and servers $3.
SELECT c.tenant_id, c.person_id, c.server_id, c.id
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (tenant_id, person_id, server_id)
JOIN connections c ON c.tenant_id = u.tenant_id AND c.person_id = u.person_id AND c.server_id = u.server_id
