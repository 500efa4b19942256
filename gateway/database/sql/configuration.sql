-- name: configured_rules
-- The rules of a role or profile by the names of what they are about, those about tools that are hidden too.
SELECT u.visibility::text AS visibility, h.name || '/' || t.name AS tool, u.pattern, s.name AS server, u.category,
       u.approve
FROM role_rules u
LEFT JOIN tools t ON t.tenant_id = u.tenant_id AND t.id = u.tool_id
LEFT JOIN servers h ON h.tenant_id = t.tenant_id AND h.id = t.server_id
LEFT JOIN servers s ON s.tenant_id = u.tenant_id AND s.id = u.server_id
WHERE u.tenant_id = $1 AND u.role_id = $2
ORDER BY u.tool_id IS NULL, u.pattern IS NULL, u.server_id IS NULL, h.name, t.name, u.pattern, s.name, u.category

-- name: configured_overrides
-- What admins say of tools, of the whole tenant and at profiles, by the names of these.
SELECT s.name || '/' || t.name AS tool, t.id AS tool_id, o.profile_id, r.name AS profile, o.name, o.title, o.description,
       o.category, o.parameters
FROM tool_overrides o
JOIN tools t ON t.tenant_id = o.tenant_id AND t.id = o.tool_id
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN roles r ON r.tenant_id = o.tenant_id AND r.id = o.profile_id
WHERE o.tenant_id = $1
ORDER BY s.name, t.name, r.name NULLS FIRST

-- name: switched_off_tools
-- The tools that an admin switched off.
SELECT s.name || '/' || t.name AS tool, t.id AS tool_id
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.disabled_at IS NOT NULL
ORDER BY s.name, t.name

-- name: configured_examples
-- What admins say that people ask for when they mean a tool.
SELECT s.name || '/' || t.name AS tool, x.tool_id, x.id, x.text, x.text_key
FROM tool_examples x
JOIN tools t ON t.tenant_id = x.tenant_id AND t.id = x.tool_id
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE x.tenant_id = $1 AND x.source = 'admin'
ORDER BY s.name, t.name, x.id
