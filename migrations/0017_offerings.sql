-- What servers offer beside tools, and what they say of themselves, as it was approved: prompts, resource templates, instructions.

CREATE TABLE offerings (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('prompt', 'template', 'instructions')),
    -- Of the name, which may be too long for an index; of instructions it is empty.
    name_hash bytea NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    content_hash bytea NOT NULL,
    -- Whether the server listed it when it was asked last.
    listed boolean NOT NULL DEFAULT true,
    seen_at timestamptz NOT NULL DEFAULT now(),
    approved_definition text,
    approved_hash bytea,
    approved_by text CHECK (approved_by IN ('person', 'policy', 'rollback')),
    approved_at timestamptz,
    -- Why it is hidden from clients; null: it is not.
    quarantine text,
    -- What the scan found, as objects of rule, place, severity, excerpt and reason.
    flags jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, server_id, kind, name_hash),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX offerings_hidden ON offerings (tenant_id, server_id) WHERE quarantine IS NOT NULL;

-- The kinds of which there is a baseline: what was listed first came with the server.
ALTER TABLE servers ADD COLUMN baselines text[] NOT NULL DEFAULT '{}';

INSERT INTO traced_columns (table_name, column_name)
SELECT 'offerings', unnest(ARRAY['kind', 'name', 'approved_hash', 'approved_by', 'approved_at', 'quarantine', 'flags']);
INSERT INTO traced_columns (table_name, column_name, shown) VALUES ('offerings', 'server_id', 'server');

CREATE TRIGGER trace AFTER UPDATE ON offerings
FOR EACH ROW WHEN ((OLD.quarantine, OLD.approved_hash) IS DISTINCT FROM (NEW.quarantine, NEW.approved_hash))
EXECUTE FUNCTION trace_change('offering', 'name');
