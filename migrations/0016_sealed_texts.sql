-- What is sealed is bound to the row that it belongs to, not to a slug, which may come to be another server's. Only the
-- servers that are there now may hold something that is bound in the former way: a process that has the key seals it anew.
CREATE TABLE servers_of_0_1 (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, server_id),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

INSERT INTO servers_of_0_1 (tenant_id, server_id)
SELECT tenant_id, id FROM servers WHERE sealed_secrets IS NOT NULL OR sealed_grant IS NOT NULL;
