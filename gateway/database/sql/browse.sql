-- name: is_pinned
-- Whether a role lists tool t to everybody who has it, by a rule about this very tool.
EXISTS (SELECT FROM role_rules u JOIN roles r ON r.tenant_id = u.tenant_id AND r.id = u.role_id AND r.kind = 'role'
        WHERE u.tenant_id = t.tenant_id AND u.tool_id = t.id AND u.visibility = 'ALLOW')

-- name: serving_space
-- The number of the space that searches use; null while there is none.
SELECT id FROM embedding_spaces WHERE active

-- name: tool_sort_key
-- What tools t of servers s are sorted by, $11, before their exposed names; the latest change first.
CASE $11::text WHEN 'server' THEN lower(s.name) WHEN 'category' THEN t.category
     WHEN 'changed' THEN lpad((9999999999999 - extract(epoch FROM t.updated_at) * 1000)::bigint::text, 13, '0')
     ELSE '' END

-- name: filtered_tools
-- Tools of a tenant as an admin looks for them. $1 tenant, $2 text, $3 server id, $4 category, $5 state, $6 role
-- id, $7 visibility for that role; null: whatever it is.
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN role_tools v ON v.tenant_id = t.tenant_id AND v.tool_id = t.id AND v.role_id = $6::bigint
WHERE t.tenant_id = $1
  AND ($2::text IS NULL OR t.exposed_name ILIKE $2 OR t.name ILIKE $2 OR t.description ILIKE $2)
  AND ($3::bigint IS NULL OR t.server_id = $3)
  AND ($4::text IS NULL OR t.category = $4)
  AND ($7::text IS NULL OR CASE WHEN v.disabled THEN 'DENY' ELSE coalesce(v.visibility, 'DENY') END = $7::text::visibility)
  AND CASE coalesce($5::text, 'present')
      WHEN 'present' THEN t.removed_at IS NULL
      WHEN 'removed' THEN t.removed_at IS NOT NULL
      WHEN 'disabled' THEN t.removed_at IS NULL AND t.disabled_at IS NOT NULL
      WHEN 'overridden' THEN EXISTS (SELECT FROM tool_overrides o WHERE o.tenant_id = t.tenant_id AND o.tool_id = t.id)
      WHEN 'pinned' THEN t.removed_at IS NULL AND {{is_pinned}}
      WHEN 'miscategorised' THEN t.removed_at IS NULL AND t.proposed_category <> t.category
      WHEN 'quarantined' THEN t.removed_at IS NULL AND t.quarantined
      WHEN 'changed' THEN t.removed_at IS NULL AND t.approved_hash IS DISTINCT FROM t.content_hash
      WHEN 'flagged' THEN t.removed_at IS NULL AND EXISTS (
          SELECT FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id AND f.dismissed_at IS NULL)
      WHEN 'unembedded' THEN t.removed_at IS NULL AND NOT EXISTS (
          SELECT FROM tool_embeddings e WHERE e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = ({{serving_space}}))
      ELSE true END

-- name: filtered_tools_page
-- A page of them, $9 long, in the order $11, then of exposed names: from after the tool with the sort key $8 and the
-- exposed name $10 on.
SELECT t.id, t.name, t.exposed_name, t.title, left(t.description, 400) AS description, t.category, t.server_id,
       s.name AS server_name, t.removed_at, t.updated_at, s.enabled AS server_enabled,
       CASE WHEN v.disabled THEN 'DENY' ELSE v.visibility::text END AS visibility, t.disabled_at, {{is_pinned}} AS pinned,
       EXISTS (SELECT FROM tool_overrides o WHERE o.tenant_id = t.tenant_id AND o.tool_id = t.id) AS overridden,
       {{tool_sort_key}} AS sort_key,
       EXISTS (SELECT FROM tool_embeddings e WHERE e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = ({{serving_space}}))
           AS embedded,
       t.quarantine, t.removed_at IS NULL AND t.approved_hash IS DISTINCT FROM t.content_hash AS changed,
       (SELECT count(*) FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id
        AND f.dismissed_at IS NULL) AS flags
{{filtered_tools}}
  AND ($8::text IS NULL OR ({{tool_sort_key}}, t.exposed_name) > ($8, $10))
ORDER BY {{tool_sort_key}}, t.exposed_name
LIMIT $9

-- name: count_filtered_tools
-- How many they are in all.
SELECT count(*) {{filtered_tools}}

-- name: tool_detail
-- All of one tool.
SELECT t.id, t.name, t.exposed_name, t.title, t.description, t.category, t.definition, t.server_id,
       s.name AS server_name, s.enabled AS server_enabled, t.removed_at, t.created_at, t.updated_at, t.term_count,
       t.disabled_at, t.proposed_category, coalesce(t.upstream_definition, t.definition) AS upstream_definition,
       coalesce(t.generated_name, t.exposed_name) AS generated_name,
       coalesce(t.default_category, t.category) AS default_category
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
SELECT r.id AS role_id, r.name AS role, v.rule_id, u.visibility::text AS tool_rule,
       CASE WHEN v.disabled THEN 'DENY' ELSE coalesce(v.visibility, 'DENY')::text END AS visibility
FROM roles r
LEFT JOIN role_tools v ON v.tenant_id = r.tenant_id AND v.role_id = r.id AND v.tool_id = $2
LEFT JOIN role_rules u ON u.tenant_id = r.tenant_id AND u.role_id = r.id AND u.tool_id = $2
WHERE r.tenant_id = $1 AND r.kind = 'role'
ORDER BY r.name

-- name: visible_to_roles
-- Whether tool `t` is among what roles $2 can find; null of roles is everything.
($2::bigint[] IS NULL OR t.id IN (SELECT v.tool_id FROM visible_tools($1, $2) AS v))

-- name: is_findable_tool
-- Whether roles $2 can find tool $3, or whoever sees everything, removed tools among it.
SELECT EXISTS (SELECT FROM tools t WHERE t.tenant_id = $1 AND t.id = $3 AND {{visible_to_roles}})

-- name: similar_tools
-- The tools nearest in meaning to tool $3, itself left out; the cosine of their combined texts.
SELECT t.id, t.name, t.exposed_name, t.server_id, s.name AS server_name, left(t.description, 400) AS description,
       1 - (e.combined_embedding::halfvec({dimensions}) <=> o.combined_embedding::halfvec({dimensions})) AS similarity
FROM tool_embeddings o
JOIN tool_embeddings e ON e.tenant_id = o.tenant_id AND e.space_id = {space} AND e.tool_id <> o.tool_id
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE o.tenant_id = $1 AND o.tool_id = $3 AND o.space_id = {space}
  AND o.combined_embedding IS NOT NULL AND e.combined_embedding IS NOT NULL AND {{visible_to_roles}}
ORDER BY e.combined_embedding::halfvec({dimensions}) <=> o.combined_embedding::halfvec({dimensions}), t.id
LIMIT $4

-- name: compared_tools
-- Up to $4 tools that roles $2 can find, each with its combined vector in space $3.
SELECT t.id, t.name, t.exposed_name, t.server_id, s.name AS server_name, left(t.description, 400) AS description,
       e.combined_embedding AS vector
FROM tool_embeddings e
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE e.tenant_id = $1 AND e.space_id = $3 AND e.combined_embedding IS NOT NULL AND {{visible_to_roles}}
ORDER BY t.id
LIMIT $4

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
-- For each server what happens to tools that change, and how many of its tools are in quarantine, and flagged.
SELECT s.id, s.on_change, coalesce(q.tools, 0) AS quarantined, coalesce(g.tools, 0) AS flagged
FROM servers s
LEFT JOIN (SELECT server_id, count(*) AS tools FROM tools
           WHERE tenant_id = $1 AND removed_at IS NULL AND quarantined GROUP BY server_id) q ON q.server_id = s.id
LEFT JOIN (SELECT t.server_id, count(DISTINCT t.id) AS tools
           FROM tool_flags f JOIN tools t ON t.tenant_id = f.tenant_id AND t.id = f.tool_id
           WHERE f.tenant_id = $1 AND f.dismissed_at IS NULL AND t.removed_at IS NULL AND NOT t.quarantined
           GROUP BY t.server_id) g ON g.server_id = s.id
WHERE s.tenant_id = $1

-- name: overview_counts
-- What there is in a tenant.
SELECT (SELECT count(*) FROM servers WHERE tenant_id = $1) AS servers,
       (SELECT count(*) FROM servers WHERE tenant_id = $1 AND enabled AND sync_error IS NOT NULL) AS failing_servers,
       (SELECT count(*) FROM tools WHERE tenant_id = $1 AND removed_at IS NULL) AS tools,
       (SELECT count(*) FROM tools WHERE tenant_id = $1 AND removed_at IS NULL AND quarantined) AS quarantined_tools,
       (SELECT count(DISTINCT f.tool_id) FROM tool_flags f JOIN tools t ON t.tenant_id = f.tenant_id AND t.id = f.tool_id
        WHERE f.tenant_id = $1 AND f.dismissed_at IS NULL AND t.removed_at IS NULL) AS flagged_tools,
       (SELECT count(*) FROM tools WHERE tenant_id = $1 AND removed_at IS NULL
        AND approved_hash IS DISTINCT FROM content_hash) AS changed_tools,
       (SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL
        AND expires_at BETWEEN now() AND now() + interval '14 days') AS expiring_keys,
       EXISTS (SELECT FROM api_keys WHERE tenant_id = $1 AND last_used_at IS NOT NULL) AS has_client,
       (SELECT count(*) FROM roles WHERE tenant_id = $1 AND kind = 'role') AS roles,
       (SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now())) AS keys

-- name: role_matrix
-- For each server what a role sees of its tools, and the rule about the server.
SELECT s.id AS server_id, s.name AS server, s.enabled, count(t.id) AS tools,
       count(*) FILTER (WHERE v.visibility = 'ALLOW' AND NOT v.disabled) AS allowed,
       count(*) FILTER (WHERE v.visibility = 'SEARCH' AND NOT v.disabled) AS searchable,
       count(*) FILTER (WHERE t.id IS NOT NULL AND (coalesce(v.visibility, 'DENY') = 'DENY' OR v.disabled)) AS denied,
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
