-- name: visible_tool_positions
-- The tools that roles $2 can find, with their positions in the same order.
SELECT coalesce(array_agg(t.id ORDER BY t.id), '{}') AS ids,
       coalesce(array_agg(t.position ORDER BY t.id), '{}') AS positions
FROM visible_tools($1, $2) AS v JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id

-- name: lexical_statistics
-- What BM25 needs to know of a tenant's catalogue: the number of tools and their mean length in lexemes.
SELECT count(*) AS tools, coalesce(avg(term_count), 0)::float8 AS mean_length
FROM tools WHERE tenant_id = $1 AND removed_at IS NULL

-- name: in_scope
-- Whether tool t is visible and in what the search is limited to: $2 bitmap of positions, $3 category or null, $4 server
-- id or null. A tool that came after the bitmap was made is not in it.
CASE WHEN t.position < 8 * length($2::bytea) THEN get_bit($2::bytea, t.position) = 1 ELSE false END
AND ($3::text IS NULL OR t.category = $3) AND ($4::bigint IS NULL OR t.server_id = $4)

-- name: dense_exact
-- The nearest of the tools $12 by comparing all of them: exact, and the faster way while they are few.
SELECT e.tool_id
FROM unnest($12::bigint[]) AS v (tool_id)
JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = v.tool_id AND e.space_id = {space}
WHERE $3::text IS NULL AND $4::bigint IS NULL
   OR EXISTS (SELECT FROM tools t WHERE t.tenant_id = $1 AND t.id = v.tool_id AND {{in_scope}})
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})
LIMIT $10

-- name: dense_limited
-- The same for many tools of which few are in the category or of the server that the search is limited to.
SELECT e.tool_id
FROM tools t
JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = t.id AND e.space_id = {space}
WHERE t.tenant_id = $1 AND {{in_scope}}
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})
LIMIT $10

-- name: dense_indexed
-- The nearest by the index, which goes on until it has enough that the caller may see.
SELECT e.tool_id
FROM tool_embeddings e
WHERE e.space_id = {space} AND e.tenant_id = $1
  AND (SELECT {{in_scope}} FROM tools t WHERE t.tenant_id = $1 AND t.id = e.tool_id)
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})
LIMIT $10

-- name: bm25
-- The BM25 of tool t by those of its words m that are in the query q: $7 mean length of tools, $8 k1, $9 b.
sum(q.idf * m.count * ($8::float8 + 1)
    / (m.count + $8::float8 * (1 - $9::float8 + $9::float8 * t.term_count / greatest($7::float8, 1))))

-- name: best_lexical
-- The best visible tools by BM25: $5 query text, $6 number of tools, $7 mean length, $8 k1, $9 b, $10 limit.
-- Words that stand in more than a twentieth of the tools, and in more than 200, tell nothing and are left out.
SELECT m.tool_id,
       {{bm25}} AS bm25
FROM lexemes q
JOIN tool_terms m ON m.tenant_id = $1 AND m.lexeme = q.lexeme
JOIN tools t ON t.tenant_id = $1 AND t.id = m.tool_id
WHERE NOT (q.found_in > 200 AND q.found_in > 0.05 * $6::float8) AND {{in_scope}}
GROUP BY m.tool_id
ORDER BY 2 DESC, m.tool_id
LIMIT $10

-- name: best_lexical_of_few
-- The same among the tools $12: what is not among them is left out before it is looked at.
SELECT m.tool_id,
       {{bm25}} AS bm25
FROM lexemes q
JOIN tool_terms m ON m.tenant_id = $1 AND m.lexeme = q.lexeme AND m.tool_id = ANY($12::bigint[])
JOIN tools t ON t.tenant_id = $1 AND t.id = m.tool_id
WHERE NOT (q.found_in > 200 AND q.found_in > 0.05 * $6::float8) AND {{in_scope}}
GROUP BY m.tool_id
ORDER BY 2 DESC, m.tool_id
LIMIT $10

-- name: query_lexemes
-- The stems of the query that the catalogue knows, each with its inverse document frequency.
SELECT w.lexeme, f.found_in, ln(1 + ($6::float8 - f.found_in + 0.5) / (f.found_in + 0.5)) AS idf
FROM unnest(tsvector_to_array(to_tsvector('english', $5::text))) AS w (lexeme)
CROSS JOIN LATERAL (
    SELECT count(*)::float8 AS found_in FROM tool_terms m WHERE m.tenant_id = $1 AND m.lexeme = w.lexeme
) AS f
WHERE f.found_in > 0

-- name: search_exact
-- Candidates of a query: the nearest by meaning and the best by words, each with its three cosines and its BM25.
WITH lexemes AS MATERIALIZED ({{query_lexemes}}),
dense AS MATERIALIZED ({{dense_exact}}),
lexical AS MATERIALIZED ({{best_lexical_of_few}})
{{candidates}}

-- name: search_limited
-- The same where the caller sees many tools and the search is limited to a category or a server.
WITH lexemes AS MATERIALIZED ({{query_lexemes}}),
dense AS MATERIALIZED ({{dense_limited}}),
lexical AS MATERIALIZED ({{best_lexical}})
{{candidates}}

-- name: search_indexed
-- The same with the index in place of the comparison with every visible tool.
WITH lexemes AS MATERIALIZED ({{query_lexemes}}),
dense AS MATERIALIZED ({{dense_indexed}}),
lexical AS MATERIALIZED ({{best_lexical}})
{{candidates}}

-- name: candidates
-- The union of both lists; cosines are computed for these few only.
SELECT c.tool_id,
       1 - (e.combined_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})) AS combined,
       1 - (e.name_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})) AS name,
       1 - (e.description_embedding::halfvec({dimensions}) <=> $11::halfvec({dimensions})) AS description,
       coalesce(l.bm25, 0)::float8 AS lexical,
       (SELECT coalesce(sum(idf) * ($8::float8 + 1), 0) FROM lexemes)::float8 AS lexical_ceiling
FROM (SELECT tool_id FROM dense UNION SELECT tool_id FROM lexical) AS c
LEFT JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = c.tool_id AND e.space_id = {space}
LEFT JOIN lexical l ON l.tool_id = c.tool_id

-- name: search_lexical
-- Candidates by words alone, while there are no vectors to compare with.
WITH lexemes AS MATERIALIZED ({{query_lexemes}}),
lexical AS MATERIALIZED ({{best_lexical}})
SELECT l.tool_id, NULL::float8 AS combined, NULL::float8 AS name, NULL::float8 AS description,
       l.bm25::float8 AS lexical, (SELECT coalesce(sum(idf) * ($8::float8 + 1), 0) FROM lexemes)::float8 AS lexical_ceiling
FROM lexical l

-- name: visible_server_id
-- The server called $3 (by name or slug), where roles $2 can find any of its tools.
SELECT s.id FROM servers s
WHERE s.tenant_id = $1 AND (s.name = $3 OR s.slug = $3)
  AND EXISTS (SELECT FROM tools t
              WHERE t.tenant_id = s.tenant_id AND t.server_id = s.id AND {{tool_visibility}} IS NOT NULL)
ORDER BY (s.name = $3) DESC LIMIT 1
