-- name: usage_characters_saved
-- Characters of the definitions that clients would have been listed once a session since $2 beyond those that they are
-- listed anyway, and that answers cost: what they show, within the room of $3 characters. A session of a key ends with half an
-- hour without a request, and only those who searched at all are counted.
WITH uses AS (
    SELECT kind, roles, found, at - lag(at) OVER (PARTITION BY key_id, key_name ORDER BY at) AS pause
    FROM tool_calls WHERE tenant_id = $1 AND at >= $2
), clients AS (
    SELECT roles, count(*) FILTER (WHERE pause IS NULL OR pause > interval '30 minutes') AS sessions
    FROM uses GROUP BY roles HAVING bool_or(kind = 'search')
), sizes AS MATERIALIZED (
    -- Definitions are long; each is read once.
    SELECT id, app_only, length(definition::text) AS characters FROM tools
    WHERE tenant_id = $1 AND EXISTS (SELECT FROM clients)
), listings AS (
    SELECT c.sessions, (
        SELECT coalesce(sum(z.characters), 0)
        FROM visible_tools($1, ARRAY(SELECT r.id FROM roles r WHERE r.tenant_id = $1 AND r.name = ANY(c.roles))) AS v
        JOIN sizes z ON z.id = v.tool_id
        WHERE NOT v.listed AND NOT z.app_only) AS characters
    FROM clients c
), shown AS MATERIALIZED (
    -- By itself, or the sizes are read again for each search.
    SELECT u.number, f.tool_id
    FROM (SELECT row_number() OVER () AS number, found FROM uses WHERE kind = 'search') u
    LEFT JOIN LATERAL unnest(u.found) AS f (tool_id) ON true
), answers AS (
    SELECT least(sum(z.characters), $3) AS characters
    FROM shown LEFT JOIN sizes z ON z.id = shown.tool_id
    GROUP BY shown.number
)
SELECT (SELECT coalesce(sum(sessions), 0) FROM listings)::bigint AS sessions,
       (SELECT coalesce(sum(sessions * characters), 0) FROM listings)::bigint AS listing,
       (SELECT coalesce(sum(characters), 0) FROM answers)::bigint AS answers

-- name: recent_tool_calls
-- The last $3 calls of a tool.
SELECT at, key_name, outcome, duration_ms, error FROM tool_calls
WHERE tenant_id = $1 AND tool_id = $2 AND kind = 'call'
ORDER BY at DESC, id DESC LIMIT $3

-- name: usage_of_key
-- What key $2 did since $3.
SELECT count(*) FILTER (WHERE kind = 'call') AS calls, count(*) FILTER (WHERE kind = 'search') AS searches,
       count(*) FILTER (WHERE outcome <> 'ok') AS problems, count(DISTINCT tool_id) AS tools
FROM tool_calls WHERE tenant_id = $1 AND key_id = $2 AND at >= $3
