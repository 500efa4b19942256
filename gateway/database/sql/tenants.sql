-- name: tenant_by_slug
-- One tenant.
SELECT id, slug, name, suspended_at, catalogue_version FROM tenants WHERE slug = $1

-- name: list_tenants
-- All tenants.
SELECT id, slug, name, suspended_at, catalogue_version FROM tenants ORDER BY slug

-- name: insert_tenant
-- A new tenant.
INSERT INTO tenants (slug, name) VALUES ($1, $2) RETURNING id, slug, name, suspended_at, catalogue_version

-- name: rename_tenant
-- Another name; the slug stays, for keys, files and scripts go by it.
UPDATE tenants SET name = $2 WHERE id = $1 RETURNING id

-- name: suspend_tenant
-- From its commit on no key of the tenant opens anything ($2 true), or they do again ($2 false).
WITH changed AS (
    UPDATE tenants SET suspended_at = CASE WHEN $2 THEN coalesce(suspended_at, now()) END WHERE id = $1 RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', id)::text) FROM changed

-- name: delete_tenant (bulk)
-- A tenant with everything that is its own.
WITH deleted AS (
    DELETE FROM tenants WHERE id = $1 RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', id)::text) FROM deleted

-- name: bump_catalogue_version
-- Say that what callers of a tenant may see has changed: to this process and all others, at commit. Until then no other
-- such change of the tenant begins, so that each is resolved from what the former left.
WITH bumped AS (
    UPDATE tenants SET catalogue_version = catalogue_version + 1 WHERE id = $1 RETURNING id, catalogue_version
)
SELECT pg_notify('modelgate', json_build_object('tenant', id, 'catalogue', catalogue_version)::text) FROM bumped

-- name: tenant_slug (lookup)
-- What a tenant goes by.
SELECT slug FROM tenants WHERE id = $1
