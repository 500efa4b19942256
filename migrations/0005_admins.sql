-- People who run the gateway.

CREATE TABLE admins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 200),
    -- argon2; null for those who sign in elsewhere.
    password_hash text,
    role text NOT NULL CHECK (role IN ('admin', 'viewer')),
    -- Null: every tenant.
    tenant_id bigint REFERENCES tenants ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);
