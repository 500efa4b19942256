-- The person behind a call, where it is not the key by itself: who signed in, or for whom the key acts.
ALTER TABLE tool_calls ADD COLUMN person text;

CREATE OR REPLACE VIEW audit_trail AS
SELECT tenant_id, at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_log
UNION ALL
SELECT tenant_id, at, id, 'key', key_id, key_name, roles, address,
       CASE kind WHEN 'call' THEN 'tool.call' ELSE 'tool.search' END, target, outcome, duration_ms,
       jsonb_strip_nulls(jsonb_build_object('arguments', arguments, 'query_hash', encode(query_hash, 'hex'),
                                            'results', results, 'found', to_jsonb(found), 'error', error, 'result', result,
                                            'guards', guards, 'person', person))
FROM tool_calls;
