-- name: lock_spaces
-- Held to the end of the transaction: two processes must not make the same index at once.
SELECT pg_advisory_xact_lock(1836016456)

-- name: register_space
-- An embedding space, known by its key from then on.
INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET key = excluded.key
RETURNING id

-- name: active_space
-- The space that searches use.
SELECT id, key, provider, model, dimensions, document_prefix, query_prefix FROM embedding_spaces WHERE active

-- name: activate_first_space
-- A first space serves at once.
UPDATE embedding_spaces SET active = true WHERE id = $1 AND NOT EXISTS (SELECT FROM embedding_spaces WHERE active)

-- name: deactivate_spaces
-- Before another becomes the active one; the index allows one at a time even within a statement.
UPDATE embedding_spaces SET active = false WHERE active AND id <> $1

-- name: activate_space
-- The swap: from its commit on searches use this space and no other.
UPDATE embedding_spaces SET active = true WHERE id = $1

-- name: notify_space
-- Tell every process that another space serves.
SELECT pg_notify('modelgate', json_build_object('space', $1::bigint)::text)

-- name: drop_space_index
-- The index of a space that is given up.
DROP INDEX IF EXISTS tool_embeddings_ranking_{space}

-- name: delete_space
-- A space with all its vectors.
DELETE FROM embedding_spaces WHERE id = $1 AND NOT active

-- name: create_space_index
-- The nearest-neighbour index of one space, over its own dimensions.
CREATE INDEX IF NOT EXISTS tool_embeddings_ranking_{space} ON tool_embeddings
USING hnsw ((ranking_embedding::halfvec({dimensions})) halfvec_ip_ops) WHERE space_id = {space}

-- name: cached_query_embedding
-- The vector of a query that was embedded before.
UPDATE query_embeddings SET used_at = now() WHERE space_id = $1 AND text_hash = $2 RETURNING embedding

-- name: store_query_embedding
-- Keep the vector of a query.
INSERT INTO query_embeddings (space_id, text_hash, embedding) VALUES ($1, $2, $3)
ON CONFLICT (space_id, text_hash) DO UPDATE SET used_at = now()

-- name: trim_query_embeddings
-- Keep the most recently used $1 vectors.
DELETE FROM query_embeddings WHERE used_at < (SELECT used_at FROM query_embeddings ORDER BY used_at DESC OFFSET $1 LIMIT 1)
