-- name: refresh_role_tools
-- Resolve the rules of roles for tools; null means all. Most specific wins: tool, pattern, server, category, default.
-- Among patterns that match, the longer is the more specific, and at the same length DENY wins.
WITH resolved AS (
    SELECT r.tenant_id, r.id AS role_id, t.id AS tool_id,
           coalesce(rule.visibility, r.default_visibility) AS visibility,
           coalesce(rule.visibility = 'DENY' AND (rule.tool_id IS NOT NULL OR rule.pattern IS NOT NULL), false)
               AS denied_explicitly,
           rule.id AS rule_id
    FROM roles r
    JOIN tools t ON t.tenant_id = r.tenant_id AND t.removed_at IS NULL
    JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id AND s.enabled
    LEFT JOIN LATERAL (
        SELECT u.id, u.visibility, u.tool_id, u.pattern
        FROM role_rules u
        WHERE u.tenant_id = r.tenant_id AND u.role_id = r.id
          AND (u.tool_id = t.id OR u.server_id = t.server_id OR u.category = t.category
               OR t.exposed_name LIKE replace(replace(replace(replace(u.pattern, '\', '\\'), '_', '\_'), '%', '\%'), '*', '%'))
        ORDER BY (u.tool_id IS NOT NULL) DESC, (u.pattern IS NOT NULL) DESC, length(u.pattern) DESC,
                 (u.server_id IS NOT NULL) DESC, u.visibility
        LIMIT 1
    ) AS rule ON true
    WHERE r.tenant_id = $1 AND ($2::bigint IS NULL OR r.id = $2) AND ($3::bigint IS NULL OR t.server_id = $3)
), gone AS (
    DELETE FROM role_tools v
    WHERE v.tenant_id = $1 AND ($2::bigint IS NULL OR v.role_id = $2)
      AND ($3::bigint IS NULL OR v.tool_id IN (SELECT id FROM tools WHERE tenant_id = $1 AND server_id = $3))
      AND NOT EXISTS (SELECT FROM resolved d WHERE d.role_id = v.role_id AND d.tool_id = v.tool_id)
)
INSERT INTO role_tools (tenant_id, role_id, tool_id, visibility, denied_explicitly, rule_id)
SELECT tenant_id, role_id, tool_id, visibility, denied_explicitly, rule_id FROM resolved
ON CONFLICT (tenant_id, role_id, tool_id) DO UPDATE
SET visibility = excluded.visibility, denied_explicitly = excluded.denied_explicitly, rule_id = excluded.rule_id
WHERE (role_tools.visibility, role_tools.denied_explicitly, role_tools.rule_id)
      IS DISTINCT FROM (excluded.visibility, excluded.denied_explicitly, excluded.rule_id)

-- name: insert_role
-- A new role.
INSERT INTO roles (tenant_id, name, description, default_visibility) VALUES ($1, $2, $3, $4::text::visibility)
RETURNING id

-- name: role_by_name
-- One role.
SELECT id, name, description, default_visibility::text AS default_visibility, version
FROM roles WHERE tenant_id = $1 AND name = $2

-- name: list_roles
-- All roles of a tenant.
SELECT r.id, r.name, r.description, r.default_visibility::text AS default_visibility, r.version,
       (SELECT count(*) FROM role_rules u WHERE u.tenant_id = r.tenant_id AND u.role_id = r.id) AS rule_count
FROM roles r WHERE r.tenant_id = $1 ORDER BY r.name

-- name: insert_rule
-- A rule about a tool, a name pattern, a server or a category; it replaces the rule about the same target.
INSERT INTO role_rules (tenant_id, role_id, tool_id, pattern, server_id, category, visibility)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::visibility)
ON CONFLICT (tenant_id, role_id, coalesce(tool_id, 0), coalesce(pattern, ''), coalesce(server_id, 0), coalesce(category, ''))
DO UPDATE SET visibility = excluded.visibility, version = role_rules.version + 1
RETURNING id
