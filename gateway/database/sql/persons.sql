-- name: ensure_person (lookup)
-- The person of issuer $2 and subject $3, made where there is none; a name that is empty leaves the one that is there.
WITH known AS (
    SELECT tenant_id, id, issuer, subject, name FROM persons WHERE tenant_id = $1 AND issuer = $2 AND subject = $3
), written AS (
    INSERT INTO persons AS p (tenant_id, issuer, subject, name)
    SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM known WHERE name = $4 OR $4 = '')
    ON CONFLICT (tenant_id, issuer, subject) DO UPDATE SET name = excluded.name
    RETURNING tenant_id, id, issuer, subject, name
)
SELECT * FROM written UNION ALL SELECT * FROM known WHERE NOT EXISTS (SELECT FROM written)

-- name: person_by_id (lookup)
-- One person.
SELECT tenant_id, id, issuer, subject, name FROM persons WHERE tenant_id = $1 AND id = $2

-- name: persons_named
-- Persons who go by a name or a subject.
SELECT tenant_id, id, issuer, subject, name FROM persons
WHERE tenant_id = $1 AND (lower(name) = lower($2) OR subject = $2) ORDER BY id

-- name: delete_person
-- A person with their connections and sessions; keys that acted for them act for nobody.
WITH freed AS (
    UPDATE api_keys SET person_id = NULL, accepted_at = NULL WHERE tenant_id = $1 AND person_id = $2
), deleted AS (
    DELETE FROM persons WHERE tenant_id = $1 AND id = $2 RETURNING id
)
SELECT pg_notify('modelgate', json_build_object('tenant', $1::bigint)::text) FROM deleted

-- name: insert_person_session
-- Somebody has signed in.
INSERT INTO person_sessions (hash, tenant_id, person_id, address, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::float8))

-- name: person_session
-- Who a session belongs to that was used within $2 seconds, and that it is used now.
WITH used AS (
    UPDATE person_sessions SET used_at = now()
    WHERE hash = $1 AND expires_at > now() AND used_at > now() - make_interval(secs => $2::float8)
    RETURNING tenant_id, person_id
)
SELECT p.tenant_id, p.id, p.issuer, p.subject, p.name
FROM used u
JOIN persons p ON p.tenant_id = u.tenant_id AND p.id = u.person_id
JOIN tenants t ON t.id = p.tenant_id AND t.suspended_at IS NULL

-- name: delete_person_session
-- Somebody has signed out.
DELETE FROM person_sessions WHERE hash = $1

-- name: delete_ended_person_sessions
-- Sessions that are over, or were not used for $1 seconds.
DELETE FROM person_sessions WHERE expires_at < now() OR used_at < now() - make_interval(secs => $1::float8)

-- name: admin_identity
-- Who an account is: at the provider that it comes from, else null.
SELECT issuer, subject FROM admins WHERE id = $1

-- name: tenants_of_person
-- The tenants in which somebody is known, by slug.
SELECT t.slug FROM persons p JOIN tenants t ON t.id = p.tenant_id
WHERE p.issuer = $1 AND p.subject = $2 AND t.suspended_at IS NULL ORDER BY t.slug

-- name: delete_person_of_account
-- The person of an account that is gone, in every tenant, with their connections; keys that acted for them act for nobody.
WITH gone AS (
    SELECT tenant_id, id FROM persons WHERE issuer = $1 AND subject = $2
), freed AS (
    UPDATE api_keys k SET person_id = NULL, accepted_at = NULL FROM gone g
    WHERE k.tenant_id = g.tenant_id AND k.person_id = g.id
), deleted AS (
    DELETE FROM persons p USING gone g WHERE p.tenant_id = g.tenant_id AND p.id = g.id RETURNING p.tenant_id
)
SELECT pg_notify('modelgate', json_build_object('tenant', tenant_id)::text) FROM deleted

-- name: delete_person_of_key
-- The person that key $2 was by itself, with what it had connected, once no key in force is that person any more.
WITH gone AS (
    SELECT p.tenant_id, p.id FROM persons p
    WHERE p.tenant_id = $1 AND p.issuer = 'key'
      AND (p.subject = $2::bigint::text
           OR p.id = (SELECT k.person_id FROM api_keys k WHERE k.tenant_id = $1 AND k.id = $2))
      AND NOT EXISTS (
          SELECT FROM api_keys k WHERE k.tenant_id = $1 AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > now())
          AND (k.person_id = p.id OR (k.person_id IS NULL AND k.owner IS NULL AND k.id::text = p.subject)))
), freed AS (
    UPDATE api_keys k SET person_id = NULL FROM gone g WHERE k.tenant_id = g.tenant_id AND k.person_id = g.id
), deleted AS (
    DELETE FROM persons p USING gone g WHERE p.tenant_id = g.tenant_id AND p.id = g.id RETURNING p.tenant_id
)
SELECT pg_notify('modelgate', json_build_object('tenant', tenant_id)::text) FROM deleted
