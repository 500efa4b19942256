-- name: probe (lookup)
-- Whether the connection that hears of changes still stands.
SELECT 1
