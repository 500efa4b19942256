-- name: scope_of_roles
-- How many tools these roles can find.
SELECT count(DISTINCT v.tool_id)
FROM role_tools v
WHERE v.tenant_id = $1 AND v.role_id = ANY($2::bigint[]) AND v.visibility >= 'SEARCH'
  AND NOT EXISTS (SELECT FROM role_tools d WHERE d.tenant_id = $1 AND d.role_id = ANY($2::bigint[])
                  AND d.tool_id = v.tool_id AND d.denied_explicitly)

-- name: corpus
-- What BM25 needs to know of a tenant's catalogue: the number of tools and their mean length in lexemes.
SELECT count(*) AS tools, coalesce(avg(term_count), 0)::float8 AS mean_length
FROM tools WHERE tenant_id = $1 AND removed_at IS NULL

-- name: visible_tools
-- The tools that a caller may find, filtered: $1 tenant, $2 roles, $3 category or null, $4 server id or null.
SELECT DISTINCT v.tool_id
FROM role_tools v
WHERE v.tenant_id = $1 AND v.role_id = ANY($2::bigint[]) AND v.visibility >= 'SEARCH'
  AND NOT EXISTS (SELECT FROM role_tools d WHERE d.tenant_id = $1 AND d.role_id = ANY($2::bigint[])
                  AND d.tool_id = v.tool_id AND d.denied_explicitly)
  AND ($3::text IS NULL AND $4::bigint IS NULL
       OR EXISTS (SELECT FROM tools f WHERE f.tenant_id = $1 AND f.id = v.tool_id
                  AND ($3::text IS NULL OR f.category = $3) AND ($4::bigint IS NULL OR f.server_id = $4)))

-- name: dense_exact
-- The nearest visible tools by comparing all of them: exact, and the faster way while they are few.
SELECT e.tool_id
FROM visible JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = visible.tool_id AND e.space_id = {space}
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> $9::halfvec({dimensions})
LIMIT $8

-- name: dense_indexed
-- The nearest visible tools by the index, which goes on until it has enough that the caller may see.
SELECT e.tool_id
FROM tool_embeddings e
WHERE e.space_id = {space} AND e.tenant_id = $1
  AND EXISTS (SELECT FROM visible WHERE visible.tool_id = e.tool_id)
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> $9::halfvec({dimensions})
LIMIT $8

-- name: best_lexical
-- The best visible tools by BM25 (k1 = 1.2, b = 0.75): $5 query text, $6 number of tools, $7 mean length, $8 limit.
-- Words that stand in more than a twentieth of the tools, and in more than 200, tell nothing and are left out.
-- Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
SELECT m.tool_id,
       sum(q.idf * m.count * 2.2 / (m.count + 1.2 * (0.25 + 0.75 * t.term_count / greatest($7::float8, 1)))) AS bm25
FROM lexemes q
JOIN tool_terms m ON m.tenant_id = $1 AND m.lexeme = q.lexeme
JOIN visible ON visible.tool_id = m.tool_id
JOIN tools t ON t.tenant_id = $1 AND t.id = m.tool_id
WHERE NOT (q.found_in > 200 AND q.found_in > 0.05 * $6::float8)
GROUP BY m.tool_id
ORDER BY 2 DESC, m.tool_id
LIMIT $8

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
WITH visible AS MATERIALIZED ({{visible_tools}}),
lexemes AS MATERIALIZED ({{query_lexemes}}),
dense AS MATERIALIZED ({{dense_exact}}),
lexical AS MATERIALIZED ({{best_lexical}})
{{candidates}}

-- name: search_indexed
-- The same with the index in place of the comparison with every visible tool.
WITH visible AS MATERIALIZED ({{visible_tools}}),
lexemes AS MATERIALIZED ({{query_lexemes}}),
dense AS MATERIALIZED ({{dense_indexed}}),
lexical AS MATERIALIZED ({{best_lexical}})
{{candidates}}

-- name: candidates
-- The union of both lists; cosines are computed for these few only.
SELECT c.tool_id,
       1 - (e.combined_embedding::halfvec({dimensions}) <=> $9::halfvec({dimensions})) AS combined,
       1 - (e.name_embedding::halfvec({dimensions}) <=> $9::halfvec({dimensions})) AS name,
       1 - (e.description_embedding::halfvec({dimensions}) <=> $9::halfvec({dimensions})) AS description,
       coalesce(l.bm25, 0)::float8 AS lexical,
       (SELECT coalesce(sum(idf) * 2.2, 0) FROM lexemes)::float8 AS lexical_ceiling
FROM (SELECT tool_id FROM dense UNION SELECT tool_id FROM lexical) AS c
LEFT JOIN tool_embeddings e ON e.tenant_id = $1 AND e.tool_id = c.tool_id AND e.space_id = {space}
LEFT JOIN lexical l ON l.tool_id = c.tool_id

-- name: search_lexical
-- Candidates by words alone, while there are no vectors to compare with.
WITH visible AS MATERIALIZED ({{visible_tools}}),
lexemes AS MATERIALIZED ({{query_lexemes}}),
lexical AS MATERIALIZED ({{best_lexical}})
SELECT l.tool_id, NULL::float8 AS combined, NULL::float8 AS name, NULL::float8 AS description,
       l.bm25::float8 AS lexical, (SELECT coalesce(sum(idf) * 2.2, 0) FROM lexemes)::float8 AS lexical_ceiling
FROM lexical l

-- name: named_tools
-- Visible tools whose exposed or own name is exactly this.
SELECT t.id FROM tools t
WHERE t.tenant_id = $1 AND (t.exposed_name = $5 OR t.name = $5) AND t.id IN ({{visible_tools}})

-- name: server_filter
-- The server that a search is narrowed to, where these roles can find any of its tools.
SELECT s.id FROM servers s
WHERE s.tenant_id = $1 AND (s.name = $3 OR s.slug = $3)
  AND EXISTS (SELECT FROM tools t JOIN role_tools v ON v.tenant_id = t.tenant_id AND v.tool_id = t.id
              WHERE t.tenant_id = s.tenant_id AND t.server_id = s.id
                AND v.role_id = ANY($2::bigint[]) AND v.visibility >= 'SEARCH')
ORDER BY (s.name = $3) DESC LIMIT 1
