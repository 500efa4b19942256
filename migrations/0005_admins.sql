-- People who run the gateway, and how they are let in.

CREATE TABLE admins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    -- argon2; null for those who sign in at an OpenID provider.
    password_hash text,
    role text NOT NULL CHECK (role IN ('admin', 'viewer')),
    -- False: only the tenants of admin_tenants.
    every_tenant boolean NOT NULL,
    -- Who this is at the OpenID provider.
    issuer text,
    subject text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    signed_in_at timestamptz,
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    UNIQUE (issuer, subject)
);
-- Two accounts that differ in case alone would be taken for one another.
CREATE UNIQUE INDEX admins_name ON admins (lower(name));

CREATE TABLE admin_tenants (
    admin_id bigint NOT NULL REFERENCES admins ON DELETE CASCADE,
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    PRIMARY KEY (admin_id, tenant_id)
);
CREATE INDEX admin_tenants_of_tenant ON admin_tenants (tenant_id);

CREATE TABLE admin_sessions (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    admin_id bigint NOT NULL REFERENCES admins ON DELETE CASCADE,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX admin_sessions_of_admin ON admin_sessions (admin_id);

CREATE TABLE admin_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    admin_id bigint NOT NULL REFERENCES admins ON DELETE CASCADE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- The first characters of the token, to tell tokens apart in a list.
    hint text NOT NULL,
    -- A token may do less than its admin, never more.
    role text NOT NULL CHECK (role IN ('admin', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at timestamptz
);
CREATE INDEX admin_tokens_of_admin ON admin_tokens (admin_id);

-- The link with which the first admin sets a password; at most one is in force.
CREATE TABLE admin_setup (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    expires_at timestamptz NOT NULL
);

-- Attempts to sign in that have not succeeded, by what was tried: a name, or an address.
CREATE TABLE sign_in_failures (
    subject text PRIMARY KEY,
    failures integer NOT NULL,
    failed_at timestamptz NOT NULL,
    locked_until timestamptz NOT NULL
);

-- Sign-ins that are under way at the OpenID provider.
CREATE TABLE openid_attempts (
    state_hash bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    nonce text NOT NULL,
    code_verifier text NOT NULL,
    return_to text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON admins
FOR EACH ROW EXECUTE FUNCTION trace_change('admin', 'name');
CREATE TRIGGER trace AFTER INSERT OR DELETE ON admin_tenants
FOR EACH ROW EXECUTE FUNCTION trace_change('admin tenant', 'admin_id');
CREATE TRIGGER trace AFTER INSERT OR DELETE ON admin_tokens
FOR EACH ROW EXECUTE FUNCTION trace_change('admin token', 'name');
