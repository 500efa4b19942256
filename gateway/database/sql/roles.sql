-- name: live_tools
-- The tools of tenant $1, of server $3 or of all, that may be seen at all.
SELECT t.id, t.server_id, t.category, lower(t.exposed_name) AS name, lower(t.generated_name) AS generated_name,
       t.disabled_at IS NOT NULL AS disabled
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND ($3::bigint IS NULL OR t.server_id = $3) AND t.removed_at IS NULL AND s.enabled
  AND NOT t.quarantined

-- name: rule_matches
-- Every tool with every rule about it, of role $2 or of all, and how specific the rule is: the lower rank decides, at
-- the same rank the longer pattern, then the more restrictive. Patterns do not tell upper from lower case, and are about
-- the name that a tool had before an admin gave it another one as well: a new name gives nobody other rights.
SELECT u.role_id, t.id AS tool_id, 1 AS rank, 0 AS length, u.visibility, u.id AS rule_id
FROM role_rules u JOIN live_tools t ON t.id = u.tool_id
WHERE u.tenant_id = $1 AND ($2::bigint IS NULL OR u.role_id = $2)
UNION ALL
SELECT u.role_id, t.id, 2, length(u.pattern), u.visibility, u.id
FROM role_rules u
CROSS JOIN LATERAL (SELECT replace(replace(replace(replace(lower(u.pattern), '\', '\\'), '_', '\_'), '%', '\%'), '*', '%')) AS l (pattern)
JOIN live_tools t ON t.name LIKE l.pattern OR t.generated_name LIKE l.pattern
WHERE u.tenant_id = $1 AND u.pattern IS NOT NULL AND ($2::bigint IS NULL OR u.role_id = $2)
UNION ALL
SELECT u.role_id, t.id, 3, 0, u.visibility, u.id
FROM role_rules u JOIN live_tools t ON t.server_id = u.server_id
WHERE u.tenant_id = $1 AND ($2::bigint IS NULL OR u.role_id = $2)
UNION ALL
SELECT u.role_id, t.id, 4, 0, u.visibility, u.id
FROM role_rules u JOIN live_tools t ON t.category = u.category
WHERE u.tenant_id = $1 AND ($2::bigint IS NULL OR u.role_id = $2)
UNION ALL
SELECT r.id, t.id, 5, 0, r.default_visibility, NULL
FROM roles r CROSS JOIN live_tools t
WHERE r.tenant_id = $1 AND ($2::bigint IS NULL OR r.id = $2)

-- name: refresh_role_tools (bulk)
-- Resolve the rules of roles and profiles for tools; null for $2 or $3 means all. Most specific wins: tool, pattern,
-- server, category, default. A profile grants nothing, and denies explicitly what its rules leave out.
WITH live_tools AS MATERIALIZED ({{live_tools}}),
removed AS (
    DELETE FROM role_tools v
    WHERE v.tenant_id = $1 AND ($2::bigint IS NULL OR v.role_id = $2)
      AND ($3::bigint IS NULL OR v.tool_id IN (SELECT id FROM tools WHERE tenant_id = $1 AND server_id = $3))
      AND v.tool_id NOT IN (SELECT id FROM live_tools)
), decided AS (
    SELECT DISTINCT ON (role_id, tool_id) role_id, tool_id, rank, visibility, rule_id
    FROM ({{rule_matches}}) AS matches
    ORDER BY role_id, tool_id, rank, length DESC, visibility, rule_id
), resolved AS (
    SELECT d.role_id, d.tool_id, d.rule_id,
           CASE r.kind WHEN 'role' THEN d.visibility ELSE 'DENY' END AS visibility,
           d.visibility = 'DENY' AND (r.kind = 'profile' OR d.rank <= 2) AS denied_explicitly,
           CASE r.list_mode WHEN 'all' THEN d.visibility > 'DENY' WHEN 'chosen' THEN d.visibility = 'ALLOW'
                            WHEN 'search' THEN false END AS listed,
           t.disabled
    FROM decided d JOIN roles r ON r.tenant_id = $1 AND r.id = d.role_id JOIN live_tools t ON t.id = d.tool_id
)
INSERT INTO role_tools AS stored (tenant_id, role_id, tool_id, visibility, denied_explicitly, listed, rule_id, disabled)
SELECT $1, role_id, tool_id, visibility, denied_explicitly, listed, rule_id, disabled FROM resolved
ON CONFLICT (tenant_id, role_id, tool_id) DO UPDATE
SET visibility = excluded.visibility, denied_explicitly = excluded.denied_explicitly, listed = excluded.listed,
    rule_id = excluded.rule_id, disabled = excluded.disabled
WHERE (stored.visibility, stored.denied_explicitly, stored.listed, stored.rule_id, stored.disabled)
      IS DISTINCT FROM (excluded.visibility, excluded.denied_explicitly, excluded.listed, excluded.rule_id, excluded.disabled)

-- name: insert_role
-- A new role without rules, or a profile where there is a list mode.
INSERT INTO roles (tenant_id, name, description, default_visibility, kind, list_mode)
VALUES ($1, $2, $3, $4::text::visibility, CASE WHEN $5::text IS NULL THEN 'role' ELSE 'profile' END, $5)
RETURNING id

-- name: role_by_name
-- One role.
SELECT id, name, description, default_visibility::text AS default_visibility, version, approve
FROM roles WHERE tenant_id = $1 AND name = $2 AND kind = 'role'

-- name: list_roles
-- All roles of a tenant, with the number of their rules, and of the keys not revoked that carry them.
SELECT r.id, r.name, r.description, r.default_visibility::text AS default_visibility, r.version, r.approve,
       (SELECT count(*) FROM role_rules u WHERE u.tenant_id = r.tenant_id AND u.role_id = r.id) AS rule_count,
       (SELECT count(*) FROM api_key_roles k JOIN api_keys a ON a.tenant_id = k.tenant_id AND a.id = k.key_id
        WHERE k.tenant_id = r.tenant_id AND k.role_id = r.id AND a.revoked_at IS NULL) AS key_count
FROM roles r WHERE r.tenant_id = $1 AND r.kind = 'role' ORDER BY r.name

-- name: update_role
-- Change a role or profile that is still at version $3; what is null stays.
UPDATE roles SET name = coalesce($4, name), description = coalesce($5, description),
       default_visibility = coalesce($6::text::visibility, default_visibility), list_mode = coalesce($7, list_mode),
       version = version + 1
WHERE tenant_id = $1 AND id = $2 AND version = $3
RETURNING version

-- name: delete_role (bulk)
-- A role or profile with its rules, still at version $3 (null: whatever its version).
DELETE FROM roles WHERE tenant_id = $1 AND id = $2 AND ($3::integer IS NULL OR version = $3)

-- name: upsert_rule
-- A rule about a tool, a name pattern, a server or a category; it replaces the rule about the same target.
INSERT INTO role_rules (tenant_id, role_id, tool_id, pattern, server_id, category, visibility)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::visibility)
ON CONFLICT (tenant_id, role_id, coalesce(tool_id, 0), coalesce(pattern, ''), coalesce(server_id, 0), coalesce(category, ''))
DO UPDATE SET visibility = excluded.visibility, version = role_rules.version + 1
RETURNING id

-- name: update_rule
-- Change what a rule says, if it is still at version $3.
UPDATE role_rules SET visibility = $4::text::visibility, version = version + 1
WHERE tenant_id = $1 AND id = $2 AND version = $3
RETURNING role_id, version

-- name: delete_rule
-- A rule, if it is still at version $3 (null: whatever its version).
DELETE FROM role_rules WHERE tenant_id = $1 AND id = $2 AND ($3::integer IS NULL OR version = $3) RETURNING role_id

-- name: delete_rule_by_target
-- The rule of a role about one target: a tool, a pattern, a server or a category.
DELETE FROM role_rules
WHERE tenant_id = $1 AND role_id = $2 AND coalesce(tool_id, 0) = coalesce($3::bigint, 0)
  AND coalesce(pattern, '') = coalesce($4::text, '') AND coalesce(server_id, 0) = coalesce($5::bigint, 0)
  AND coalesce(category, '') = coalesce($6::text, '')

-- name: rule_version
-- The version of a rule.
SELECT version FROM role_rules WHERE tenant_id = $1 AND id = $2

-- name: role_version
-- The version of a role or profile.
SELECT version FROM roles WHERE tenant_id = $1 AND id = $2

-- name: list_rules
-- The rules of a role or profile, the more specific first.
SELECT u.id, u.role_id, u.tool_id, u.pattern, u.server_id, u.category, u.visibility::text AS visibility, u.version,
       u.approve, t.exposed_name AS tool_name, t.removed_at IS NOT NULL AS tool_removed, s.name AS server_name
FROM role_rules u
LEFT JOIN tools t ON t.tenant_id = u.tenant_id AND t.id = u.tool_id
LEFT JOIN servers s ON s.tenant_id = u.tenant_id AND s.id = u.server_id
WHERE u.tenant_id = $1 AND u.role_id = $2
ORDER BY u.tool_id IS NULL, u.pattern IS NULL, u.server_id IS NULL, t.exposed_name, length(u.pattern) DESC, u.pattern,
         s.name, u.category

-- name: role_decision
-- What was resolved for a role or profile and a tool, with the rule that decided it (null: the default). There is no
-- visibility where the tool is hidden from everybody.
SELECT t.exposed_name, t.removed_at IS NOT NULL AS removed, h.enabled, t.disabled_at IS NOT NULL AS disabled,
       v.visibility::text AS visibility,
       v.denied_explicitly, u.id AS rule_id, u.tool_id, u.pattern, s.name AS server_name, u.category
FROM tools t
JOIN servers h ON h.tenant_id = t.tenant_id AND h.id = t.server_id
LEFT JOIN role_tools v ON v.tenant_id = t.tenant_id AND v.tool_id = t.id AND v.role_id = $2
LEFT JOIN role_rules u ON u.tenant_id = v.tenant_id AND u.id = v.rule_id
LEFT JOIN servers s ON s.tenant_id = u.tenant_id AND s.id = u.server_id
WHERE t.tenant_id = $1 AND t.id = $3

-- name: tool_visibility
-- What roles $2, and a profile among them, see of tool t together; null where they cannot find it. An expression, and
-- not a join, so that the rows of this one tool are read and not those of all.
(SELECT v.visibility FROM visible_tools($1, $2) AS v WHERE v.tool_id = t.id)
