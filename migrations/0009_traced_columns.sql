-- The trace shows of a row what is named here and nothing else, and things by their names. What was shown was all that is
-- not known as a secret: sealed grants, arguments without a telling word, user and password of an API document's address.

-- How a column of an audited table is shown. `plain`: as it is, addresses and known kinds of secrets in it masked; `secret`:
-- only that it changed; `presence`: only whether there is one; `address`: a URL without user, query and fragment; `options`:
-- arguments of a command, of which only the names of options; else the thing whose id it is, by its name.
CREATE TABLE traced_columns (
    table_name text NOT NULL,
    column_name text NOT NULL,
    shown text NOT NULL DEFAULT 'plain' CHECK (shown IN (
        'plain', 'secret', 'presence', 'address', 'options', 'tenant', 'server', 'tool', 'role', 'key', 'admin')),
    PRIMARY KEY (table_name, column_name)
);

INSERT INTO traced_columns (table_name, column_name)
SELECT named[1], unnest(string_to_array(named[2], ' ')) FROM (VALUES
    (ARRAY['tenants', 'slug name suspended_at']),
    (ARRAY['servers', 'name slug description transport command cwd limits enabled session idle_stop_seconds '
                      'sync_every_seconds prefix credential on_change pinned_version']),
    (ARRAY['roles', 'name description default_visibility kind list_mode']),
    (ARRAY['role_rules', 'pattern category visibility']),
    (ARRAY['api_keys', 'name hint note expires_at revoked_at requests_per_minute concurrent_calls calls_per_day']),
    (ARRAY['tool_flags', 'rule place severity excerpt reason dismissed_at']),
    (ARRAY['tools', 'approved_hash approved_by approved_at quarantine']),
    (ARRAY['admins', 'name role every_tenant issuer subject']),
    (ARRAY['admin_tokens', 'name hint role expires_at'])) AS t (named);

INSERT INTO traced_columns (table_name, column_name, shown) VALUES
    ('servers', 'args', 'options'),
    ('servers', 'url', 'address'),
    ('servers', 'document_url', 'address'),
    ('servers', 'document', 'secret'),
    ('servers', 'sealed_secrets', 'secret'),
    -- A renewal is nobody's decision; to sign in is.
    ('servers', 'sealed_grant', 'presence'),
    ('role_rules', 'role_id', 'role'),
    ('role_rules', 'server_id', 'server'),
    ('role_rules', 'tool_id', 'tool'),
    ('api_keys', 'hash', 'secret'),
    ('api_keys', 'replaces', 'key'),
    ('api_key_roles', 'key_id', 'key'),
    ('api_key_roles', 'role_id', 'role'),
    ('tool_flags', 'tool_id', 'tool'),
    ('admins', 'password_hash', 'secret'),
    ('admin_tenants', 'admin_id', 'admin'),
    ('admin_tenants', 'tenant_id', 'tenant'),
    ('admin_tokens', 'admin_id', 'admin'),
    ('admin_tokens', 'hash', 'secret');

-- What the thing of an id is called; null where it is gone.
CREATE FUNCTION name_in_trace(kind text, tenant bigint, ref bigint) RETURNS text LANGUAGE sql STABLE AS $$
SELECT CASE kind
    WHEN 'tenant' THEN (SELECT slug FROM tenants WHERE id = ref)
    WHEN 'server' THEN (SELECT name FROM servers WHERE tenant_id = tenant AND id = ref)
    WHEN 'tool' THEN (SELECT exposed_name FROM tools WHERE tenant_id = tenant AND id = ref)
    WHEN 'role' THEN (SELECT name FROM roles WHERE tenant_id = tenant AND id = ref)
    WHEN 'key' THEN (SELECT name FROM api_keys WHERE tenant_id = tenant AND id = ref)
    WHEN 'admin' THEN (SELECT name FROM admins WHERE id = ref)
END
$$;

-- A text without user and password of an address and without known kinds of secrets.
CREATE FUNCTION text_in_trace(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT regexp_replace(regexp_replace(value, '://[^/?#[:space:]"]*@', '://********@', 'g'),
    'mg_[0-9a-f]{64}|(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}'
    '|xox[a-z]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{8,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}'
    '|(?:Bearer|Basic)[[:space:]]+[A-Za-z0-9._~+/=-]{12,}', '********', 'g')
$$;

-- An argument of a command: the name of an option, without what it is set to; of anything else nothing.
CREATE FUNCTION option_in_trace(argument text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
    WHEN argument ~ '^(-[A-Za-z]|--[a-z][a-z-]{0,40})$' THEN argument
    WHEN argument ~ '^--[a-z][a-z-]{0,40}=' THEN split_part(argument, '=', 1) || '=********'
    ELSE '********'
END
$$;

DROP FUNCTION shown_in_trace(text, jsonb);
-- A column's value as the trace may show it.
CREATE FUNCTION shown_in_trace(shown text, value jsonb, tenant bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT CASE
    WHEN shown = 'presence' THEN to_jsonb(coalesce(value, 'null') <> 'null')
    WHEN value IS NULL OR value = 'null'::jsonb THEN value
    WHEN shown = 'secret' THEN '"********"'::jsonb
    WHEN shown = 'address' AND value #>> '{}' ~ '^[^/]*//[^/?#]*[/?#].*@' THEN '"********"'::jsonb
    WHEN shown = 'address'
        THEN to_jsonb(regexp_replace(regexp_replace(value #>> '{}', '//[^/@]*@', '//'), '[?#].*$', ''))
    WHEN shown = 'options' AND jsonb_typeof(value) = 'array'
        THEN (SELECT coalesce(jsonb_agg(option_in_trace(argument) ORDER BY place), '[]')
              FROM jsonb_array_elements_text(value) WITH ORDINALITY AS a (argument, place))
    WHEN shown NOT IN ('plain', 'address', 'options') THEN to_jsonb(name_in_trace(shown, tenant, (value #>> '{}')::bigint))
    WHEN shown <> 'plain' THEN '"********"'::jsonb
    WHEN jsonb_typeof(value) IN ('number', 'boolean') THEN value
    WHEN jsonb_typeof(value) <> 'string' AND length(value::text) <= 2000 THEN text_in_trace(value::text)::jsonb
    WHEN length(value #>> '{}') > 2000 THEN to_jsonb(left(text_in_trace(left(value #>> '{}', 4000)), 2000) || '…')
    ELSE to_jsonb(text_in_trace(value #>> '{}'))
END
$$;

-- Writes a change of a row to the trace, in the transaction of the change, with who makes it as `modelgate.actor` says.
-- Arguments: what such a row is called; the column that names it. A change of nothing that is shown is no change, but for a
-- table of which nothing is: then it is written that it was changed.
CREATE OR REPLACE FUNCTION trace_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor jsonb := coalesce(nullif(current_setting('modelgate.actor', true), '')::jsonb, '{}');
    was jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) END;
    has jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) END;
    subject jsonb := CASE WHEN TG_OP = 'DELETE' THEN was ELSE has END;
    tenant bigint := CASE WHEN TG_TABLE_NAME = 'tenants' THEN (subject ->> 'id')::bigint
                          ELSE coalesce((subject ->> 'tenant_id')::bigint, 0) END;
    columns bigint;
    details jsonb;
    reference text;
    target text;
BEGIN
    SELECT count(*), jsonb_object_agg(
               CASE WHEN c.shown IN ('tenant', 'server', 'tool', 'role', 'key', 'admin')
                    THEN regexp_replace(c.column_name, '_id$', '') ELSE c.column_name END,
               CASE TG_OP WHEN 'INSERT' THEN v.after WHEN 'DELETE' THEN v.before
                    ELSE jsonb_build_array(v.before, v.after) END)
           FILTER (WHERE CASE c.shown WHEN 'presence' THEN coalesce(v.before, 'false') <> coalesce(v.after, 'false')
                         ELSE coalesce(was -> c.column_name, 'null') <> coalesce(has -> c.column_name, 'null') END)
    INTO columns, details
    FROM traced_columns c CROSS JOIN LATERAL (
        SELECT CASE WHEN TG_OP <> 'INSERT' THEN shown_in_trace(c.shown, was -> c.column_name, tenant) END AS before,
               CASE WHEN TG_OP <> 'DELETE' THEN shown_in_trace(c.shown, has -> c.column_name, tenant) END AS after
    ) v
    WHERE c.table_name = TG_TABLE_NAME;
    IF TG_OP = 'UPDATE' AND columns > 0 AND details IS NULL THEN
        RETURN NULL;
    END IF;
    target := subject ->> TG_ARGV[1];
    SELECT c.shown INTO reference FROM traced_columns c
    WHERE c.table_name = TG_TABLE_NAME AND c.column_name = TG_ARGV[1]
      AND c.shown IN ('tenant', 'server', 'tool', 'role', 'key', 'admin');
    IF reference IS NOT NULL THEN
        target := name_in_trace(reference, tenant, target::bigint);
        IF target IS NULL AND TG_OP = 'DELETE' THEN
            -- It went with what it belonged to, which the trace says.
            RETURN NULL;
        END IF;
    END IF;
    IF to_regclass('audit_log' || to_char(now() AT TIME ZONE 'UTC', '"_"YYYY"_"MM')) IS NULL THEN
        PERFORM make_trace_partitions(now());
    END IF;
    INSERT INTO audit_log (tenant_id, at, actor_kind, actor_id, actor_name, roles, address, action, target, outcome,
                           duration_ms, details)
    VALUES (tenant, clock_timestamp(), coalesce(actor ->> 'kind', 'database'), (actor ->> 'id')::bigint,
            coalesce(actor ->> 'name', session_user::text),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(actor -> 'roles', '[]'))), coalesce(actor ->> 'address', ''),
            TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.added' WHEN 'DELETE' THEN '.removed' ELSE '.changed' END,
            coalesce(target, subject ->> 'id', ''), 'ok',
            extract(epoch FROM clock_timestamp() - now()) * 1000,
            jsonb_strip_nulls(jsonb_build_object('id', subject -> 'id')) || coalesce(details, '{}'));
    RETURN NULL;
END
$$;

-- What hangs on a role or a server goes while that has a name that the trace can show.
CREATE FUNCTION remove_what_hangs_on_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM api_key_roles WHERE tenant_id = OLD.tenant_id AND role_id = OLD.id;
    DELETE FROM role_rules WHERE tenant_id = OLD.tenant_id AND role_id = OLD.id;
    RETURN OLD;
END
$$;
CREATE TRIGGER remove_what_hangs_on BEFORE DELETE ON roles FOR EACH ROW EXECUTE FUNCTION remove_what_hangs_on_role();

CREATE FUNCTION remove_rules_about_server() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM role_rules r WHERE r.tenant_id = OLD.tenant_id AND (r.server_id = OLD.id OR r.tool_id IN (
        SELECT t.id FROM tools t WHERE t.tenant_id = OLD.tenant_id AND t.server_id = OLD.id));
    RETURN OLD;
END
$$;
CREATE TRIGGER remove_rules_about BEFORE DELETE ON servers FOR EACH ROW EXECUTE FUNCTION remove_rules_about_server();

-- Whoever owns the tables may mask what rows say, through redact_trace and nothing else of them.
CREATE OR REPLACE FUNCTION refuse_trace_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    maskable CONSTANT text[] := '{arguments,error,target,details}';
BEGIN
    IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' AND current_setting('modelgate.redacting', true) = 'on' THEN
        IF pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
           AND to_jsonb(NEW) - maskable = to_jsonb(OLD) - maskable THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% may only be added to; old rows go with their partition', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Masks what rows before a moment say of arguments, queries, errors, values and addresses of resources; who did what, when
-- and how it went stays. Written to the trace of every tenant concerned, and of the gateway as a whole. How many rows.
CREATE FUNCTION redact_trace(moment timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    mask CONSTANT text := '********';
    actor jsonb := coalesce(nullif(current_setting('modelgate.actor', true), '')::jsonb, '{}');
    total bigint;
BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'audit_log'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the tables may redact the trace' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM make_trace_partitions(now());
    PERFORM set_config('modelgate.redacting', 'on', true);
    WITH calls AS (
        UPDATE tool_calls SET
            arguments = CASE WHEN arguments IS NOT NULL THEN to_jsonb(mask) END,
            error = CASE WHEN error IS NOT NULL THEN mask END,
            target = CASE WHEN kind = 'search' OR outcome = 'unknown' THEN mask ELSE target END
        WHERE at < moment AND (arguments <> to_jsonb(mask) OR error <> mask
                               OR ((kind = 'search' OR outcome = 'unknown') AND target <> mask))
        RETURNING tenant_id
    ), masked AS (
        SELECT a.tenant_id, a.at, a.id, a.action LIKE 'resource.%' AS by_address,
               coalesce((SELECT jsonb_object_agg(key, CASE WHEN key IN ('id', 'server') THEN value ELSE to_jsonb(mask) END)
                         FROM jsonb_each(CASE WHEN jsonb_typeof(a.details) = 'object' THEN a.details ELSE '{}' END)), '{}') AS details
        FROM audit_log a WHERE a.at < moment AND a.action <> 'audit.redacted'
    ), events AS (
        UPDATE audit_log a SET details = m.details, target = CASE WHEN m.by_address THEN mask ELSE a.target END
        FROM masked m
        WHERE a.tenant_id = m.tenant_id AND a.at = m.at AND a.id = m.id AND a.at < moment
          AND (a.details <> m.details OR (m.by_address AND a.target <> mask))
        RETURNING a.tenant_id
    ), rows AS (
        SELECT tenant_id, count(*) AS count FROM (SELECT tenant_id FROM calls UNION ALL SELECT tenant_id FROM events) r
        GROUP BY tenant_id
    ), written AS (
        INSERT INTO audit_log (tenant_id, at, actor_kind, actor_id, actor_name, action, target, outcome, duration_ms, details)
        SELECT w.tenant_id, clock_timestamp(), coalesce(actor ->> 'kind', 'database'), (actor ->> 'id')::bigint,
               coalesce(actor ->> 'name', session_user::text), 'audit.redacted',
               'before ' || to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'ok',
               extract(epoch FROM clock_timestamp() - now()) * 1000, jsonb_build_object('rows', w.count)
        FROM (SELECT tenant_id, count FROM rows WHERE tenant_id <> 0
              UNION ALL SELECT 0, coalesce(sum(count), 0)::bigint FROM rows) w
    )
    SELECT coalesce(sum(count), 0) INTO total FROM rows;
    PERFORM set_config('modelgate.redacting', '', true);
    RETURN total;
END
$$;
