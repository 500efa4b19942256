-- name: tools_of_tenant
-- What tools must not be taken for: those of other servers in their tenant. $2: leave out those of this server.
SELECT t.id, t.name, t.exposed_name, t.server_id, s.name AS server_name, s.slug AS server_slug
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.server_id IS DISTINCT FROM $2 AND t.removed_at IS NULL

-- name: tools_beside
-- A digest of the tools of the other servers in a server's tenant; equal ones are scanned beside the same tools.
SELECT coalesce(sum(hashtextextended(name || chr(10) || exposed_name, server_id)), 0)::text
FROM tools WHERE tenant_id = $1 AND server_id <> $2 AND removed_at IS NULL

-- name: review_states
-- What is held against the tools of a server, removed ones too.
SELECT id, approved_hash, approved_by, quarantine FROM tools WHERE tenant_id = $1 AND server_id = $2

-- name: set_review_state
-- What is held against a tool from now on: $3 the hash approved, $4 who approved it, $5 why it is quarantined.
UPDATE tools SET approved_hash = $3, approved_by = $4, quarantine = $5,
       approved_at = CASE WHEN (approved_hash, approved_by) IS NOT DISTINCT FROM ($3::bytea, $4::text) THEN approved_at
                          WHEN $4 = 'rollback' THEN now() END
WHERE tenant_id = $1 AND id = $2

-- name: delete_flags
-- Before the findings in other definitions are written. $3: only those of these rules, null: all.
DELETE FROM tool_flags
WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) AND ($3::text[] IS NULL OR rule = ANY($3))

-- name: insert_flag
-- A finding; $8 says whether it was approved before.
INSERT INTO tool_flags (tenant_id, tool_id, rule, place, severity, excerpt, reason, dismissed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN now() END)
ON CONFLICT DO NOTHING

-- name: servers_scanned_otherwise
-- Servers, of any tenant, whose tools were scanned last by other rules than those of version $1, or beside other tools.
WITH of_server AS (
    SELECT tenant_id, server_id, sum(hashtextextended(name || chr(10) || exposed_name, server_id)) AS digest
    FROM tools WHERE removed_at IS NULL GROUP BY tenant_id, server_id
), of_tenant AS (
    SELECT tenant_id, sum(digest) AS digest FROM of_server GROUP BY tenant_id
), compared AS (
    SELECT s.tenant_id, s.id, s.prefix, s.scan_rules IS DISTINCT FROM $1 AS other_rules, s.scanned_beside,
           (coalesce(t.digest, 0) - coalesce(o.digest, 0))::text AS beside
    FROM servers s
    LEFT JOIN of_tenant t ON t.tenant_id = s.tenant_id
    LEFT JOIN of_server o ON o.tenant_id = s.tenant_id AND o.server_id = s.id
    WHERE s.synced_at IS NOT NULL
)
SELECT tenant_id, id, prefix, other_rules, beside FROM compared
WHERE other_rules OR scanned_beside IS DISTINCT FROM beside
ORDER BY tenant_id, id

-- name: set_scan_rules
-- The rules by which a server's tools were scanned, null for none, and the digest of those beside which they were.
UPDATE servers SET scan_rules = $3, scanned_beside = $4 WHERE tenant_id = $1 AND id = $2

-- name: scanned_tools
-- What a server says of the tools that it lists, and how they stand.
SELECT id, content_hash, coalesce(upstream_definition, definition) AS definition, approved_hash, approved_by, quarantine
FROM tools WHERE tenant_id = $1 AND server_id = $2 AND removed_at IS NULL ORDER BY id

-- name: flags_of_server
-- What is held against the tools of a server, and what of that an admin knows.
SELECT f.tool_id, f.rule, f.place, f.reason, f.dismissed_at IS NOT NULL AS dismissed
FROM tool_flags f JOIN tools t ON t.tenant_id = f.tenant_id AND t.id = f.tool_id
WHERE f.tenant_id = $1 AND t.server_id = $2

-- name: tool_reviews
-- The tools of a server ($2, null: of all servers) as an admin judges them, those that want a look first.
SELECT t.id, t.server_id, s.name AS server_name, t.name, t.exposed_name, t.content_hash,
       coalesce(t.upstream_definition, t.definition) AS definition, t.quarantine,
       t.approved_at, t.approved_hash IS DISTINCT FROM t.content_hash AS changed, d.definition AS approved_definition,
       coalesce((SELECT jsonb_agg(jsonb_build_object('rule', f.rule, 'place', f.place, 'severity', f.severity,
                                  'excerpt', f.excerpt, 'reason', f.reason, 'dismissed', f.dismissed_at IS NOT NULL)
                                  ORDER BY f.severity = 'high' DESC, f.severity = 'medium' DESC, f.rule, f.place)
                 FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id), '[]'::jsonb) AS flags
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN tool_definitions d ON d.tenant_id = t.tenant_id AND d.server_id = t.server_id
     AND d.content_hash = t.approved_hash AND t.approved_hash <> t.content_hash
WHERE t.tenant_id = $1 AND ($2::bigint IS NULL OR t.server_id = $2) AND t.removed_at IS NULL
  AND ($3::text IS NULL OR t.name = $3 OR t.exposed_name = $3)
  AND (NOT $4::boolean OR t.quarantined OR t.approved_hash IS DISTINCT FROM t.content_hash
       OR EXISTS (SELECT FROM tool_flags f WHERE f.tenant_id = t.tenant_id AND f.tool_id = t.id
                  AND f.dismissed_at IS NULL))
ORDER BY t.quarantined DESC, s.name, t.name

-- name: approve_tools
-- A person approves these tools as they are.
UPDATE tools SET approved_hash = content_hash, approved_by = 'person', approved_at = now(), quarantine = NULL
WHERE tenant_id = $1 AND id = ANY($2::bigint[])

-- name: save_approved_definitions
-- What was approved, to compare with what comes.
INSERT INTO tool_definitions (tenant_id, server_id, content_hash, definition)
SELECT tenant_id, server_id, content_hash, coalesce(upstream_definition, definition)
FROM tools WHERE tenant_id = $1 AND id = ANY($2::bigint[])
ON CONFLICT DO NOTHING

-- name: dismiss_flags
-- The findings in these tools are known.
UPDATE tool_flags SET dismissed_at = now() WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[]) AND dismissed_at IS NULL

-- name: quarantine_tool
-- Hide a tool until it is approved, whatever was approved before.
UPDATE tools SET quarantine = $3, approved_by = NULL, approved_at = NULL WHERE tenant_id = $1 AND id = $2

-- name: set_on_change
-- What happens when a tool of a server is not as it was approved.
UPDATE servers SET on_change = $3 WHERE tenant_id = $1 AND id = $2
