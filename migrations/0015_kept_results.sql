-- Texts of results that were cut for their size, for the caller to read on in for an hour.

CREATE TABLE kept_results (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    tool_id bigint NOT NULL,
    -- The key or person, at the endpoint that was opened; nobody else reads it.
    caller text NOT NULL,
    content text NOT NULL,
    size integer NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

-- A part is read without what stands before it.
ALTER TABLE kept_results ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX kept_results_by_end ON kept_results (expires_at);
CREATE INDEX kept_results_of_tool ON kept_results (tenant_id, tool_id);
