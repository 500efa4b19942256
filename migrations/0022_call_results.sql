-- What a call came to: the head of its result, and the ways to the last calls of a key and of a server.

ALTER TABLE tool_calls ADD COLUMN result text;
CREATE INDEX tool_calls_of_key ON tool_calls (tenant_id, key_id, at);
CREATE INDEX tool_calls_of_server ON tool_calls (tenant_id, server_id, at) WHERE server_id IS NOT NULL;
-- In the order in which they were written, for those who follow them.
CREATE INDEX tool_calls_written ON tool_calls (tenant_id, id);

CREATE OR REPLACE VIEW audit_trail AS
SELECT tenant_id, at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_log
UNION ALL
SELECT tenant_id, at, id, 'key', key_id, key_name, roles, address,
       CASE kind WHEN 'call' THEN 'tool.call' ELSE 'tool.search' END, target, outcome, duration_ms,
       jsonb_strip_nulls(jsonb_build_object('arguments', arguments, 'query_hash', encode(query_hash, 'hex'),
                                            'results', results, 'found', to_jsonb(found), 'error', error, 'result', result))
FROM tool_calls;

-- Results are masked as arguments are.
DO $$
DECLARE
    redacting text := pg_get_functiondef('redact_trace(timestamptz)'::regprocedure);
    refusing text := pg_get_functiondef('refuse_trace_change()'::regprocedure);
BEGIN
    EXECUTE replace(replace(redacting,
        'error = CASE WHEN error IS NOT NULL THEN mask END,',
        'error = CASE WHEN error IS NOT NULL THEN mask END, result = CASE WHEN result IS NOT NULL THEN mask END,'),
        'OR error <> mask', 'OR error <> mask OR result <> mask');
    EXECUTE replace(refusing, '{arguments,error,target,details}', '{arguments,error,result,target,details}');
END
$$;
