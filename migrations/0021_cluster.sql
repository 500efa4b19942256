-- The processes that serve this database together, and which of them has the sessions with which upstream server.

CREATE TABLE cluster_members (
    id text PRIMARY KEY,
    -- By this number goes the lock that a member holds for as long as its connection stands.
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    address text NOT NULL,
    -- Which encryption keys it has, told by ids that do not tell the keys.
    key_ids text[] NOT NULL,
    leaving boolean NOT NULL DEFAULT false,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE server_owners (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    member_id text NOT NULL REFERENCES cluster_members ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, server_id),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX server_owners_by_member ON server_owners (member_id);
