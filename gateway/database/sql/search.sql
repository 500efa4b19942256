-- name: visible_tool_positions (lookup)
-- The positions of the tools that roles $2 can find: those that they may call, but for what is for apps alone.
SELECT coalesce(array_agg(t.position ORDER BY t.position), '{}') AS positions
FROM visible_tools($1, $2) AS v JOIN tools t ON t.tenant_id = $1 AND t.id = v.tool_id
WHERE NOT t.app_only

-- name: in_scope
-- Whether tool t can be found and is in what the search is narrowed to: $2 bitmap of positions, $3 category or null,
-- $4 server id or null. A tool that came after the bitmap was made is not in it, one that was removed since still is.
t.removed_at IS NULL AND CASE WHEN t.position < 8 * length($2::bytea) THEN get_bit($2::bytea, t.position) = 1 ELSE false END
AND ($3::text IS NULL OR t.category = $3) AND ($4::bigint IS NULL OR t.server_id = $4)

-- name: visible_server_id
-- The server called $3 (by name or slug), where roles $2 can find any of its tools.
SELECT s.id FROM servers s
WHERE s.tenant_id = $1 AND (s.name = $3 OR s.slug = $3)
  AND EXISTS (SELECT FROM tools t
              WHERE t.tenant_id = s.tenant_id AND t.server_id = s.id AND NOT t.app_only AND {{tool_visibility}} IS NOT NULL)
ORDER BY (s.name = $3) DESC LIMIT 1
