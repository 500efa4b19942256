-- name: other_servers_tools
-- What a server's tools must not be taken for: the tools of the others in its tenant.
SELECT t.name, t.exposed_name, s.name AS server_name, s.slug AS server_slug
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.server_id <> $2 AND t.removed_at IS NULL

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
-- Before the findings in other definitions are written.
DELETE FROM tool_flags WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[])

-- name: insert_flag
-- A finding; $8 says whether it was approved before.
INSERT INTO tool_flags (tenant_id, tool_id, rule, place, severity, excerpt, reason, dismissed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN now() END)
ON CONFLICT DO NOTHING

-- name: tool_reviews
-- The tools of a server ($2, null: of all servers) as an admin judges them, those that want a look first.
SELECT t.id, t.server_id, s.name AS server_name, t.name, t.exposed_name, t.content_hash, t.definition, t.quarantine,
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
SELECT tenant_id, server_id, content_hash, definition FROM tools WHERE tenant_id = $1 AND id = ANY($2::bigint[])
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
