-- What everyday requests find in a tenant's tools, as it was last measured: to embed them takes longer than a search.
CREATE TABLE cosine_baselines (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    space_id bigint NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    -- SHA-256 of the requests: a version with others measures anew.
    requests_hash bytea NOT NULL,
    vectors bigint NOT NULL,
    mean double precision NOT NULL,
    deviation double precision NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, space_id)
);
