-- For which tools, as they are, a language model has said what people may ask for.
CREATE TABLE tool_expansions (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    content_hash bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, tool_id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);
