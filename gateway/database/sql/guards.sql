-- name: list_guard_rules (lookup)
-- The guard rules of a tenant, in the order in which they are gone through.
SELECT g.id, g.version, g.name, g.position, g.guard, g.action, g.stages, g.subjects, g.role_id, r.name AS role,
       g.server_id, s.name AS server, g.pattern, g.category, g.fail, g.budget_ms, g.enabled, g.options
FROM guard_rules g
LEFT JOIN roles r ON r.tenant_id = g.tenant_id AND r.id = g.role_id
LEFT JOIN servers s ON s.tenant_id = g.tenant_id AND s.id = g.server_id
WHERE g.tenant_id = $1
ORDER BY g.position, g.name

-- name: guard_rule_versions
-- How many guard rules a tenant has; the version of the one called $2, null where there is none, and whether it has a
-- secret.
SELECT count(*) AS rules, max(g.version) FILTER (WHERE g.name = $2) AS version,
       coalesce(bool_or(g.sealed_secret IS NOT NULL) FILTER (WHERE g.name = $2), false) AS has_secret
FROM guard_rules g WHERE g.tenant_id = $1

-- name: set_guard_rule
-- A guard rule as a whole; a webhook keeps its secret where none is given, and nothing else has one.
INSERT INTO guard_rules AS g (tenant_id, name, position, guard, action, stages, subjects, role_id, server_id, pattern,
                              category, fail, budget_ms, enabled, options, sealed_secret)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (tenant_id, name) DO UPDATE
SET position = excluded.position, guard = excluded.guard, action = excluded.action, stages = excluded.stages,
    subjects = excluded.subjects, role_id = excluded.role_id, server_id = excluded.server_id,
    pattern = excluded.pattern, category = excluded.category, fail = excluded.fail, budget_ms = excluded.budget_ms,
    enabled = excluded.enabled, options = excluded.options,
    sealed_secret = CASE WHEN excluded.guard = 'webhook' THEN coalesce(excluded.sealed_secret, g.sealed_secret) END,
    version = g.version + 1, updated_at = now()

-- name: delete_guard_rule
-- A guard rule is gone.
DELETE FROM guard_rules WHERE tenant_id = $1 AND name = $2

-- name: guard_rule_secret (lookup)
-- What the requests of a webhook are signed with, sealed.
SELECT sealed_secret FROM guard_rules WHERE tenant_id = $1 AND name = $2

-- name: guard_secrets_sealed_otherwise
-- Guard rules beyond an id with a secret that does not begin as texts that are sealed now.
SELECT g.tenant_id, g.id, g.name, g.sealed_secret
FROM guard_rules g
WHERE g.id > $2::bigint AND substring(g.sealed_secret FOR length($1::bytea)) <> $1::bytea
ORDER BY g.id LIMIT $3::bigint

-- name: reseal_guard_secret
-- The same secret sealed anew, unless it has changed.
UPDATE guard_rules SET sealed_secret = $4 WHERE tenant_id = $1 AND id = $2 AND sealed_secret = $3

-- name: tool_schemas (lookup)
-- What a tool says of its arguments and of its results, as JSON texts.
SELECT (t.definition -> 'inputSchema')::text AS input_schema, (t.definition -> 'outputSchema')::text AS output_schema
FROM tools t WHERE t.tenant_id = $1 AND t.id = $2

-- name: notify_tenant
-- Tell every process, at commit, that something of a tenant has changed.
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint)::text)

-- name: last_calls_for_guards
-- The last $2 calls of tools that are in the catalogue, as the trace has them, for guards to be tried on.
SELECT c.id, c.at, c.key_name, c.server_id, s.name AS server, c.tool_id, t.exposed_name, t.category, c.target, c.arguments,
       c.result,
       ARRAY(SELECT r.id FROM roles r WHERE r.tenant_id = c.tenant_id AND r.name = ANY(c.roles)) AS role_ids
FROM tool_calls c
LEFT JOIN servers s ON s.tenant_id = c.tenant_id AND s.id = c.server_id
LEFT JOIN tools t ON t.tenant_id = c.tenant_id AND t.id = c.tool_id
WHERE c.tenant_id = $1 AND c.kind = 'call' AND c.tool_id IS NOT NULL
ORDER BY c.id DESC
LIMIT $2
