-- name: count_admins
-- How many accounts there are; with none the gateway asks for the first.
SELECT count(*) FROM admins

-- name: lock_admins
-- Serialises changes that must not leave the gateway without an admin.
LOCK TABLE admins IN SHARE ROW EXCLUSIVE MODE

-- name: admin_columns
-- What is known of an account, its tenants by slug.
a.id, a.name, a.role, a.every_tenant, a.issuer, a.password_hash IS NOT NULL AS has_password, a.version, a.created_at,
a.signed_in_at,
ARRAY(SELECT n.tenant_id FROM admin_tenants n WHERE n.admin_id = a.id ORDER BY n.tenant_id) AS tenant_ids,
ARRAY(SELECT t.slug FROM admin_tenants n JOIN tenants t ON t.id = n.tenant_id WHERE n.admin_id = a.id ORDER BY t.slug)
    AS tenants

-- name: list_admins
-- All accounts.
SELECT {{admin_columns}} FROM admins a ORDER BY lower(a.name)

-- name: admin_by_id
-- One account.
SELECT {{admin_columns}} FROM admins a WHERE a.id = $1

-- name: admin_by_name
-- One account, in whatever case its name is written.
SELECT {{admin_columns}} FROM admins a WHERE lower(a.name) = lower($1)

-- name: admin_by_subject
-- The account of somebody at an OpenID provider.
SELECT {{admin_columns}} FROM admins a WHERE a.issuer = $1 AND a.subject = $2

-- name: admin_password
-- The hash that a password is checked against.
SELECT id, password_hash FROM admins WHERE lower(name) = lower($1) AND password_hash IS NOT NULL

-- name: insert_admin
-- A new account.
INSERT INTO admins (name, password_hash, role, every_tenant, issuer, subject) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id

-- name: update_admin
-- What an account may do, where it has not been changed by another meanwhile; null for the version: in any case.
UPDATE admins SET role = $2, every_tenant = $3, version = version + 1
WHERE id = $1 AND ($4::integer IS NULL OR version = $4)

-- name: set_admin_password
-- A new password.
UPDATE admins SET password_hash = $2, version = version + 1 WHERE id = $1

-- name: rehash_admin_password
-- The same password, hashed with the parameters of today.
UPDATE admins SET password_hash = $2 WHERE id = $1

-- name: delete_admin
-- An account with its sessions and tokens.
DELETE FROM admins WHERE id = $1

-- name: count_full_admins
-- How many may change everything and can sign in.
SELECT count(*) FROM admins WHERE role = 'admin' AND every_tenant

-- name: delete_admin_tenants
-- Before the tenants of an account are written anew.
DELETE FROM admin_tenants WHERE admin_id = $1

-- name: insert_admin_tenants
-- The tenants that an account is limited to, by slug; returns those that are there.
INSERT INTO admin_tenants (admin_id, tenant_id)
SELECT $1, t.id FROM tenants t WHERE t.slug = ANY($2::text[])
RETURNING tenant_id

-- name: insert_admin_session
-- Somebody has signed in.
WITH signed_in AS (UPDATE admins SET signed_in_at = now() WHERE id = $2)
INSERT INTO admin_sessions (hash, admin_id, address, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4::float8))

-- name: admin_session
-- The account of a session that is in force: not expired, and used within the last $2 seconds.
SELECT {{admin_columns}}, s.used_at, s.expires_at
FROM admin_sessions s JOIN admins a ON a.id = s.admin_id
WHERE s.hash = $1 AND s.expires_at > now() AND s.used_at > now() - make_interval(secs => $2::float8)

-- name: touch_admin_session
-- A session is in use.
UPDATE admin_sessions SET used_at = now() WHERE hash = $1

-- name: delete_admin_session
-- Somebody has signed out.
DELETE FROM admin_sessions WHERE hash = $1

-- name: delete_other_admin_sessions
-- After a change of password: everywhere but here ($2; null: here too).
DELETE FROM admin_sessions WHERE admin_id = $1 AND hash IS DISTINCT FROM $2

-- name: delete_stale_admin_state
-- What is over: sessions, attempts to sign in, and failures that nobody waits for.
WITH sessions AS (
    DELETE FROM admin_sessions WHERE expires_at <= now() OR used_at <= now() - make_interval(secs => $1::float8)
), attempts AS (
    DELETE FROM openid_attempts WHERE expires_at <= now()
)
DELETE FROM sign_in_failures WHERE failed_at < now() - interval '1 day' AND locked_until < now()

-- name: insert_admin_token
-- A new API token; only its hash is kept.
INSERT INTO admin_tokens (admin_id, name, hash, hint, role, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, created_at

-- name: list_admin_tokens
-- The API tokens of an account, newest first.
SELECT id, name, hint, role, created_at, expires_at, used_at FROM admin_tokens WHERE admin_id = $1 ORDER BY id DESC

-- name: delete_admin_token
-- End a token at once.
DELETE FROM admin_tokens WHERE admin_id = $1 AND id = $2

-- name: admin_token
-- The account of a token that is in force.
SELECT {{admin_columns}}, k.id AS token_id, k.role AS token_role, k.used_at
FROM admin_tokens k JOIN admins a ON a.id = k.admin_id
WHERE k.hash = $1 AND (k.expires_at IS NULL OR k.expires_at > now())

-- name: touch_admin_token
-- A token is in use.
UPDATE admin_tokens SET used_at = now() WHERE id = $1

-- name: upsert_admin_setup
-- A new link for the first admin; the one before is void.
INSERT INTO admin_setup (hash, expires_at) VALUES ($1, now() + make_interval(secs => $2::float8))
ON CONFLICT (only_one) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at

-- name: admin_setup_is_valid
-- Whether this link is in force.
SELECT EXISTS (SELECT FROM admin_setup WHERE hash = $1 AND expires_at > now())

-- name: consume_admin_setup
-- The link is used up.
DELETE FROM admin_setup WHERE hash = $1 AND expires_at > now()

-- name: clear_admin_setup
-- There is an admin: no link is needed.
DELETE FROM admin_setup

-- name: record_sign_in_attempt
-- Count an attempt before it is judged, so that many at once are counted each; nothing comes back while one has to wait.
-- From $2 failures on the wait is $3 seconds, twice as long with each further one, and $4 at most.
INSERT INTO sign_in_failures AS f (subject, failures, failed_at, locked_until)
VALUES ($1, 1, now(), CASE WHEN $2 <= 1 THEN now() + make_interval(secs => $3::float8) ELSE now() END)
ON CONFLICT (subject) DO UPDATE
SET failures = CASE WHEN f.failed_at < now() - interval '1 day' THEN 1 ELSE f.failures + 1 END,
    failed_at = now(),
    locked_until = CASE
        WHEN f.failed_at < now() - interval '1 day' OR f.failures + 1 < $2::integer THEN now()
        ELSE now() + make_interval(secs => least($3::float8 * 2 ^ least(f.failures + 1 - $2::integer, 30), $4::float8))
    END
WHERE f.locked_until <= now()
RETURNING failures

-- name: sign_in_wait_seconds
-- For how many seconds nothing is let in.
SELECT greatest(extract(epoch FROM locked_until - now()), 0)::float8 FROM sign_in_failures WHERE subject = $1

-- name: clear_sign_in_failures
-- An attempt has succeeded.
DELETE FROM sign_in_failures WHERE subject = ANY($1::text[])

-- name: insert_openid_attempt
-- Somebody is sent to the provider.
INSERT INTO openid_attempts (state_hash, nonce, code_verifier, return_to, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::float8))

-- name: consume_openid_attempt
-- Somebody comes back from the provider; that works once.
DELETE FROM openid_attempts WHERE state_hash = $1 AND expires_at > now()
RETURNING nonce, code_verifier, return_to
