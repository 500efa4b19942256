-- name: tenant_by_slug
-- One tenant.
SELECT id, slug, name, suspended_at, catalogue_version FROM tenants WHERE slug = $1

-- name: bump_catalogue
-- Say that what callers of a tenant may see has changed: to this process and all others, at commit.
WITH bumped AS (
    UPDATE tenants SET catalogue_version = catalogue_version + 1 WHERE id = $1 RETURNING id, catalogue_version
)
SELECT pg_notify('modelgate', json_build_object('tenant', id, 'catalogue', catalogue_version)::text) FROM bumped
