-- name: has_document
-- Whether the search cluster holds tool t: it does where the rules of some role could let it be found.
(t.removed_at IS NULL AND NOT t.quarantined AND t.disabled_at IS NULL AND NOT t.app_only)

-- name: document_checksum
-- What tells a document of tool t with vectors e, and what was learnt l, from an earlier one: 32 bits.
(hashtextextended(t.id || ' ' || t.changed_in::text || ' ' || coalesce(e.changed_in::text, '-') || ' '
                  || coalesce(l.changed_in::text, '-'), 0) & 4294967295)

-- name: lock_index_build
-- One process at a time begins an index for a space; the lock ends with the connection.
SELECT pg_advisory_lock(1836016461, $1::int)

-- name: feed_state (lookup)
-- The catalogue's version, and the transaction before which all is visible: what changes later has this id or a higher one.
SELECT catalogue_version, pg_snapshot_xmin(pg_current_snapshot())::text AS horizon FROM tenants WHERE id = $1

-- name: feed_tenants
-- The catalogue's version of each tenant.
SELECT id, catalogue_version FROM tenants ORDER BY id

-- name: feed_tools (bulk)
-- The documents of the tools after tool $2, in order, $3 at most: of those that changed in transaction $4 or later, or
-- whose vectors did. The ranking vector is the one that was learnt, where one was, with its correction.
SELECT t.id, t.server_id, t.category, t.exposed_name, t.term_count, NOT {{has_document}} AS removed,
       coalesce(l.ranking_embedding, e.ranking_embedding)::halfvec({dimensions}) AS ranking_embedding,
       coalesce(l.correction, 0) AS correction, {{document_checksum}} AS checksum,
       m.terms, m.counts
{{changed_tools}}
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(o.lexeme), '{}') AS terms, coalesce(array_agg(o.count), '{}') AS counts
    FROM tool_terms o WHERE o.tenant_id = $1 AND o.tool_id = t.id
) AS m
ORDER BY t.id

-- name: feed_documents (bulk)
-- How many documents a tenant has.
SELECT count(*) FROM tools t WHERE t.tenant_id = $1 AND {{has_document}}

-- name: feed_buckets (bulk)
-- How many documents each of $2 parts of a tenant has, and the sum of their checksums; none for an empty one.
SELECT t.id % $2::bigint AS bucket, count(*) AS documents, sum({{document_checksum}})::bigint AS checksum
FROM tools t
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
WHERE t.tenant_id = $1 AND {{has_document}}
GROUP BY 1

-- name: feed_bucket_tools (bulk)
-- The tools of parts $3 of $2 that have a document, with its checksum.
SELECT t.id, {{document_checksum}} AS checksum
FROM tools t
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
WHERE t.tenant_id = $1 AND {{has_document}} AND t.id % $2::bigint = ANY($3::bigint[])

-- name: feed_tools_by_id (bulk)
-- The documents of tools $2.
SELECT t.id, t.server_id, t.category, t.exposed_name, t.term_count, NOT {{has_document}} AS removed,
       coalesce(l.ranking_embedding, e.ranking_embedding)::halfvec({dimensions}) AS ranking_embedding,
       coalesce(l.correction, 0) AS correction, {{document_checksum}} AS checksum,
       m.terms, m.counts
FROM tools t
LEFT JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(o.lexeme), '{}') AS terms, coalesce(array_agg(o.count), '{}') AS counts
    FROM tool_terms o WHERE o.tenant_id = $1 AND o.tool_id = t.id
) AS m
WHERE t.tenant_id = $1 AND t.id = ANY($2::bigint[])

-- name: stale_documents (lookup)
-- Those of tools $2 whose documents are not those with checksums $3 any more, with their ranking vectors as they are now.
SELECT t.id, coalesce(l.ranking_embedding, e.ranking_embedding)::halfvec({dimensions}) AS ranking_embedding,
       coalesce(l.correction, 0) AS correction
FROM unnest($2::bigint[], $3::bigint[]) AS document (tool_id, checksum)
JOIN tools t ON t.tenant_id = $1 AND t.id = document.tool_id
LEFT JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
WHERE {{document_checksum}} <> document.checksum

-- name: visible_scope (lookup)
-- What roles $2 can find, server by server: how many of its documents, of how many, and which of them, as the ids of
-- whichever are fewer: those that they can find, or those that they cannot. A server that is off has none.
SELECT server_id, documents, visible,
       CASE WHEN visible < documents AND visible <= documents - visible THEN visible_ids ELSE '{}' END AS visible_ids,
       CASE WHEN visible < documents AND visible > documents - visible THEN hidden_ids ELSE '{}' END AS hidden_ids
FROM (
    SELECT t.server_id, count(*) AS documents, count(v.tool_id) AS visible,
           coalesce(array_agg(t.id) FILTER (WHERE v.tool_id IS NOT NULL), '{}') AS visible_ids,
           coalesce(array_agg(t.id) FILTER (WHERE v.tool_id IS NULL), '{}') AS hidden_ids
    FROM tools t LEFT JOIN visible_tools($1, $2) AS v ON v.tool_id = t.id
    WHERE t.tenant_id = $1 AND {{has_document}}
    GROUP BY t.server_id
) AS of_server
WHERE visible > 0

-- name: installation_id (lookup)
-- What tells this database from others.
SELECT id::text FROM installation

-- name: settle_installation
-- Another id where this is not the database that it was given to: the data directory has another number than that one's, or
-- the database in it has.
UPDATE installation
SET id = CASE WHEN database IS NULL THEN id ELSE gen_random_uuid() END,
    former_ids = CASE WHEN database IS NULL THEN former_ids ELSE array_append(former_ids, id) END,
    database = this.name
FROM (
    SELECT format('%s-%s', s.system_identifier, d.oid) AS name
    FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
) AS this
WHERE installation.database IS DISTINCT FROM this.name

-- name: former_installation_ids (lookup)
-- The ids that were those of the databases that this one was copied from.
SELECT unnest(former_ids)::text AS id FROM installation

-- name: feed_all_documents (bulk)
-- How many documents all tenants have.
SELECT count(*) FROM tools t WHERE {{has_document}}

-- name: feed_changes (bulk)
-- How many tools of tenants $1 changed in transaction $2 of each or later, or their vectors did.
SELECT coalesce(sum(changed.tools), 0)::bigint
FROM unnest($1::bigint[], $2::text[]) AS behind (tenant_id, horizon)
CROSS JOIN LATERAL (
    SELECT count(*) AS tools FROM (
        SELECT t.id FROM tools t WHERE t.tenant_id = behind.tenant_id AND t.changed_in >= behind.horizon::xid8
        UNION
        SELECT e.tool_id FROM tool_embeddings e
        WHERE e.tenant_id = behind.tenant_id AND e.space_id = {space} AND e.changed_in >= behind.horizon::xid8
        UNION
        SELECT l.tool_id FROM learnt_embeddings l
        WHERE l.tenant_id = behind.tenant_id AND l.space_id = {space} AND l.changed_in >= behind.horizon::xid8
    ) AS either
) AS changed

-- name: feed_report
-- What was said last of the feed, and whether that was more than $1 seconds ago.
SELECT tenants_behind, seconds, failure, written, reported_at,
       reported_at < now() - make_interval(secs => $1::double precision) AS silent
FROM feed_reports

-- name: write_feed_report
-- Keeps how many catalogues it is behind, for how many seconds, why it does not go on, and how much was written.
INSERT INTO feed_reports (tenants_behind, seconds, failure, written) VALUES ($1, $2, $3, $4)
ON CONFLICT (is_only) DO UPDATE
SET tenants_behind = excluded.tenants_behind, seconds = excluded.seconds, failure = excluded.failure, written = excluded.written,
    reported_at = now()
