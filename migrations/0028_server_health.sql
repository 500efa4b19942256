-- How each server did at its checks: one row for as long as it was in one state without a gap.
CREATE TABLE server_health (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    state text NOT NULL,
    error text,
    PRIMARY KEY (tenant_id, server_id, since),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
