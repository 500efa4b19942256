-- name: set_actor (lookup)
-- Who makes the changes that follow on this connection, for the triggers that write the audit log.
SELECT set_config('modelgate.actor', $1, false)

-- name: make_audit_partitions
-- The partitions of the audit log for the month of a moment.
SELECT make_trace_partitions($1)

-- name: drop_audit_partitions
-- Drop the partitions of a table of the audit log that ended before a moment; their names.
SELECT drop_trace_partitions($1::text::regclass, $2)

-- name: insert_tool_calls
-- Calls and searches, as a JSON array.
INSERT INTO tool_calls (tenant_id, at, kind, key_id, key_name, roles, address, server_id, tool_id, target, outcome,
                        duration_ms, arguments, query_hash, results, found, error, result, guards, person)
SELECT e.tenant_id, to_timestamp(e.at), e.kind, e.key_id, e.key_name,
       ARRAY(SELECT r.name FROM roles r WHERE r.tenant_id = e.tenant_id AND r.id = ANY(e.role_ids) ORDER BY r.name),
       e.address, e.server_id, e.tool_id, e.target, e.outcome, e.duration_ms, nullif(e.arguments, 'null'::jsonb),
       decode(e.query_hash, 'hex'), e.results, e.found, e.error, e.result,
       nullif(e.guards, 'null'::jsonb), e.person
FROM jsonb_to_recordset($1::jsonb) AS e (
    tenant_id bigint, at double precision, kind text, key_id bigint, key_name text, role_ids bigint[], address text,
    server_id bigint, tool_id bigint, target text, outcome text, duration_ms double precision, arguments jsonb,
    query_hash text, results integer, found bigint[], error text, result text, guards jsonb,
    person text)

-- name: insert_audit_log
-- Events beside the use of tools, as a JSON array.
INSERT INTO audit_log (tenant_id, at, actor_kind, actor_id, actor_name, roles, address, action, target, outcome,
                       duration_ms, details)
SELECT e.tenant_id, to_timestamp(e.at), e.actor_kind, e.actor_id, e.actor_name,
       e.roles || ARRAY(SELECT r.name FROM roles r WHERE r.tenant_id = e.tenant_id AND r.id = ANY(e.role_ids) ORDER BY r.name),
       e.address, e.action, e.target, e.outcome, e.duration_ms, e.details
FROM jsonb_to_recordset($1::jsonb) AS e (
    tenant_id bigint, at double precision, actor_kind text, actor_id bigint, actor_name text, roles text[],
    role_ids bigint[], address text, action text, target text, outcome text, duration_ms double precision, details jsonb)

-- name: redact_trace
-- Mask what rows before a moment say; how many there were.
SELECT redact_trace($1)

-- name: audit_page
-- The audit log of a tenant, newest first: $2 since, $3 before this moment and $4 id, $5 action prefix, $6 outcome,
-- $7 part of the actor's name or the target, $8 limit; null leaves a filter out.
SELECT at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_trail
WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR at >= $2)
  AND ($3::timestamptz IS NULL OR (at, id) < ($3, $4::bigint))
  AND ($5::text IS NULL OR starts_with(action, $5)) AND ($6::text IS NULL OR outcome = $6)
  AND ($7::text IS NULL OR strpos(lower(actor_name), lower($7)) > 0 OR strpos(lower(target), lower($7)) > 0)
ORDER BY at DESC, id DESC
LIMIT $8

-- name: audit_rows_after
-- The audit log of a tenant, oldest first, from a moment and id on: for exports in batches.
SELECT at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_trail
WHERE tenant_id = $1 AND (at, id) > ($2::timestamptz, $3::bigint) AND ($4::timestamptz IS NULL OR at < $4)
ORDER BY at, id
LIMIT $5

-- name: usage_totals
-- What a tenant's callers did since $2: how many calls and searches, how they went, and how long they took (ms).
SELECT count(*) FILTER (WHERE kind = 'call') AS calls,
       count(*) FILTER (WHERE kind = 'search') AS searches,
       count(*) FILTER (WHERE kind = 'call' AND outcome IN ('failed', 'tool error')) AS call_errors,
       count(*) FILTER (WHERE outcome IN ('denied', 'unknown')) AS denied,
       count(*) FILTER (WHERE outcome = 'limited') AS limited,
       count(*) FILTER (WHERE kind = 'search' AND results = 0) AS empty_searches,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE kind = 'call') AS call_p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE kind = 'call') AS call_p95_ms,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE kind = 'search') AS search_p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE kind = 'search') AS search_p95_ms,
       count(DISTINCT key_id) AS keys
FROM tool_calls WHERE tenant_id = $1 AND at >= $2

-- name: usage_over_time
-- The same in steps of $3 since $2, for a chart; steps in which nothing happened are left out.
SELECT date_bin($3::interval, at, $2) AS starts,
       count(*) FILTER (WHERE kind = 'call') AS calls,
       count(*) FILTER (WHERE kind = 'search') AS searches,
       count(*) FILTER (WHERE kind = 'call' AND outcome IN ('failed', 'tool error')) AS call_errors,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms
FROM tool_calls WHERE tenant_id = $1 AND at >= $2
GROUP BY 1 ORDER BY 1

-- name: top_tools
-- The tools that were called most since $2, with how that went.
SELECT c.tool_id, min(t.exposed_name) AS exposed_name, min(s.name) AS server_name, count(*) AS calls,
       count(*) FILTER (WHERE c.outcome IN ('failed', 'tool error')) AS errors,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.duration_ms) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY c.duration_ms) AS p95_ms
FROM tool_calls c
JOIN tools t ON t.tenant_id = c.tenant_id AND t.id = c.tool_id
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE c.tenant_id = $1 AND c.at >= $2 AND c.kind = 'call'
GROUP BY c.tool_id ORDER BY calls DESC, c.tool_id
LIMIT $3

-- name: tools_never_found
-- Live tools that no search has returned, and nobody called, since $2.
WITH used_tools AS (
    SELECT unnest(found) AS tool_id FROM tool_calls WHERE tenant_id = $1 AND at >= $2 AND kind = 'search'
    UNION
    SELECT tool_id FROM tool_calls WHERE tenant_id = $1 AND at >= $2 AND kind = 'call' AND tool_id IS NOT NULL
)
SELECT t.id, t.exposed_name, s.name AS server_name, count(*) OVER () AS total
FROM tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
WHERE t.tenant_id = $1 AND t.removed_at IS NULL AND NOT EXISTS (SELECT FROM used_tools u WHERE u.tool_id = t.id)
ORDER BY t.exposed_name
LIMIT $3

-- name: queries_without_result
-- What was searched for since $2 and not found, most often asked first.
SELECT target AS query, count(*) AS times, max(at) AS last_at
FROM tool_calls WHERE tenant_id = $1 AND at >= $2 AND kind = 'search' AND results = 0 AND outcome = 'ok'
GROUP BY target ORDER BY times DESC, last_at DESC
LIMIT $3

-- name: call_rows
-- Calls and searches c of tenant $1: by key $3 and server $4, with outcome $5 ('problem': any but ok), of kind $6; null
-- leaves a filter out.
SELECT c.at, c.id, c.kind, c.key_id, c.key_name, c.address, c.server_id, s.name AS server_name, c.tool_id, c.target,
       c.outcome, c.duration_ms, c.arguments, c.results, c.error, c.result
FROM tool_calls c LEFT JOIN servers s ON s.tenant_id = c.tenant_id AND s.id = c.server_id
WHERE c.tenant_id = $1 AND ($3::bigint IS NULL OR c.key_id = $3) AND ($4::bigint IS NULL OR c.server_id = $4)
  AND CASE $5::text WHEN 'problem' THEN c.outcome <> 'ok' ELSE $5 IS NULL OR c.outcome = $5 END
  AND ($6::text IS NULL OR c.kind = $6)

-- name: calls_page
-- The last $9 of them before the moment $7 and the id $8 (null: until now), newest first; $2 is no tool, but null.
{{call_rows}} AND ($7::timestamptz IS NULL OR (c.at, c.id) < ($7, $8::bigint)) AND $2::bigint IS NULL
ORDER BY c.at DESC, c.id DESC
LIMIT $9

-- name: calls_of_tool
-- The same of tool $2.
{{call_rows}} AND ($7::timestamptz IS NULL OR (c.at, c.id) < ($7, $8::bigint)) AND c.tool_id = $2
ORDER BY c.at DESC, c.id DESC
LIMIT $9

-- name: calls_of_key
-- The same of key $3, which is given.
{{call_rows}} AND ($7::timestamptz IS NULL OR (c.at, c.id) < ($7, $8::bigint)) AND $2::bigint IS NULL AND c.key_id = $3
ORDER BY c.at DESC, c.id DESC
LIMIT $9

-- name: calls_of_server
-- The same of server $4, which is given.
{{call_rows}} AND ($7::timestamptz IS NULL OR (c.at, c.id) < ($7, $8::bigint)) AND $2::bigint IS NULL AND c.server_id = $4
ORDER BY c.at DESC, c.id DESC
LIMIT $9

-- name: written_calls
-- The same as they were written after $7, oldest first, at most $8; of tool $2 where one is given.
{{call_rows}} AND ($2::bigint IS NULL OR c.tool_id = $2) AND c.id > $7
ORDER BY c.id
LIMIT $8

-- name: last_written_call
-- The id of the call of a tenant that was written last.
SELECT coalesce(max(id), 0) FROM tool_calls WHERE tenant_id = $1
