-- What people and agents say when they mean a tool, and what that makes of the vector that the tool is ranked by.

CREATE TABLE tool_examples (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    tool_id bigint NOT NULL,
    text text NOT NULL CHECK (text <> '' AND length(text) <= 300),
    -- The text without case, marks and repeated blanks: two of one tool that share it are one.
    text_key text NOT NULL,
    source text NOT NULL CHECK (source IN ('admin', 'use', 'llm')),
    -- counted: it has effect once it was used often enough; waiting: an admin has to say that it is meant; approved: it
    -- has effect as it is; dismissed: it has none, and is not learnt again.
    state text NOT NULL CHECK (state IN ('counted', 'waiting', 'approved', 'dismissed')),
    -- Of the calls that it led to, later ones after one search half.
    count real NOT NULL DEFAULT 0,
    calls integer NOT NULL DEFAULT 0,
    callers integer NOT NULL DEFAULT 0,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, tool_id, text_key),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

-- Who said so, by calling: a key or a person. What one says counts once a day (UTC).
CREATE TABLE tool_example_callers (
    tenant_id bigint NOT NULL,
    example_id bigint NOT NULL,
    account text NOT NULL,
    count real NOT NULL,
    calls integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, example_id, account),
    FOREIGN KEY (tenant_id, example_id) REFERENCES tool_examples (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX tool_example_callers_of_account ON tool_example_callers (tenant_id, account);

-- What was searched for up to a moment is not to be learnt any more: of a tool (0: of all), said by an account (empty: by
-- anybody). For what processes have not counted yet.
CREATE TABLE learning_cutoffs (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    tool_id bigint NOT NULL,
    account text NOT NULL,
    cutoff timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, tool_id, account)
);

-- Examples as queries of a space.
CREATE TABLE tool_example_embeddings (
    tenant_id bigint NOT NULL,
    example_id bigint NOT NULL,
    space_id bigint NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    embedding halfvec NOT NULL,
    PRIMARY KEY (tenant_id, example_id, space_id),
    FOREIGN KEY (tenant_id, example_id) REFERENCES tool_examples (tenant_id, id) ON DELETE CASCADE
);

-- Tools that have examples or had some. The version counts what changes the effect of these.
CREATE TABLE tool_learning (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, tool_id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

-- What a tool is ranked by in a space in place of tool_embeddings.ranking_embedding, as long as the texts are those that
-- it was learnt with: a vector, and what is taken from every cosine with it. Null: nothing is learnt.
CREATE TABLE learnt_embeddings (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    space_id bigint NOT NULL,
    text_hash bytea NOT NULL,
    ranking_embedding halfvec,
    correction real NOT NULL DEFAULT 0,
    -- How many examples have effect in it.
    examples integer NOT NULL DEFAULT 0,
    -- The version of tool_learning, and the rules, by which it was made.
    version bigint NOT NULL,
    rules text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    changed_in xid8 NOT NULL DEFAULT '0',
    PRIMARY KEY (tenant_id, tool_id, space_id),
    FOREIGN KEY (tenant_id, tool_id, space_id) REFERENCES tool_embeddings (tenant_id, tool_id, space_id) ON DELETE CASCADE
);
CREATE INDEX learnt_embeddings_changed ON learnt_embeddings (tenant_id, space_id, changed_in);
CREATE TRIGGER mark_inserted BEFORE INSERT ON learnt_embeddings FOR EACH ROW EXECUTE FUNCTION mark_changed();
CREATE TRIGGER mark_changed BEFORE UPDATE ON learnt_embeddings FOR EACH ROW
WHEN ((OLD.ranking_embedding, OLD.correction, OLD.text_hash)
      IS DISTINCT FROM (NEW.ranking_embedding, NEW.correction, NEW.text_hash))
EXECUTE FUNCTION mark_changed();

-- What is learnt from use has no effect while a tool is not as it was approved.
CREATE FUNCTION touch_learning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tool_learning SET version = version + 1 WHERE tenant_id = NEW.tenant_id AND tool_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER touch_learning AFTER UPDATE ON tools FOR EACH ROW
WHEN ((OLD.approved_hash IS NOT DISTINCT FROM OLD.content_hash) <> (NEW.approved_hash IS NOT DISTINCT FROM NEW.content_hash))
EXECUTE FUNCTION touch_learning();

-- The trace says who gave a tool which example; what is counted from use is in no trace.
INSERT INTO traced_columns (table_name, column_name)
SELECT 'tool_examples', unnest(ARRAY['text', 'source', 'state']);
INSERT INTO traced_columns (table_name, column_name, shown) VALUES ('tool_examples', 'tool_id', 'tool');
CREATE TRIGGER trace AFTER INSERT ON tool_examples
FOR EACH ROW WHEN (NEW.source = 'admin') EXECUTE FUNCTION trace_change('example', 'tool_id');
CREATE TRIGGER trace_update AFTER UPDATE OF state, source ON tool_examples
FOR EACH ROW EXECUTE FUNCTION trace_change('example', 'tool_id');
CREATE TRIGGER trace_delete AFTER DELETE ON tool_examples
FOR EACH ROW WHEN (OLD.source = 'admin') EXECUTE FUNCTION trace_change('example', 'tool_id');
