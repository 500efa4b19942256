-- name: insert_person_sign_in
-- Somebody is sent to sign in elsewhere; sign-ins that are over go, and all but the last $9 of that person.
WITH over AS (
    DELETE FROM person_sign_ins WHERE expires_at <= now()
), many AS (
    DELETE FROM person_sign_ins WHERE state_hash IN (
        SELECT state_hash FROM person_sign_ins WHERE tenant_id = $2 AND person_id = $3
        ORDER BY expires_at DESC OFFSET $9::bigint - 1)
)
INSERT INTO person_sign_ins (state_hash, tenant_id, person_id, server_id, browser_hash, link, sealed, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8::float8))

-- name: person_sign_in (lookup)
-- A sign-in from which somebody comes back, and who that has to be.
SELECT s.tenant_id, s.person_id, s.server_id, s.browser_hash, s.link, s.sealed, p.issuer, p.subject
FROM person_sign_ins s
JOIN persons p ON p.tenant_id = s.tenant_id AND p.id = s.person_id
WHERE s.state_hash = $1 AND s.expires_at > now()

-- name: take_person_sign_in
-- It is good for one answer.
DELETE FROM person_sign_ins WHERE state_hash = $1

-- name: oauth_registration (lookup)
-- As whom the gateway is registered at the authorization server of a server.
SELECT sealed FROM oauth_registrations WHERE tenant_id = $1 AND server_id = $2

-- name: save_oauth_registration
-- The gateway has registered anew.
INSERT INTO oauth_registrations (tenant_id, server_id, sealed) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, server_id) DO UPDATE SET sealed = excluded.sealed

-- name: delete_oauth_registration
-- A registration that is not known there any more.
DELETE FROM oauth_registrations WHERE tenant_id = $1 AND server_id = $2

-- name: oauth_registrations_sealed_otherwise
-- Registrations beyond a tenant and server that do not begin as texts that are sealed now.
SELECT tenant_id, server_id, sealed FROM oauth_registrations
WHERE substring(sealed FOR length($1::bytea)) <> $1::bytea AND (tenant_id, server_id) > ($2, $3)
ORDER BY tenant_id, server_id LIMIT $4::bigint

-- name: reseal_oauth_registration
-- The same registration sealed anew, unless it has changed.
UPDATE oauth_registrations SET sealed = $4 WHERE tenant_id = $1 AND server_id = $2 AND sealed = $3

-- name: vouching_servers
-- Servers for whose users the company's provider vouches, of tenants in which somebody of issuer $1 and subject $2 is a
-- person, or may become one ($3).
SELECT s.tenant_id, s.id FROM servers s JOIN tenants t ON t.id = s.tenant_id
WHERE s.personal = 'id_jag'
  AND (t.slug = $3
       OR EXISTS (SELECT FROM persons p WHERE p.tenant_id = t.id AND p.issuer = $1 AND p.subject = $2))
ORDER BY s.tenant_id, s.id

-- name: sign_in_tokens (lookup)
-- What the provider gave when a person signed in to the gateway last.
SELECT sealed FROM sign_in_tokens WHERE tenant_id = $1 AND person_id = $2

-- name: keep_sign_in_tokens
-- Somebody has signed in; who renews what was there before can no longer save it.
INSERT INTO sign_in_tokens (tenant_id, person_id, sealed) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, person_id) DO UPDATE
SET sealed = excluded.sealed, signed_in_at = now(), lock_holder = NULL, locked_until = NULL

-- name: delete_sign_in_tokens
-- They are worth nothing any more.
DELETE FROM sign_in_tokens WHERE tenant_id = $1 AND person_id = $2

-- name: lock_sign_in_tokens
-- At most one renewal at a time, in whatever process, for so many seconds.
UPDATE sign_in_tokens SET lock_holder = $3, locked_until = now() + make_interval(secs => $4::float8)
WHERE tenant_id = $1 AND person_id = $2 AND (locked_until IS NULL OR locked_until < now())
RETURNING true

-- name: unlock_sign_in_tokens
-- A renewal is over.
UPDATE sign_in_tokens SET lock_holder = NULL, locked_until = NULL
WHERE tenant_id = $1 AND person_id = $2 AND lock_holder = $3

-- name: save_sign_in_tokens
-- What a renewal brought, from whoever holds the lock.
UPDATE sign_in_tokens SET sealed = $3 WHERE tenant_id = $1 AND person_id = $2 AND lock_holder = $4

-- name: sign_in_tokens_sealed_otherwise
-- Tokens beyond a tenant and person that do not begin as texts that are sealed now.
SELECT tenant_id, person_id, sealed FROM sign_in_tokens
WHERE substring(sealed FOR length($1::bytea)) <> $1::bytea AND (tenant_id, person_id) > ($2, $3)
ORDER BY tenant_id, person_id LIMIT $4::bigint

-- name: reseal_sign_in_tokens
-- The same tokens sealed anew, unless they have changed.
UPDATE sign_in_tokens SET sealed = $4 WHERE tenant_id = $1 AND person_id = $2 AND sealed = $3
