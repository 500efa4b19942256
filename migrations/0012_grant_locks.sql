-- Who renews the OAuth tokens of a server just now: a row for as long as it takes, for no connection is to be held while
-- an authorization server is waited for.

CREATE TABLE grant_locks (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    holder uuid NOT NULL,
    -- Of a process that died the lock is free again after this.
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, server_id),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
