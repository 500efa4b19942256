-- name: lock_spaces
-- Held to the end of the transaction: two processes must not make the same index at once.
SELECT pg_advisory_xact_lock(1836016456)

-- name: adopt_space
-- A space of which it was not known by which weights it was made takes those that are seen first, $8, and its key.
UPDATE embedding_spaces SET build = $8, key = $1, probe_embeddings = coalesce(probe_embeddings, $7::real[])
WHERE provider = $2 AND model = $3 AND dimensions = $4 AND document_prefix = $5 AND query_prefix = $6
  AND build = '' AND NOT is_gone AND NOT EXISTS (SELECT FROM embedding_spaces o WHERE o.key = $1)

-- name: register_space
-- An embedding space, known by its key from then on.
INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix, probe_embeddings, build)
VALUES ($1, $2, $3, $4, $5, $6, $7::real[], $8)
ON CONFLICT (key) DO UPDATE SET key = excluded.key, is_gone = false
RETURNING id

-- name: stored_spaces
-- Every space, the active one first; then the newest.
SELECT id, key, provider, model, dimensions, document_prefix, query_prefix, build, probe_embeddings, active, is_gone,
       share, paused, filled_at, retired_at, created_at, languages, is_standby
FROM embedding_spaces ORDER BY active DESC, id DESC

-- name: active_space
-- The space that searches use.
SELECT id, dimensions FROM embedding_spaces WHERE active

-- name: activate_first_space
-- A first space serves at once.
UPDATE embedding_spaces SET active = true WHERE id = $1 AND NOT EXISTS (SELECT FROM embedding_spaces WHERE active)

-- name: deactivate_spaces
-- Before another becomes the active one; the index allows one at a time even within a statement.
UPDATE embedding_spaces
SET active = false, share = 0, retired_at = CASE WHEN is_standby THEN retired_at ELSE coalesce(retired_at, now()) END
WHERE id <> $1

-- name: activate_space
-- The swap: from its commit on searches use this space and no other.
UPDATE embedding_spaces SET active = true, share = 0, paused = '', retired_at = NULL WHERE id = $1

-- name: notify_space
-- Tell every process that a space is not what it was.
SELECT pg_notify('modelgate', json_build_object('space', $1::bigint)::text)

-- name: notify_serving_space
-- Tell every process that this space serves now.
SELECT pg_notify('modelgate', json_build_object('space', $1::bigint, 'serving', $1::bigint)::text)

-- name: set_space_languages
-- Let a space answer queries in these languages.
UPDATE embedding_spaces SET languages = $2::text[], retired_at = CASE WHEN active THEN retired_at END
WHERE id = $1 AND (languages <> $2::text[] OR retired_at IS NOT NULL)

-- name: clear_space_languages
-- Spaces other than $1 are for no languages any more; from now on they count as former ones.
UPDATE embedding_spaces
SET languages = '{}', retired_at = CASE WHEN active OR is_standby THEN retired_at ELSE coalesce(retired_at, now()) END
WHERE id <> ALL($1::bigint[]) AND languages <> '{}'

-- name: set_standby_space
-- Space $1 stands by for the others, and no other one does; those that did so before count as former ones from now on.
UPDATE embedding_spaces
SET is_standby = NOT is_standby, retired_at = CASE WHEN active OR NOT is_standby THEN NULL ELSE coalesce(retired_at, now()) END
WHERE is_standby <> coalesce(id = $1::bigint, false)
RETURNING id

-- name: reinstate_space
-- A former space is to serve once more.
UPDATE embedding_spaces SET retired_at = NULL WHERE id = $1 AND retired_at IS NOT NULL RETURNING id

-- name: share_space
-- Let a space answer $2 percent of the searches beside the active one, and no other one any.
UPDATE embedding_spaces SET share = CASE WHEN id = $1 THEN $2::integer ELSE 0 END, paused = CASE WHEN id = $1 THEN '' ELSE paused END
WHERE NOT active

-- name: pause_space
-- Neither fill nor switch to a space until that is taken back; $2 says why, empty takes it back.
UPDATE embedding_spaces SET paused = $2 WHERE id = $1

-- name: mark_space_gone
-- The weights that made its vectors are not there any more.
UPDATE embedding_spaces SET is_gone = true, share = 0 WHERE id = $1

-- name: mark_space_filled
-- Every tool has its vectors in this space.
UPDATE embedding_spaces SET filled_at = now() WHERE id = $1

-- name: lease_space
-- Fill a space for the next $3 seconds, as process $2; no row where another process does so.
UPDATE embedding_spaces SET filler = $2, filler_until = now() + $3 * interval '1 second'
WHERE id = $1 AND (filler = $2 OR filler_until IS NULL OR filler_until < now())
RETURNING id

-- name: release_space
-- This process fills it no longer.
UPDATE embedding_spaces SET filler_until = NULL WHERE id = $1 AND filler = $2

-- name: expired_spaces
-- Spaces that ceased to serve $1 hours ago, but for those in $2.
SELECT id FROM embedding_spaces
WHERE NOT active AND NOT is_standby AND languages = '{}' AND retired_at <= now() - $1 * interval '1 hour' AND id <> ALL($2::bigint[])

-- name: lacking_vectors
-- Of how many tools of all tenants the active space lacks vectors: those not made yet, and those that are refused.
SELECT count(*) FILTER (WHERE e.tool_id IS NULL OR NOT e.is_complete) AS missing,
       count(*) FILTER (WHERE e.refused <> '{}') AS refused
FROM embedding_spaces p
JOIN tools t ON t.removed_at IS NULL
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = p.id
WHERE p.active

-- name: space_progress
-- How many tools there are in all tenants, and how many have their vectors in each space.
SELECT p.id, (SELECT count(*) FROM tools t WHERE t.removed_at IS NULL) AS tools,
       (SELECT count(*) FROM tool_embeddings e
        JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
        WHERE e.space_id = p.id AND e.is_complete) AS embedded
FROM embedding_spaces p

-- name: drop_space_index (bulk)
-- The index of a space that is given up.
DROP INDEX CONCURRENTLY IF EXISTS tool_embeddings_ranking_{space}

-- name: delete_space (bulk)
-- A space with all its vectors.
DELETE FROM embedding_spaces WHERE id = $1 AND NOT active

-- name: broken_space_index
-- The index of a space, where its making was cut off: it is of no use, and in the way of another.
SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname = 'tool_embeddings_ranking_' || $1::bigint AND NOT i.indisvalid

-- name: create_space_index (bulk)
-- The nearest-neighbour index of one space, over its own dimensions.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tool_embeddings_ranking_{space} ON tool_embeddings
USING hnsw ((ranking_embedding::halfvec({dimensions})) halfvec_ip_ops) WHERE space_id = {space}

-- name: cached_query_embedding (lookup)
-- The vector of a query that was made in the last $3 seconds, and how many seconds ago.
UPDATE query_embeddings SET used_at = now()
WHERE space_id = $1 AND text_hash = $2 AND made_at > now() - $3 * interval '1 second'
RETURNING embedding, extract(epoch FROM now() - made_at)::float8 AS age

-- name: store_query_embedding (lookup)
-- Keep the vector of a query.
INSERT INTO query_embeddings (space_id, text_hash, embedding) VALUES ($1, $2, $3)
ON CONFLICT (space_id, text_hash) DO UPDATE SET embedding = excluded.embedding, made_at = now(), used_at = now()

-- name: trim_query_embeddings
-- Keep the most recently used $1 vectors, of those that were made in the last $2 seconds.
DELETE FROM query_embeddings WHERE made_at <= now() - $2 * interval '1 second'
   OR used_at < (SELECT used_at FROM query_embeddings ORDER BY used_at DESC OFFSET $1 LIMIT 1)

-- name: count_query_embeddings
-- Of how many queries there are vectors that were made in the last $1 seconds.
SELECT count(*) FROM query_embeddings WHERE made_at > now() - $1 * interval '1 second'

-- name: clear_query_embeddings
-- Forget the vectors of all queries, here and in every process; how many there were.
WITH gone AS (DELETE FROM query_embeddings RETURNING space_id), counted AS (SELECT count(*) AS count FROM gone)
SELECT count, pg_notify('modelgate', json_build_object('queries', count)::text) FROM counted
