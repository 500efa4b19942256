-- name: overridable_tool
-- A tool with what stands behind its override.
SELECT t.id, t.server_id, s.name AS server_name, t.name, t.exposed_name, coalesce(t.generated_name, t.exposed_name) AS generated_name,
       coalesce(t.default_category, t.category) AS default_category, t.content_hash,
       coalesce(t.upstream_definition, t.definition) AS upstream_definition, t.override_version
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.id = $2

-- name: tool_overrides
-- The overrides of a tool, of the whole tenant and of profiles.
SELECT o.tool_id, o.profile_id, r.name AS profile, o.name, o.title, o.description, o.category, o.parameters, o.basis
FROM tool_overrides o LEFT JOIN roles r ON r.tenant_id = o.tenant_id AND r.id = o.profile_id
WHERE o.tenant_id = $1 AND o.tool_id = $2
ORDER BY r.name NULLS FIRST

-- name: server_overrides
-- What holds everywhere of the tools of a server.
SELECT t.name AS tool, o.name, o.title, o.description, o.category, o.parameters
FROM tool_overrides o JOIN tools t ON t.tenant_id = o.tenant_id AND t.id = o.tool_id
WHERE o.tenant_id = $1 AND t.server_id = $2 AND o.profile_id IS NULL

-- name: profile_overrides
-- What holds at the profile among roles $2.
SELECT o.tool_id, o.name, o.title, o.description, o.category, o.parameters
FROM tool_overrides o
WHERE o.tenant_id = $1 AND o.profile_id = ANY($2::bigint[])

-- name: upsert_override
-- What an admin says of a tool, everywhere or at profile $3; $9 is what the server says.
INSERT INTO tool_overrides (tenant_id, tool_id, profile_id, name, title, description, category, parameters, basis)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id, tool_id, coalesce(profile_id, 0)) DO UPDATE
SET name = excluded.name, title = excluded.title, description = excluded.description, category = excluded.category,
    parameters = excluded.parameters, basis = excluded.basis, updated_at = now()

-- name: delete_override
-- What the server says holds again.
DELETE FROM tool_overrides WHERE tenant_id = $1 AND tool_id = $2 AND profile_id IS NOT DISTINCT FROM $3

-- name: tool_with_name
-- A tool beside $2 that has the name $3, or had it before it was overridden.
SELECT t.exposed_name FROM tools t
WHERE t.tenant_id = $1 AND t.id <> $2 AND (t.exposed_name = $3 OR t.generated_name = $3)
UNION ALL
SELECT t.exposed_name FROM tool_overrides o JOIN tools t ON t.tenant_id = o.tenant_id AND t.id = o.tool_id
WHERE o.tenant_id = $1 AND o.tool_id <> $2 AND o.name = $3 AND ($4::bigint IS NULL OR o.profile_id = $4)
LIMIT 1

-- name: profile_name
-- A profile of a tenant.
SELECT name FROM roles WHERE tenant_id = $1 AND id = $2 AND kind = 'profile'

-- name: write_override
-- A tool as it is from now on: $3 its exposed name, $4 its category, $5 its definition, $6 what the server says, null
-- where nothing of that is overridden.
UPDATE tools SET exposed_name = $3, generated_name = nullif(coalesce(generated_name, exposed_name), $3),
       category = $4, default_category = nullif(coalesce(default_category, category), $4),
       definition = coalesce($5::json, upstream_definition, definition),
       upstream_definition = CASE WHEN $5::json IS NOT NULL THEN $6::json END,
       override_version = override_version + 1, updated_at = now()
WHERE tenant_id = $1 AND id = $2

-- name: disable_tool
-- Nobody sees or calls it from now on.
UPDATE tools SET disabled_at = coalesce(disabled_at, now()) WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL

-- name: enable_tool
-- Its rules hold again.
UPDATE tools SET disabled_at = NULL WHERE tenant_id = $1 AND id = $2

-- name: propose_categories
-- What the embedder finds nearest, $3 for each of tools $2. It is the category of a tool of which only its words told one,
-- unless a rule names either: then a change of who sees the tool is an admin's to make.
WITH judged AS (
    SELECT t.id, p.category, t.category_source = 'words' AND NOT EXISTS (
        SELECT FROM role_rules u WHERE u.tenant_id = $1 AND u.category IN (p.category, coalesce(t.default_category, t.category))
    ) AS is_free
    FROM tools t JOIN unnest($2::bigint[], $3::text[]) AS p (id, category) ON p.id = t.id
    WHERE t.tenant_id = $1
)
UPDATE tools t
SET proposed_category = j.category,
    category = CASE WHEN j.is_free AND t.default_category IS NULL THEN j.category ELSE t.category END,
    default_category = CASE WHEN j.is_free AND t.default_category IS NOT NULL THEN j.category ELSE t.default_category END,
    category_source = CASE WHEN j.is_free THEN 'embedder' ELSE t.category_source END
FROM judged j
WHERE t.tenant_id = $1 AND t.id = j.id
