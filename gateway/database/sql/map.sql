-- name: map_points
-- Up to $3 tools of a tenant that have vectors in a space, each with the combined one.
SELECT t.id, t.exposed_name, t.server_id, s.name AS server_name, t.category,
       t.name || ' ' || left(t.description, 200) AS words, e.combined_embedding AS vector
FROM tool_embeddings e
JOIN tools t ON t.tenant_id = e.tenant_id AND t.id = e.tool_id AND t.removed_at IS NULL
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE e.tenant_id = $1 AND e.space_id = $2 AND e.combined_embedding IS NOT NULL
ORDER BY t.id
LIMIT $3
