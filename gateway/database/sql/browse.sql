-- name: filtered_tools
-- Tools of a tenant as an admin looks for them. $1 tenant, $2 space, $3 text, $4 server id, $5 category, $6 state,
-- $7 role id, $8 visibility for that role; null: whatever it is.
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN role_tools v ON v.tenant_id = t.tenant_id AND v.tool_id = t.id AND v.role_id = $7::bigint
WHERE t.tenant_id = $1
  AND ($3::text IS NULL OR t.exposed_name ILIKE $3 OR t.name ILIKE $3 OR t.description ILIKE $3)
  AND ($4::bigint IS NULL OR t.server_id = $4)
  AND ($5::text IS NULL OR t.category = $5)
  AND ($8::text IS NULL OR coalesce(v.visibility, 'DENY') = $8::text::visibility)
  AND CASE coalesce($6::text, 'present')
      WHEN 'present' THEN t.removed_at IS NULL
      WHEN 'removed' THEN t.removed_at IS NOT NULL
      WHEN 'quarantined' THEN t.removed_at IS NULL AND t.quarantined
      WHEN 'changed' THEN t.removed_at IS NULL AND t.approved_hash IS DISTINCT FROM t.content_hash
      WHEN 'flagged' THEN t.removed_at IS NULL AND EXISTS (
          SELECT FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id AND f.dismissed_at IS NULL)
      WHEN 'unembedded' THEN t.removed_at IS NULL AND NOT EXISTS (
          SELECT FROM tool_embeddings e WHERE e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = $2)
      ELSE true END

-- name: filtered_tools_page
-- A page of them in the order of exposed names, from after $9 on, $10 long.
SELECT t.id, t.name, t.exposed_name, t.title, left(t.description, 400) AS description, t.category, t.server_id,
       s.name AS server_name, t.removed_at, t.updated_at, s.enabled AS server_enabled, v.visibility::text AS visibility,
       EXISTS (SELECT FROM tool_embeddings e WHERE e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = $2)
           AS embedded,
       t.quarantine, t.removed_at IS NULL AND t.approved_hash IS DISTINCT FROM t.content_hash AS changed,
       (SELECT count(*) FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id
        AND f.dismissed_at IS NULL) AS flags
{{filtered_tools}}
  AND ($9::text IS NULL OR t.exposed_name > $9)
ORDER BY t.exposed_name
LIMIT $10

-- name: count_filtered_tools
-- How many they are in all.
SELECT count(*) {{filtered_tools}}

-- name: tool_detail
-- All of one tool.
SELECT t.id, t.name, t.exposed_name, t.title, t.description, t.category, t.definition, t.server_id,
       s.name AS server_name, s.enabled AS server_enabled, t.removed_at, t.created_at, t.updated_at, t.term_count
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.id = $2

-- name: tool_spaces
-- The spaces in which a tool has vectors.
SELECT p.provider, p.model, p.dimensions, p.active
FROM tool_embeddings e JOIN embedding_spaces p ON p.id = e.space_id
WHERE e.tenant_id = $1 AND e.tool_id = $2
ORDER BY p.active DESC, p.id

-- name: tool_visibility_by_role
-- What each role sees of a tool, and by which rule.
SELECT r.id AS role_id, r.name AS role, coalesce(v.visibility, 'DENY')::text AS visibility, v.rule_id
FROM roles r
LEFT JOIN role_tools v ON v.tenant_id = r.tenant_id AND v.role_id = r.id AND v.tool_id = $2
WHERE r.tenant_id = $1 AND r.kind = 'role'
ORDER BY r.name

-- name: similar_tools
-- The tools nearest in meaning to one, itself left out; the cosine of their combined texts.
SELECT t.id, t.name, t.exposed_name, t.server_id, s.name AS server_name, left(t.description, 400) AS description,
       1 - (e.combined_embedding::halfvec({dimensions}) <=> o.combined_embedding::halfvec({dimensions})) AS similarity
FROM tool_embeddings o
JOIN tool_embeddings e ON e.tenant_id = o.tenant_id AND e.space_id = {space} AND e.tool_id <> o.tool_id
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE o.tenant_id = $1 AND o.tool_id = $2 AND o.space_id = {space}
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> o.combined_embedding::halfvec({dimensions})
LIMIT $3

-- name: nearest_hidden_tools
-- The nearest tools that these roles may not find: $3 the query's vector, $4 how many.
SELECT e.tool_id AS id, t.exposed_name, t.name, s.name AS server_name, t.category,
       -(e.ranking_embedding::halfvec({dimensions}) <#> $3::halfvec({dimensions})) AS similarity
FROM tool_embeddings e
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE e.tenant_id = $1 AND e.space_id = {space}
  AND {{tool_visibility}} IS NULL
ORDER BY e.ranking_embedding::halfvec({dimensions}) <#> $3::halfvec({dimensions})
LIMIT $4

-- name: visible_tools_size
-- How many tools these roles may find, and the characters of listing them all.
SELECT count(*) AS tools, coalesce(sum(length(t.definition::text)), 0)::bigint AS characters
FROM visible_tools($1, $2) AS v JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id

-- name: spaces_with_tool_counts
-- Each space with how many tools of a tenant have vectors in it, and of how many a text was refused or cut.
SELECT p.id, p.provider, p.model, p.dimensions, p.active, p.created_at, n.tools, n.refused, n.cut
FROM embedding_spaces p, LATERAL (
    SELECT count(*) FILTER (WHERE e.ranking_embedding IS NOT NULL) AS tools,
           count(*) FILTER (WHERE e.refused <> '{}') AS refused, count(*) FILTER (WHERE e.cut <> '{}') AS cut
    FROM tool_embeddings e
    JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
    WHERE e.tenant_id = $1 AND e.space_id = p.id
) AS n
ORDER BY p.active DESC, p.id

-- name: refused_texts
-- Tools of a tenant of which the embedder of a space refuses a text, with its reasons by text; $3 at most.
SELECT t.exposed_name AS tool, e.refused
FROM tool_embeddings e
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
WHERE e.tenant_id = $1 AND e.space_id = $2 AND e.refused <> '{}'
ORDER BY t.exposed_name
LIMIT $3

-- name: server_review_counts
-- For each server what happens to tools that change, and how many of its tools are in quarantine.
SELECT s.id, s.on_change, coalesce(q.tools, 0) AS quarantined
FROM servers s
LEFT JOIN (SELECT server_id, count(*) AS tools FROM tools
           WHERE tenant_id = $1 AND removed_at IS NULL AND quarantined GROUP BY server_id) q ON q.server_id = s.id
WHERE s.tenant_id = $1

-- name: overview_counts
-- What there is in a tenant.
SELECT (SELECT count(*) FROM servers WHERE tenant_id = $1) AS servers,
       (SELECT count(*) FROM servers WHERE tenant_id = $1 AND enabled AND sync_error IS NOT NULL) AS failing_servers,
       (SELECT count(*) FROM tools WHERE tenant_id = $1 AND removed_at IS NULL) AS tools,
       (SELECT count(*) FROM roles WHERE tenant_id = $1 AND kind = 'role') AS roles,
       (SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now())) AS keys

-- name: role_matrix
-- For each server what a role sees of its tools, and the rule about the server.
SELECT s.id AS server_id, s.name AS server, s.enabled, count(t.id) AS tools,
       count(*) FILTER (WHERE v.visibility = 'ALLOW') AS allowed,
       count(*) FILTER (WHERE v.visibility = 'SEARCH') AS searchable,
       count(*) FILTER (WHERE t.id IS NOT NULL AND coalesce(v.visibility, 'DENY') = 'DENY') AS denied,
       (SELECT u.id FROM role_rules u WHERE u.tenant_id = $1 AND u.role_id = $2 AND u.server_id = s.id) AS rule_id,
       (SELECT u.visibility::text FROM role_rules u WHERE u.tenant_id = $1 AND u.role_id = $2 AND u.server_id = s.id)
           AS rule
FROM servers s
LEFT JOIN tools t ON t.tenant_id = s.tenant_id AND t.server_id = s.id AND t.removed_at IS NULL
LEFT JOIN role_tools v ON v.tenant_id = t.tenant_id AND v.tool_id = t.id AND v.role_id = $2
WHERE s.tenant_id = $1
GROUP BY s.tenant_id, s.id
ORDER BY s.name

-- name: tenants_with_counts
-- All tenants with what they hold.
SELECT t.id, t.slug, t.name, t.suspended_at,
       (SELECT count(*) FROM servers s WHERE s.tenant_id = t.id) AS servers,
       (SELECT count(*) FROM tools o WHERE o.tenant_id = t.id AND o.removed_at IS NULL) AS tools,
       (SELECT count(*) FROM api_keys k WHERE k.tenant_id = t.id AND k.revoked_at IS NULL) AS keys
FROM tenants t ORDER BY t.name, t.slug

-- name: tools_by_id
-- Tools by number.
SELECT t.id, t.name, t.exposed_name, t.category, s.name AS server_name
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.id = ANY($2::bigint[])
