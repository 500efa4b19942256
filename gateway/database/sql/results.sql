-- name: keep_result
-- The text of a result that was cut, for $7 seconds.
INSERT INTO kept_results (tenant_id, id, tool_id, caller, content, size, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))

-- name: drop_oldest_results
-- Keeps of a tenant's texts the newest, as many as have $2 bytes together.
DELETE FROM kept_results
WHERE tenant_id = $1 AND id IN (
    SELECT id
    FROM (SELECT id, sum(size) OVER (ORDER BY expires_at DESC, id) AS total FROM kept_results WHERE tenant_id = $1) newest
    WHERE total > $2
)

-- name: kept_result_part
-- Of a text, whosever it is, $4 characters from offset $3 on, and how many it has in all.
SELECT tool_id, caller, substr(content, $3::integer + 1, $4) AS part, length(content) AS characters
FROM kept_results
WHERE tenant_id = $1 AND id = $2 AND expires_at > now()

-- name: drop_expired_results
-- Texts that nobody may read any more.
DELETE FROM kept_results WHERE expires_at <= now()
