-- What goes with OAuth tokens of persons. Everything sealed is bound to its row: moved to another it cannot be opened.

-- Persons who are on their way to sign in at the authorization server of a server, for ten minutes.
CREATE TABLE person_sign_ins (
    -- Of the state that comes back with the answer.
    state_hash bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    tenant_id bigint NOT NULL,
    person_id bigint NOT NULL,
    server_id bigint NOT NULL,
    -- Of a secret that only the browser has in which it was begun.
    browser_hash bytea NOT NULL CHECK (length(browser_hash) = 32),
    link text NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX person_sign_ins_of_person ON person_sign_ins (tenant_id, person_id);
CREATE INDEX person_sign_ins_by_end ON person_sign_ins (expires_at);

-- As whom the gateway has registered itself at the authorization server of a server, for all who sign in there.
CREATE TABLE oauth_registrations (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant_id, server_id),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

-- What the provider gave when a person signed in to the gateway: by it, it vouches for them at servers.
CREATE TABLE sign_in_tokens (
    tenant_id bigint NOT NULL,
    person_id bigint NOT NULL,
    sealed bytea NOT NULL,
    signed_in_at timestamptz NOT NULL DEFAULT now(),
    -- Who renews them just now, and until when at most.
    lock_holder uuid,
    locked_until timestamptz,
    PRIMARY KEY (tenant_id, person_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES persons (tenant_id, id) ON DELETE CASCADE
);
