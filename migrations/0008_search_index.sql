-- What the index in memory follows, and the one vector that a tool is ranked by.

-- Half-precision times a number, for pgvector multiplies vectors by vectors. Multiplied in single precision: in half
-- precision a small component becomes zero, which pgvector refuses as an underflow.
CREATE FUNCTION scaled(halfvec, real) RETURNS halfvec LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ($1::vector * array_fill($2, ARRAY[vector_dims($1)])::vector)::halfvec;

-- The weighted sum: its product with a query's vector is the weighted cosine of the three. In place of one that could not
-- be embedded stands another one, so that cosines of all tools are of the same size.
ALTER TABLE tool_embeddings ADD COLUMN ranking_embedding halfvec GENERATED ALWAYS AS (
    scaled(coalesce(combined_embedding, description_embedding, name_embedding), 0.8)
    + scaled(coalesce(name_embedding, combined_embedding, description_embedding), 0.1)
    + scaled(coalesce(description_embedding, combined_embedding, name_embedding), 0.1)
) STORED;

-- Tools that are for an app's own use only: `_meta.ui.visibility` is a list without "model". An app may call them, nobody
-- is shown them.
CREATE FUNCTION is_app_only(definition json) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN json_typeof(definition #> '{_meta,ui,visibility}') = 'array' THEN NOT EXISTS (
    SELECT FROM json_array_elements_text(definition #> '{_meta,ui,visibility}') AS seen_by WHERE seen_by = 'model'
) ELSE false END;
ALTER TABLE tools ADD COLUMN app_only boolean NOT NULL GENERATED ALWAYS AS (is_app_only(definition)) STORED;

-- A position is never used again: who still has an older bitmap would else see another tool in its place.
CREATE TABLE tool_positions (
    tenant_id bigint PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    used integer NOT NULL
);
CREATE OR REPLACE FUNCTION place_tool() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT greatest((SELECT max(t.position) + 1 FROM tools t WHERE t.tenant_id = NEW.tenant_id),
                    (SELECT p.used FROM tool_positions p WHERE p.tenant_id = NEW.tenant_id), 0)
    INTO NEW.position;
    RETURN NEW;
END
$$;
CREATE FUNCTION keep_positions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tool_positions (tenant_id, used)
    SELECT g.tenant_id, max(g.position) + 1 FROM gone g JOIN tenants n ON n.id = g.tenant_id GROUP BY g.tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET used = greatest(tool_positions.used, excluded.used);
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_positions AFTER DELETE ON tools REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION keep_positions();

-- The transaction that changed a row last. Who has read all that was visible at a moment asks later for the rows of the
-- transactions that were not over then.
ALTER TABLE tools ADD COLUMN changed_in xid8 NOT NULL DEFAULT '0';
ALTER TABLE tool_embeddings ADD COLUMN changed_in xid8 NOT NULL DEFAULT '0';
CREATE INDEX tools_changed ON tools (tenant_id, changed_in);
CREATE INDEX tool_embeddings_changed ON tool_embeddings (tenant_id, space_id, changed_in);

CREATE FUNCTION mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE ON tools FOR EACH ROW EXECUTE FUNCTION mark_changed();
CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE ON tool_embeddings FOR EACH ROW EXECUTE FUNCTION mark_changed();

-- The rules by which a tool's terms were made; those of other rules are made anew.
ALTER TABLE tools ADD COLUMN terms_version integer NOT NULL DEFAULT 1;

-- Neither is a change of a tool that anybody made.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('trace_change()'::regprocedure),
                    '''term_count'',', '''term_count'', ''changed_in'', ''terms_version'', ''app_only'',');
END
$$;

-- Made anew over the ranking vector when the space is next registered.
DO $$
DECLARE
    old text;
BEGIN
    FOR old IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE 'tool\_embeddings\_space\_%' LOOP
        EXECUTE format('DROP INDEX %I', old);
    END LOOP;
END
$$;
