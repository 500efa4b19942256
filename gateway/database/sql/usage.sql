-- name: usage_characters_saved
-- Characters of definitions that listing every tool at each search since $2 would have cost, and that answers cost.
SELECT (SELECT count(*) FROM tool_calls WHERE tenant_id = $1 AND at >= $2 AND kind = 'search')
       * (SELECT coalesce(sum(length(definition::text)), 0) FROM tools WHERE tenant_id = $1 AND removed_at IS NULL)
           AS listing,
       (SELECT coalesce(sum(length(t.definition::text)), 0)
        FROM tool_calls c CROSS JOIN LATERAL unnest(c.found) AS f (id)
        JOIN tools t ON t.tenant_id = $1 AND t.id = f.id
        WHERE c.tenant_id = $1 AND c.at >= $2 AND c.kind = 'search') AS answers

-- name: recent_tool_calls
-- The last $3 calls of a tool.
SELECT at, key_name, outcome, duration_ms, error FROM tool_calls
WHERE tenant_id = $1 AND tool_id = $2 AND kind = 'call'
ORDER BY at DESC, id DESC LIMIT $3
