-- name: catalogue_version (lookup)
-- What each change of a tenant's catalogue raises.
SELECT catalogue_version FROM tenants WHERE id = $1

-- name: index_state (lookup)
-- The catalogue's version, and the transaction before which all is visible: what changes later has this id or a higher one.
SELECT catalogue_version, pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
       (SELECT count(*) FROM tools t WHERE t.tenant_id = $1 AND t.removed_at IS NULL) AS tools
FROM tenants WHERE id = $1

-- name: index_servers
-- The names of a tenant's servers.
SELECT id, name, slug FROM servers WHERE tenant_id = $1

-- name: index_tool_ids (bulk)
-- All tools of a tenant that are there.
SELECT id FROM tools WHERE tenant_id = $1 AND removed_at IS NULL

-- name: is_of_this_database
-- Whether transaction $4 may be one of this database, and is not of the one that this was dumped from.
$4::text::xid8 <= pg_snapshot_xmax(pg_current_snapshot())

-- name: changed_from
-- The first transaction whose changes count where those from $4 on are asked for.
CASE WHEN {{is_of_this_database}} THEN $4::text::xid8 ELSE '0' END

-- name: changed_before
-- The transaction from which on none counts: it is none of this database, and so no change since.
CASE WHEN {{is_of_this_database}} AND $4::text <> '0' THEN pg_snapshot_xmax(pg_current_snapshot())
     ELSE '18446744073709551615' END

-- name: changed_tools
-- The tools t after tool $2, $3 at most in order, that changed in transaction $4 or later, or whose vectors did, with these
-- vectors e and what was learnt, l.
FROM (
    (SELECT id FROM tools
     WHERE tenant_id = $1 AND id > $2 AND changed_in >= {{changed_from}} AND changed_in < {{changed_before}}
     ORDER BY id LIMIT $3)
    UNION
    (SELECT tool_id FROM tool_embeddings
     WHERE tenant_id = $1 AND space_id = {space} AND tool_id > $2
       AND changed_in >= {{changed_from}} AND changed_in < {{changed_before}}
     ORDER BY tool_id LIMIT $3)
    UNION
    (SELECT tool_id FROM learnt_embeddings
     WHERE tenant_id = $1 AND space_id = {space} AND tool_id > $2
       AND changed_in >= {{changed_from}} AND changed_in < {{changed_before}}
     ORDER BY tool_id LIMIT $3)
    ORDER BY 1 LIMIT $3
) AS changed
JOIN tools t ON t.tenant_id = $1 AND t.id = changed.id
LEFT JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}

-- name: index_tools (bulk)
-- What the index in memory holds of each tool after tool $2, in order, $3 at most: of those that changed in transaction
-- $4 or later, or whose vectors did. The ranking vector is the one that was learnt, where one was, with its correction.
SELECT t.id, t.position, t.server_id, t.category, t.exposed_name, t.name, t.title, t.description,
       t.input_schema, t.annotations, t.definition -> 'icons' AS icons, t.term_count,
       t.removed_at IS NOT NULL AS removed, t.generated_name IS NOT NULL AS is_renamed,
       coalesce(l.ranking_embedding, e.ranking_embedding)::halfvec({dimensions}) AS ranking_embedding,
       coalesce(l.correction, 0) AS correction
{{changed_tools}}
ORDER BY t.id

-- name: plan_by_values
-- For this transaction, plan each statement for its values: a plan for any part of any catalogue goes through all of it.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: index_terms (bulk)
-- The terms of tools $2 and how often each holds them.
SELECT tool_id, array_agg(lexeme) AS terms, array_agg(count) AS counts
FROM tool_terms WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) GROUP BY tool_id

-- name: tools_in_scope (lookup)
-- Those of the tools $5 that are in scope.
SELECT t.id FROM tools t WHERE t.tenant_id = $1 AND t.id = ANY($5::bigint[]) AND {{in_scope}}

-- name: sampled_in_scope
-- The tools at the positions $5 that are in scope.
SELECT t.id FROM tools t WHERE t.tenant_id = $1 AND t.position = ANY($5::integer[]) AND {{in_scope}}

-- name: scope_corpus
-- The tools in scope: how many, and their mean length in terms. A tool without a word is there all the same.
SELECT count(*) AS tools, coalesce(avg(greatest(t.term_count, 1)), 0)::float8 AS mean_length
FROM tools t WHERE t.tenant_id = $1 AND {{in_scope}}

-- name: scope_frequencies
-- In how many tools in scope each of the terms $5 stands, where it does.
SELECT m.lexeme, count(*) AS found_in
FROM tool_terms m JOIN tools t ON t.tenant_id = m.tenant_id AND t.id = m.tool_id
WHERE m.tenant_id = $1 AND m.lexeme = ANY($5::text[]) AND {{in_scope}}
GROUP BY m.lexeme

-- name: scope_postings
-- The tools in scope that hold each of the terms $5, how often, and how long they are.
SELECT m.lexeme, array_agg(m.tool_id) AS tool_ids, array_agg(m.count) AS counts,
       array_agg(greatest(t.term_count, 1)) AS lengths
FROM tool_terms m JOIN tools t ON t.tenant_id = m.tenant_id AND t.id = m.tool_id
WHERE m.tenant_id = $1 AND m.lexeme = ANY($5::text[]) AND {{in_scope}}
GROUP BY m.lexeme

-- name: nearest_in_scope
-- The tools in scope that are nearest to query vector $5, by the index of the space: $6 of them, or nearly so.
SELECT e.tool_id
FROM tool_embeddings e
WHERE e.space_id = {space} AND e.tenant_id = $1
  AND (SELECT {{in_scope}} FROM tools t WHERE t.tenant_id = $1 AND t.id = e.tool_id)
ORDER BY e.ranking_embedding::halfvec({dimensions}) <#> $5::halfvec({dimensions})
LIMIT $6

-- name: nearest_learnt_in_scope
-- The same of the tools of which something is learnt, by what is learnt.
SELECT l.tool_id
FROM learnt_embeddings l
JOIN tool_embeddings e ON {{learnt_of_embedding}}
WHERE l.space_id = {space} AND l.tenant_id = $1
  AND (SELECT {{in_scope}} FROM tools t WHERE t.tenant_id = $1 AND t.id = l.tool_id)
ORDER BY (l.ranking_embedding::halfvec({dimensions}) <#> $5::halfvec({dimensions})) + l.correction
LIMIT $6

-- name: widen_index_scan
-- For this transaction, let the nearest-neighbour index look far enough for a thousand tools that one may see.
SELECT set_config('hnsw.ef_search', '1000', true), set_config('hnsw.max_scan_tuples', '200000', true)

-- name: scope_cosines
-- The tools in scope (null for $6: all, else those among $6) by id, with their servers and the product of the ranking
-- vector and query vector $5, null where there is none: of the one that was learnt, less its correction, where one was.
SELECT coalesce(array_agg(t.id ORDER BY t.id), '{}') AS ids,
       coalesce(array_agg(t.server_id ORDER BY t.id), '{}') AS servers,
       coalesce(array_agg(-(coalesce(l.ranking_embedding, e.ranking_embedding)::vector({dimensions}) <#> $5::vector({dimensions}))
                          - coalesce(l.correction, 0) ORDER BY t.id), '{}') AS cosines
FROM tools t
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = {space}
LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
WHERE t.tenant_id = $1 AND ($6::bigint[] IS NULL OR t.id = ANY($6)) AND {{in_scope}}

-- name: count_ranking_vectors
-- How many tools of a tenant that are there have a ranking vector in a space.
SELECT count(*) FROM tool_embeddings e
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
WHERE e.tenant_id = $1 AND e.space_id = {space} AND e.ranking_embedding IS NOT NULL

-- name: sampled_ranking_vectors
-- Every $2th ranking vector of a tenant in a space.
SELECT ranking_embedding
FROM (
    SELECT coalesce(l.ranking_embedding, e.ranking_embedding) AS ranking_embedding, t.position,
           row_number() OVER (ORDER BY t.position) - 1 AS place
    FROM tool_embeddings e
    JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
    LEFT JOIN learnt_embeddings l ON {{learnt_of_embedding}}
    WHERE e.tenant_id = $1 AND e.space_id = {space} AND e.ranking_embedding IS NOT NULL
) AS with_vector
WHERE place % $2::integer = 0
ORDER BY position

-- name: stored_baseline (lookup)
-- What everyday requests with hash $3 found in a tenant's tools in space $2, over how many vectors, unless measured longer
-- than $4 seconds ago.
SELECT vectors, mean, deviation FROM cosine_baselines
WHERE tenant_id = $1 AND space_id = $2 AND requests_hash = $3 AND measured_at > now() - make_interval(secs => $4)

-- name: store_baseline
-- Keep what everyday requests with hash $3 found in a tenant's $4 vectors in space $2: mean and deviation.
INSERT INTO cosine_baselines (tenant_id, space_id, requests_hash, vectors, mean, deviation)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, space_id) DO UPDATE SET requests_hash = excluded.requests_hash, vectors = excluded.vectors,
    mean = excluded.mean, deviation = excluded.deviation, measured_at = now()

-- name: recently_used_tenants
-- The tenants with tools, and how many, of which a key was used in the last $1 days, the one used last first.
SELECT used.tenant_id, counted.tools
FROM (SELECT tenant_id, max(last_used_at) AS used_at FROM api_keys
      WHERE last_used_at > now() - make_interval(secs => $1 * 86400) GROUP BY tenant_id) AS used
JOIN tenants t ON t.id = used.tenant_id AND t.suspended_at IS NULL
CROSS JOIN LATERAL (SELECT count(*) AS tools FROM tools
                    WHERE tools.tenant_id = used.tenant_id AND tools.removed_at IS NULL) AS counted
WHERE counted.tools > 0
ORDER BY used.used_at DESC, used.tenant_id
