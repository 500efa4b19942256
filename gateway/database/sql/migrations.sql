-- name: lock_migrations
-- Held to the end of the transaction: two first starts must not both create the table.
SELECT pg_advisory_xact_lock($1)

-- name: lock_migrations_session
-- Held while migrations run, each in a transaction of its own.
SELECT pg_advisory_lock($1)

-- name: unlock_migrations_session
-- Lets the next process look whether there is anything left to do.
SELECT pg_advisory_unlock($1)

-- name: create_schema_migrations
-- The record of what was applied.
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: applied_migrations (lookup)
-- What was applied, oldest first, and whether the version before runs beside it; older tables do not say.
SELECT number, name, checksum, coalesce((to_jsonb(m) ->> 'compatible')::boolean, false) AS compatible
FROM schema_migrations m ORDER BY number

-- name: has_schema_migrations
-- Whether anything was ever applied.
SELECT to_regclass('schema_migrations') IS NOT NULL

-- name: limit_lock_wait
-- How long a statement of the transaction waits for a lock.
SELECT set_config('lock_timeout', $1, true)

-- name: records_compatibility
-- Whether the table says what the version before can do with a migration.
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attname = 'compatible')

-- name: record_compatibility
-- The version before runs on a database with this migration.
UPDATE schema_migrations SET compatible = true WHERE number = $1

-- name: record_migration
-- Written in the transaction of the migration itself.
INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)

-- name: server_version
-- The version of PostgreSQL as a number, and of pgvector: installed in this database, else what could be installed.
SELECT current_setting('server_version_num')::int AS postgresql,
       coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'),
                (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')) AS pgvector

-- name: database_time
-- What time the database has.
SELECT clock_timestamp()
