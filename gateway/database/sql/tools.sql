-- name: stored_tools
-- Every tool of a server, removed ones too, with the hash of the texts that are embedded in a space (null: none).
SELECT t.id, t.name, t.exposed_name, t.content_hash, coalesce(t.upstream_definition, t.definition) AS definition,
       t.removed_at IS NOT NULL AS removed, e.text_hash
FROM tools t
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = $3
WHERE t.tenant_id = $1 AND t.server_id = $2

-- name: exposed_names
-- Every exposed name of a tenant that is taken, those that are overridden just now among them.
SELECT exposed_name FROM tools WHERE tenant_id = $1
UNION
SELECT generated_name FROM tools WHERE tenant_id = $1 AND generated_name IS NOT NULL
UNION
SELECT name FROM tool_overrides WHERE tenant_id = $1 AND name IS NOT NULL

-- name: lock_tenant (bulk)
-- Serialises those that change a tenant: nothing else of it is locked before.
SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE

-- name: insert_tool
-- A tool seen for the first time.
INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id

-- name: update_tool
-- A tool that changed, or came back: $3 as clients see it, $5 what the server says where that is overridden. Its category
-- stays as it is.
UPDATE tools SET definition = $3, content_hash = $4, upstream_definition = $5, removed_at = NULL, updated_at = now()
WHERE tenant_id = $1 AND id = $2

-- name: mark_tools_removed
-- Tools that the server no longer lists; their rules stay for when they come back.
UPDATE tools SET removed_at = now(), updated_at = now()
WHERE tenant_id = $1 AND id = ANY($2::bigint[]) AND removed_at IS NULL

-- name: delete_terms
-- Before the terms of changed tools are written anew.
DELETE FROM tool_terms WHERE tenant_id = $1 AND tool_id = ANY($2::bigint[])

-- name: insert_terms
-- Term $3 stands $4 times in tool $2, one of each a row.
INSERT INTO tool_terms (tenant_id, lexeme, tool_id, count)
SELECT $1, term, tool_id, count FROM unnest($2::bigint[], $3::text[], $4::integer[]) AS given (tool_id, term, count)

-- name: update_term_counts
-- The document length of tools, after their terms were written by the rules of version $3.
UPDATE tools t SET terms_version = $3, term_count = (
    SELECT coalesce(sum(m.count), 0) FROM tool_terms m WHERE m.tenant_id = t.tenant_id AND m.tool_id = t.id
)
WHERE t.tenant_id = $1 AND t.id = ANY($2::bigint[])

-- name: name_in_texts
-- What tool t is called in the texts that are made of it: as an admin calls it, else as its server does.
CASE WHEN t.generated_name IS NULL THEN t.name ELSE t.exposed_name END

-- name: tools_with_old_terms
-- Tools that are there and whose terms were made by other rules than those of version $1, of any tenant.
SELECT t.tenant_id, t.id, {{name_in_texts}} AS name, t.definition, t.content_hash, t.override_version,
       s.name AS server_name
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.removed_at IS NULL AND t.terms_version <> $1
ORDER BY t.id
LIMIT $2

-- name: upsert_embedding
-- The three vectors of a tool in a space, each null where its text has none: $8 says why, by text; of those in $9 the
-- model read the beginning only. Not complete ($10): the name's and the description's are to follow.
INSERT INTO tool_embeddings
    (tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding, combined_embedding, refused, cut,
     is_complete)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, tool_id, space_id) DO UPDATE
SET text_hash = excluded.text_hash, name_embedding = excluded.name_embedding,
    description_embedding = excluded.description_embedding, combined_embedding = excluded.combined_embedding,
    refused = excluded.refused, cut = excluded.cut, is_complete = excluded.is_complete

-- name: complete_embedding
-- The vectors of a tool's name and description, beside that of its combined text with the hash $4.
UPDATE tool_embeddings
SET name_embedding = $5, description_embedding = $6, refused = refused || $7::jsonb, cut = cut || $8::text[],
    is_complete = true
WHERE tenant_id = $1 AND tool_id = $2 AND space_id = $3 AND text_hash = $4

-- name: drop_embeddings
-- What tools have in a space, which is to be made anew.
DELETE FROM tool_embeddings WHERE tenant_id = $1 AND space_id = $2 AND tool_id = ANY($3::bigint[])

-- name: drop_stale_embeddings
-- Vectors of texts that a tool no longer has must not find it.
DELETE FROM tool_embeddings e USING unnest($2::bigint[], $3::bytea[]) AS current (tool_id, text_hash)
WHERE e.tenant_id = $1 AND e.tool_id = current.tool_id AND e.text_hash <> current.text_hash

-- name: tools_without_vectors
-- Live tools that lack vectors in a space, of any tenant: first those that have none, then those that lack some, with the
-- hash of the texts that those were made of.
SELECT t.tenant_id, t.id, {{name_in_texts}} AS name, t.definition, t.content_hash, t.override_version,
       s.name AS server_name, e.text_hash
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN tool_embeddings e ON e.tenant_id = t.tenant_id AND e.tool_id = t.id AND e.space_id = $1
WHERE t.removed_at IS NULL AND (e.tool_id IS NULL OR NOT e.is_complete)
ORDER BY e.tool_id IS NOT NULL, t.id
LIMIT $2

-- name: lock_unchanged_tools
-- Those of the tools $2 that still are as they were when their contents had the hashes $3, and their overrides the
-- versions $4; they stay so until commit.
SELECT t.id FROM tools t
JOIN unnest($2::bigint[], $3::bytea[], $4::integer[]) AS expected (id, content_hash, override_version)
     ON expected.id = t.id AND expected.content_hash = t.content_hash AND expected.override_version = t.override_version
WHERE t.tenant_id = $1 AND t.removed_at IS NULL
FOR SHARE OF t

-- name: listed_tools (bulk)
-- What a caller with these roles gets listed, by exposed name: what is ALLOW, or what the profile has listed, but for
-- tools that are for apps alone.
SELECT t.id, t.exposed_name, t.name, t.definition, t.server_id, s.name AS server_name, s.slug AS server_slug,
       t.generated_name IS NOT NULL AS is_renamed
FROM visible_tools($1, $2) AS v
JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE v.listed AND NOT t.app_only
ORDER BY t.exposed_name

-- name: named_in_profile
-- The tools that a profile among roles $2 calls $3.
SELECT o.tool_id FROM tool_overrides o WHERE o.tenant_id = $1 AND o.profile_id = ANY($2::bigint[]) AND o.name = $3

-- name: goes_by
-- Whether $3 is a name of the gateway's for tool t.
(t.exposed_name = $3 OR coalesce(t.generated_name = $3, false) OR t.id IN ({{named_in_profile}}))

-- name: is_switched_off
-- Whether roles $2 could call tool t if it were not switched off.
coalesce((SELECT NOT bool_or(v.denied_explicitly) AND max(v.visibility) >= 'SEARCH' FROM role_tools v
          WHERE v.tenant_id = $1 AND v.tool_id = t.id AND v.role_id = ANY($2::bigint[]) AND v.disabled), false)

-- name: tools_by_name (lookup)
-- The tools that go by a name: $3 as an exposed name, as one of tools $5 of the server (by name or slug) at the same
-- place in $4, or as the tool's own name; in this order, those that are hidden too. A name that a profile among roles $2
-- or the tenant has put in place of another counts as an exposed name, and so does that other. What roles $2 see of
-- each: null where they cannot find it; `disabled`: because it is switched off.
SELECT t.id, t.server_id, t.name, t.exposed_name, t.category, t.definition, t.removed_at IS NOT NULL AS removed,
       s.enabled, {{tool_visibility}}::text AS visibility, {{is_switched_off}} AS disabled,
       t.name = $3 AND NOT {{goes_by}} AS own_name_only
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND (t.exposed_name = $3 OR t.generated_name = $3 OR t.id IN ({{named_in_profile}}) OR t.name = $3 OR t.name = ANY($5::text[]) AND EXISTS (
      SELECT FROM unnest($4::text[], $5::text[]) AS p (server, tool)
      WHERE p.tool = t.name AND p.server IN (s.name, s.slug)))
ORDER BY {{goes_by}} DESC, t.exposed_name = $3 DESC, t.name = $3, s.name = ANY($4::text[]) DESC, t.id

-- name: result_tools (lookup)
-- What a search result shows of tools $3, as far as roles $2 can find them at this moment.
SELECT t.id, t.exposed_name, t.name, t.title, t.description, t.input_schema, t.annotations, t.definition -> 'icons' AS icons,
       t.definition -> '_meta' AS meta, t.category, t.server_id, s.name AS server_name,
       t.generated_name IS NOT NULL AS is_renamed
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.id = ANY($3::bigint[]) AND NOT t.app_only AND {{tool_visibility}} IS NOT NULL

-- name: is_heard
-- Whether what server `s` says of itself does not wait for approval.
NOT EXISTS (SELECT FROM offerings o WHERE o.tenant_id = s.tenant_id AND o.server_id = s.id AND o.kind = 'instructions'
            AND o.quarantine IS NOT NULL)

-- name: visible_servers (lookup)
-- The servers behind what these roles may find, with the number of tools, most first.
SELECT s.id, s.name, s.slug, s.description, CASE WHEN {{is_heard}} THEN s.instructions END AS instructions,
       CASE WHEN {{is_heard}} THEN s.server_info END AS server_info, count(*) AS tool_count
FROM visible_tools($1, $2) AS v
JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id AND NOT t.app_only
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
GROUP BY s.tenant_id, s.id
ORDER BY count(*) DESC, s.name

-- name: shared_app_resources
-- Addresses of app resources that tools of several servers point to, with the oldest of those servers.
SELECT uri, min(server_id) AS server_id
FROM (
    SELECT server_id, coalesce(definition -> '_meta' -> 'ui' ->> 'resourceUri', definition -> '_meta' ->> 'ui/resourceUri') AS uri
    FROM tools WHERE tenant_id = $1 AND removed_at IS NULL
) AS pointing
WHERE uri IS NOT NULL
GROUP BY uri HAVING count(DISTINCT server_id) > 1

-- name: app_resources
--- Addresses of app resources that any tool points to.
SELECT DISTINCT pointed.uri
FROM tools, LATERAL (VALUES
    (definition -> '_meta' -> 'ui' ->> 'resourceUri'), (definition -> '_meta' ->> 'ui/resourceUri')) AS pointed (uri)
WHERE tenant_id = $1 AND removed_at IS NULL AND pointed.uri IS NOT NULL

-- name: app_resource_servers (lookup)
-- The servers of which these roles may call a tool that points to an app resource, oldest first.
SELECT DISTINCT t.server_id
FROM visible_tools($1, $2) AS v
JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id
WHERE $3 IN (t.definition -> '_meta' -> 'ui' ->> 'resourceUri', t.definition -> '_meta' ->> 'ui/resourceUri')
ORDER BY t.server_id

-- name: usable_servers (lookup)
-- The servers whose resources and prompts these roles may use: by the rule about the server, else by the role's default.
-- At a profile, those that it names as a whole.
SELECT s.id, s.name, s.slug, s.prefix, s.capabilities,
       ARRAY(SELECT o.content_hash FROM offerings o
             WHERE o.tenant_id = s.tenant_id AND o.server_id = s.id AND o.quarantine IS NOT NULL) AS hidden
FROM servers s
WHERE s.tenant_id = $1 AND s.enabled
  AND EXISTS (
      SELECT FROM roles r
      LEFT JOIN role_rules u ON u.tenant_id = r.tenant_id AND u.role_id = r.id AND u.server_id = s.id
      WHERE r.tenant_id = s.tenant_id AND r.id = ANY($2::bigint[]) AND r.kind = 'role'
        AND coalesce(u.visibility, r.default_visibility) >= 'SEARCH')
  AND NOT EXISTS (
      SELECT FROM roles r
      LEFT JOIN role_rules u ON u.tenant_id = r.tenant_id AND u.role_id = r.id AND u.server_id = s.id
      WHERE r.tenant_id = s.tenant_id AND r.id = ANY($2::bigint[]) AND r.kind = 'profile'
        AND coalesce(u.visibility, r.default_visibility) = 'DENY')
ORDER BY s.id

-- name: analyze_catalogue (bulk)
-- Tell the planner of a catalogue that has changed: it would otherwise plan for an empty one for a minute.
ANALYZE tools, tool_terms, tool_embeddings, role_tools
