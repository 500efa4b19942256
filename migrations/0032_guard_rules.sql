-- Guards around what goes to servers and comes from them, and what they did in the trace.

CREATE TABLE guard_rules (
    tenant_id bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_. -]{0,62}$'),
    -- Rules are gone through by this, and by name where it is the same.
    position integer NOT NULL DEFAULT 100 CHECK (position BETWEEN 0 AND 1000000),
    guard text NOT NULL,
    action text NOT NULL CHECK (action IN ('observe', 'mask', 'deny')),
    stages text[] NOT NULL CHECK (cardinality(stages) > 0),
    subjects text[] NOT NULL CHECK (cardinality(subjects) > 0),
    -- What it is about; null leaves it open.
    role_id bigint,
    server_id bigint,
    pattern text CHECK (length(pattern) BETWEEN 1 AND 200),
    category text,
    fail text NOT NULL DEFAULT 'closed' CHECK (fail IN ('open', 'closed')),
    budget_ms integer NOT NULL DEFAULT 300 CHECK (budget_ms BETWEEN 1 AND 60000),
    enabled boolean NOT NULL DEFAULT true,
    options jsonb NOT NULL DEFAULT '{}',
    -- What a webhook's requests are signed with.
    sealed_secret bytea,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX guard_rules_of_role ON guard_rules (tenant_id, role_id) WHERE role_id IS NOT NULL;
CREATE INDEX guard_rules_of_server ON guard_rules (tenant_id, server_id) WHERE server_id IS NOT NULL;

INSERT INTO traced_columns (table_name, column_name)
SELECT 'guard_rules', unnest(ARRAY['name', 'position', 'guard', 'action', 'stages', 'subjects', 'pattern', 'category',
                                   'fail', 'budget_ms', 'enabled']);
INSERT INTO traced_columns (table_name, column_name, shown) VALUES
    ('guard_rules', 'role_id', 'role'),
    ('guard_rules', 'server_id', 'server'),
    -- Addresses may hold secrets; the rule itself shows them.
    ('guard_rules', 'options', 'secret'),
    ('guard_rules', 'sealed_secret', 'secret');
CREATE TRIGGER trace AFTER INSERT OR DELETE ON guard_rules
FOR EACH ROW EXECUTE FUNCTION trace_change('guard', 'name');
-- To seal a secret anew is nobody's decision.
CREATE TRIGGER trace_update AFTER UPDATE ON guard_rules
FOR EACH ROW WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION trace_change('guard', 'name');

-- What guards found in a call: for each that found anything its rule, guard, stage, verdict and count.
ALTER TABLE tool_calls ADD COLUMN guards jsonb;

CREATE OR REPLACE VIEW audit_trail AS
SELECT tenant_id, at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_log
UNION ALL
SELECT tenant_id, at, id, 'key', key_id, key_name, roles, address,
       CASE kind WHEN 'call' THEN 'tool.call' ELSE 'tool.search' END, target, outcome, duration_ms,
       jsonb_strip_nulls(jsonb_build_object('arguments', arguments, 'query_hash', encode(query_hash, 'hex'),
                                            'results', results, 'found', to_jsonb(found), 'error', error, 'result', result,
                                            'guards', guards))
FROM tool_calls;
