-- name: stored_tables
-- Tables that hold rows, their columns but for those that are computed, and of a partition its parent and bounds.
SELECT c.relname AS name, parent.relname AS parent, pg_get_expr(c.relpartbound, c.oid) AS bounds,
       array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       array_agg(a.atttypid = 'bytea'::regtype ORDER BY a.attnum) AS holds_bytes
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                   -- Numbers of transactions mean nothing in another database.
                   AND a.atttypid <> 'xid8'::regtype
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class parent ON parent.oid = i.inhparent
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = c.tableoid AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.oid, c.relname, parent.relname
ORDER BY c.relname

-- name: sequence_positions
-- How far the sequences have come that have been used.
SELECT sequencename::text AS name, last_value FROM pg_sequences
WHERE schemaname = current_schema() AND last_value IS NOT NULL
ORDER BY sequencename

-- name: set_sequence
-- Let a sequence go on after $2.
SELECT setval(format('%I.%I', current_schema(), $1::text)::regclass, $2)

-- name: other_gateway_connections
-- How many connections gateways and their commands have to this database, but for backups.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'modelgate%' AND application_name <> 'modelgate backup'

-- name: schema_is_used
-- Whether they hold anything that somebody has made.
SELECT EXISTS (SELECT 1 FROM servers) OR EXISTS (SELECT 1 FROM api_keys) OR EXISTS (SELECT 1 FROM admins)
    OR (SELECT count(*) FROM tenants) > 1 OR (SELECT count(*) FROM roles) > 1

-- name: has_persons
-- Whether anybody has signed in.
SELECT EXISTS (SELECT FROM persons)

-- name: has_guard_rules
-- Whether there are guards.
SELECT EXISTS (SELECT FROM guard_rules)

-- name: end_open_approvals
-- No call is let through by what was asked or allowed up to now.
UPDATE call_approvals
SET is_open = false, state = CASE WHEN state IN ('asked', 'approved') THEN 'expired' ELSE state END, tell_at = NULL
WHERE is_open

-- name: set_installation
-- What tells this database, which has been restored, from others; what it has been restored from is what it was before.
UPDATE installation
SET former_ids = CASE WHEN id = $1::text::uuid THEN former_ids ELSE array_append(former_ids, id) END,
    id = $1::text::uuid, database = NULL

-- name: schema_objects
-- What is in the schema, but for parts of others and of extensions, and the statement that drops it.
SELECT kind, name, format('DROP %s IF EXISTS %s CASCADE', kind, identity) AS drop_statement
FROM (
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END
           AS kind, relname::text AS name, oid::regclass::text AS identity, tableoid AS class, oid, 1 AS place
    FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT relispartition AND relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'FUNCTION', proname::text, oid::regprocedure::text, tableoid, oid, 2
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'TYPE', typname::text, oid::regtype::text, tableoid, oid, 3
    FROM pg_type WHERE typtype IN ('e', 'd') AND typnamespace = current_schema()::regnamespace
) AS found
WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = found.class AND d.objid = found.oid
                  AND d.refobjid <> d.objid AND d.deptype IN ('e', 'a', 'i'))
ORDER BY place, name

-- name: foreign_keys
-- The statements that take foreign keys away, and that make and so check them again.
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop_statement,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
       AS add_statement
FROM pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace
ORDER BY conrelid::regclass::text, conname

-- name: loading_statements
-- The statements around the loading of tables: without what triggers would make of it, and without what was there.
SELECT format('ALTER TABLE %I DISABLE TRIGGER USER', relname) AS disable_triggers,
       format('ALTER TABLE %I ENABLE TRIGGER USER', relname) AS enable_triggers,
       format('DELETE FROM %I', relname) AS empty
FROM pg_class
WHERE relname = ANY($1::text[]) AND relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
ORDER BY relname

-- name: make_month
-- The partitions of the trace for the month that $1 is in.
SELECT make_trace_partitions($1)

-- name: close_cursors
-- Those that a migration read with would keep its tables from being changed until the transaction ends.
CLOSE ALL
