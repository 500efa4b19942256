-- What is held against a tool, the versions that a server can go back to, and the trace that every use leaves.

ALTER TABLE servers
    -- What happens when a tool is not as it was approved.
    ADD COLUMN on_change text NOT NULL DEFAULT 'flag' CHECK (on_change IN ('accept', 'flag', 'quarantine')),
    -- The version whose tools are offered whatever the server lists; null: the newest.
    ADD COLUMN pinned_version integer;

-- Every definition that a version refers to, once.
CREATE TABLE tool_definitions (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    content_hash bytea NOT NULL,
    definition json NOT NULL,
    PRIMARY KEY (tenant_id, server_id, content_hash),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE server_versions
    -- Whether a caller of the former version can be broken by this one.
    ADD COLUMN breaking boolean NOT NULL DEFAULT false,
    -- Tools that are the same but for their name: [[before, after]]; they stand among the removed and the added too.
    ADD COLUMN renamed jsonb NOT NULL DEFAULT '[]',
    -- False: what a pinned server listed, and was not taken over.
    ADD COLUMN applied boolean NOT NULL DEFAULT true,
    -- The version that was gone back to; null: what the server listed.
    ADD COLUMN restores integer;

-- The whole of a version: its tools, in the order of their names.
CREATE TABLE server_version_tools (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    content_hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, server_id, version, name),
    FOREIGN KEY (tenant_id, server_id, version) REFERENCES server_versions ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id, content_hash) REFERENCES tool_definitions ON DELETE CASCADE
);
ALTER TABLE servers ADD FOREIGN KEY (tenant_id, id, pinned_version) REFERENCES server_versions;

-- Vectors of texts that a tool had in former versions.
CREATE TABLE former_embeddings (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    space_id bigint NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    text_hash bytea NOT NULL,
    name_embedding halfvec NOT NULL,
    description_embedding halfvec NOT NULL,
    combined_embedding halfvec NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, tool_id, space_id, text_hash),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE tools
    -- The definition that was last approved; another content_hash is a tool that has changed since.
    ADD COLUMN approved_hash bytea,
    -- When an admin approved it; null: it was taken on trust.
    ADD COLUMN approved_at timestamptz,
    -- Why the tool is hidden and not callable until it is approved; null: it is not.
    ADD COLUMN quarantine text CHECK (quarantine <> ''),
    ADD COLUMN quarantined boolean GENERATED ALWAYS AS (quarantine IS NOT NULL) STORED;

-- What a scan has found in the definition that a tool has now.
CREATE TABLE tool_flags (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    rule text NOT NULL,
    -- Where in the definition, as a JSON pointer.
    place text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    excerpt text NOT NULL,
    reason text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- When an admin approved the tool as it is.
    dismissed_at timestamptz,
    PRIMARY KEY (tenant_id, tool_id, rule, place),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

-- The trace. A tenant's rows outlive the tenant, so tenant_id refers to nothing; 0 is the gateway itself.
CREATE SEQUENCE trace_ids;

CREATE TABLE tool_calls (
    tenant_id bigint NOT NULL,
    at timestamptz NOT NULL,
    id bigint NOT NULL DEFAULT nextval('trace_ids'),
    kind text NOT NULL CHECK (kind IN ('call', 'search')),
    key_id bigint NOT NULL,
    key_name text NOT NULL,
    roles text[] NOT NULL,
    address text NOT NULL,
    server_id bigint,
    tool_id bigint,
    -- The name that was called, or the queries that were asked.
    target text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('ok', 'tool error', 'failed', 'denied', 'unknown', 'limited', 'invalid')),
    duration_ms double precision NOT NULL,
    arguments jsonb,
    -- SHA-256 of the queries.
    query_hash bytea,
    results integer,
    -- The ids of the tools that a search returned.
    found bigint[],
    error text,
    PRIMARY KEY (tenant_id, at, id)
) PARTITION BY RANGE (at);
CREATE INDEX tool_calls_of_tool ON tool_calls (tenant_id, tool_id, at) WHERE tool_id IS NOT NULL;

CREATE TABLE audit_log (
    tenant_id bigint NOT NULL,
    at timestamptz NOT NULL,
    id bigint NOT NULL DEFAULT nextval('trace_ids'),
    actor_kind text NOT NULL,
    actor_id bigint,
    actor_name text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    address text NOT NULL DEFAULT '',
    action text NOT NULL,
    target text NOT NULL,
    outcome text NOT NULL,
    duration_ms double precision NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, at, id)
) PARTITION BY RANGE (at);

CREATE FUNCTION refuse_trace_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% may only be added to; old rows go with their partition', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER add_only BEFORE UPDATE OR DELETE ON tool_calls FOR EACH ROW EXECUTE FUNCTION refuse_trace_change();
CREATE TRIGGER add_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_trace_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON tool_calls EXECUTE FUNCTION refuse_trace_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_log EXECUTE FUNCTION refuse_trace_change();

-- Makes the partitions of the month (UTC) in which a moment lies. With the rights of the owner, so that the gateway's
-- database user needs none but to add rows and to read them.
CREATE FUNCTION make_trace_partitions(moment timestamptz) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    month timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    parent text;
    part text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['tool_calls', 'audit_log'] LOOP
        part := parent || to_char(month, '"_"YYYY"_"MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(1836016457);
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        -- A table that is attached keeps nobody from reading and writing the others, unlike one made as a partition.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part,
                       month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_trace_change()', part);
    END LOOP;
END
$$;

-- Drops the partitions of one table that end before a moment, and returns their names.
CREATE FUNCTION drop_trace_partitions(parent regclass, moment timestamptz) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    part text;
    dropped text[] := '{}';
BEGIN
    -- Another process may be about to drop the same ones.
    PERFORM pg_advisory_xact_lock(1836016458);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent AND parent IN ('tool_calls'::regclass, 'audit_log'::regclass)
          AND to_timestamp(right(c.relname, 7) || ' +00', 'YYYY_MM TZH') + interval '1 month' <= least(moment, now() - interval '1 day')
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped || part;
    END LOOP;
    RETURN dropped;
END
$$;

SELECT make_trace_partitions(now()), make_trace_partitions(now() + interval '1 month');

-- One shape for both: who did what to which thing, and how that went.
CREATE VIEW audit_trail AS
SELECT tenant_id, at, id, actor_kind, actor_id, actor_name, roles, address, action, target, outcome, duration_ms, details
FROM audit_log
UNION ALL
SELECT tenant_id, at, id, 'key', key_id, key_name, roles, address,
       CASE kind WHEN 'call' THEN 'tool.call' ELSE 'tool.search' END, target, outcome, duration_ms,
       jsonb_strip_nulls(jsonb_build_object('arguments', arguments, 'query_hash', encode(query_hash, 'hex'),
                                            'results', results, 'found', to_jsonb(found), 'error', error))
FROM tool_calls;

-- A column's value as the trace may show it: without secrets.
CREATE FUNCTION shown_in_trace(name text, value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN value IS NULL OR value = 'null'::jsonb THEN value
    WHEN name ~ '(hash|secret|password|token|cookie|nonce|verifier)' THEN '"********"'::jsonb
    WHEN name = 'url' THEN to_jsonb(regexp_replace(regexp_replace(value #>> '{}', '//[^/@]*@', '//'), '[?#].*$', ''))
    WHEN name = 'args' AND value::text ~* '(key|token|secret|passw|bearer|credential|sk-|gh[pousr]_|xox|://[^/]*@)'
        THEN '["********"]'::jsonb
    WHEN length(value::text) > 2000 THEN to_jsonb(left(value::text, 2000) || '…')
    ELSE value
END
$$;

-- Writes a change of a row to the trace, in the transaction of the change, with who makes it as `modelgate.actor` says.
-- Arguments: what such a row is called; the column that names it. What changes by itself at every use is no change.
CREATE FUNCTION trace_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor jsonb := coalesce(nullif(current_setting('modelgate.actor', true), '')::jsonb, '{}');
    was jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) END;
    has jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) END;
    shown jsonb;
    subject jsonb := CASE WHEN TG_OP = 'DELETE' THEN was ELSE has END;
BEGIN
    SELECT jsonb_object_agg(name, CASE TG_OP
               WHEN 'INSERT' THEN shown_in_trace(name, has -> name)
               WHEN 'DELETE' THEN shown_in_trace(name, was -> name)
               ELSE jsonb_build_array(shown_in_trace(name, was -> name), shown_in_trace(name, has -> name)) END)
    INTO shown
    FROM jsonb_object_keys(subject) AS name
    WHERE (was -> name) IS DISTINCT FROM (has -> name) AND coalesce(was -> name, 'null') <> coalesce(has -> name, 'null')
      AND name NOT IN ('id', 'tenant_id', 'version', 'created_at', 'catalogue_version', 'last_used_at', 'used_at',
                       'signed_in_at', 'synced_at', 'sync_error', 'sync_failed_at', 'skipped_tools', 'instructions',
                       'server_info', 'protocol_version', 'capabilities', 'found_at', 'definition', 'content_hash',
                       'updated_at', 'term_count', 'position', 'quarantined');
    IF shown IS NULL AND TG_OP = 'UPDATE' THEN
        RETURN NULL;
    END IF;
    IF to_regclass('audit_log' || to_char(now() AT TIME ZONE 'UTC', '"_"YYYY"_"MM')) IS NULL THEN
        PERFORM make_trace_partitions(now());
    END IF;
    INSERT INTO audit_log (tenant_id, at, actor_kind, actor_id, actor_name, roles, address, action, target, outcome,
                           duration_ms, details)
    VALUES (CASE WHEN TG_TABLE_NAME = 'tenants' THEN (subject ->> 'id')::bigint
                 ELSE coalesce((subject ->> 'tenant_id')::bigint, 0) END,
            clock_timestamp(), coalesce(actor ->> 'kind', 'database'), (actor ->> 'id')::bigint,
            coalesce(actor ->> 'name', session_user::text),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(actor -> 'roles', '[]'))), coalesce(actor ->> 'address', ''),
            TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.added' WHEN 'DELETE' THEN '.removed' ELSE '.changed' END,
            coalesce(subject ->> TG_ARGV[1], subject ->> 'id', ''), 'ok',
            extract(epoch FROM clock_timestamp() - now()) * 1000,
            jsonb_strip_nulls(jsonb_build_object('id', subject -> 'id')) || coalesce(shown, '{}'));
    RETURN NULL;
END
$$;

CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON tenants
FOR EACH ROW EXECUTE FUNCTION trace_change('tenant', 'slug');
CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON servers
FOR EACH ROW EXECUTE FUNCTION trace_change('server', 'name');
CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON roles
FOR EACH ROW EXECUTE FUNCTION trace_change('role', 'name');
CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON role_rules
FOR EACH ROW EXECUTE FUNCTION trace_change('rule', 'role_id');
CREATE TRIGGER trace AFTER INSERT OR DELETE ON api_keys
FOR EACH ROW EXECUTE FUNCTION trace_change('key', 'name');
-- Uses are written for many keys at once, and are in the trace by themselves.
CREATE TRIGGER trace_update AFTER UPDATE ON api_keys
FOR EACH ROW WHEN (OLD.last_used_at IS NOT DISTINCT FROM NEW.last_used_at)
EXECUTE FUNCTION trace_change('key', 'name');
CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON api_key_roles
FOR EACH ROW EXECUTE FUNCTION trace_change('key role', 'key_id');
CREATE TRIGGER trace AFTER INSERT OR UPDATE ON tool_flags
FOR EACH ROW EXECUTE FUNCTION trace_change('flag', 'rule');
CREATE TRIGGER trace AFTER UPDATE ON tools
FOR EACH ROW WHEN ((OLD.quarantine, OLD.approved_hash) IS DISTINCT FROM (NEW.quarantine, NEW.approved_hash))
EXECUTE FUNCTION trace_change('tool', 'exposed_name');
