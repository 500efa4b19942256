-- The person behind a call, and what each has given or granted so that servers let them in as who they are.

-- Somebody who signs in: the issuer that vouches for them and its subject. An account of the gateway's own has the issuer
-- 'modelgate', an API key that nobody owns 'key'.
CREATE TABLE persons (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    issuer text NOT NULL CHECK (issuer <> '' AND length(issuer) <= 2000),
    subject text NOT NULL CHECK (subject <> '' AND length(subject) <= 2000),
    -- What others read; two persons may have the same.
    name text NOT NULL CHECK (length(name) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, issuer, subject)
);

ALTER TABLE api_keys
    -- The account that the key is to act for; null: it acts for itself.
    ADD COLUMN owner text CHECK (owner <> '' AND length(owner) <= 200),
    -- Whom it acts for: the owner once they have accepted it, or the key itself once it has connected something.
    ADD COLUMN person_id bigint,
    -- When the owner has.
    ADD COLUMN accepted_at timestamptz,
    ADD FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id);
CREATE INDEX api_keys_of_person ON api_keys (tenant_id, person_id) WHERE person_id IS NOT NULL;
CREATE INDEX api_keys_by_owner ON api_keys (tenant_id, lower(owner)) WHERE owner IS NOT NULL;
INSERT INTO traced_columns (table_name, column_name) VALUES ('api_keys', 'owner'), ('api_keys', 'accepted_at');

ALTER TABLE servers
    -- The kind of personal credential, by which each person is let in; null: all share the server's own.
    ADD COLUMN personal text CHECK (personal IN ('secret', 'oauth', 'exchange', 'id_jag', 'header')),
    -- What goes with that kind, bound to the row; without it nobody is let in.
    ADD COLUMN sealed_personal bytea,
    -- The person whose connection is used for listing what the server offers, where they agreed to it.
    ADD COLUMN list_as bigint;
INSERT INTO traced_columns (table_name, column_name, shown) VALUES
    ('servers', 'personal', 'plain'),
    ('servers', 'sealed_personal', 'secret'),
    ('servers', 'list_as', 'plain');

CREATE TABLE connections (
    tenant_id bigint NOT NULL,
    person_id bigint NOT NULL,
    server_id bigint NOT NULL,
    -- Another with each connect: sessions, renewals and what is kept belong to one of them.
    id uuid NOT NULL,
    kind text NOT NULL,
    -- Bound to tenant, person, server and id: moved to another row it cannot be opened.
    sealed bytea NOT NULL,
    -- As whom the server knows the person, where that is known.
    subject text NOT NULL DEFAULT '' CHECK (length(subject) <= 500),
    scopes text NOT NULL DEFAULT '',
    expires_at timestamptz,
    connected_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    -- When the person agreed that the server may be listed with it.
    listing_agreed_at timestamptz,
    -- The person's name when they connected, for the trace.
    person_name text NOT NULL,
    -- Who renews it just now, and until when at most.
    lock_holder uuid,
    locked_until timestamptz,
    PRIMARY KEY (tenant_id, person_id, server_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX connections_of_server ON connections (tenant_id, server_id);
INSERT INTO traced_columns (table_name, column_name, shown) VALUES
    ('connections', 'server_id', 'server'),
    ('connections', 'person_name', 'plain'),
    ('connections', 'kind', 'plain'),
    ('connections', 'subject', 'plain'),
    ('connections', 'scopes', 'plain'),
    ('connections', 'listing_agreed_at', 'plain');
CREATE TRIGGER trace AFTER INSERT OR DELETE ON connections
FOR EACH ROW EXECUTE FUNCTION trace_change('connection', 'server_id');
-- A renewal is nobody's decision, and a use is in the trace by itself.
CREATE TRIGGER trace_update AFTER UPDATE ON connections
FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.listing_agreed_at IS DISTINCT FROM NEW.listing_agreed_at)
EXECUTE FUNCTION trace_change('connection', 'server_id');

-- Links that lead a person to where a server is connected: each for one person and server, for ten minutes, and once.
CREATE TABLE connection_links (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    tenant_id bigint NOT NULL,
    person_id bigint NOT NULL,
    server_id bigint NOT NULL,
    -- The key that asked, where nobody owns it: the page asks for that key.
    key_id bigint,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX connection_links_by_end ON connection_links (expires_at);

-- People who have signed in and run nothing: they see their own connections.
CREATE TABLE person_sessions (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    tenant_id bigint NOT NULL,
    person_id bigint NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX person_sessions_of_person ON person_sessions (tenant_id, person_id);
