-- A text that cannot be embedded costs its own vector: why it cannot is kept until it changes.
ALTER TABLE tool_embeddings
    ALTER COLUMN name_embedding DROP NOT NULL,
    ALTER COLUMN description_embedding DROP NOT NULL,
    ALTER COLUMN combined_embedding DROP NOT NULL,
    -- By "name", "description" and "combined": why that text has no vector.
    ADD COLUMN refused jsonb NOT NULL DEFAULT '{}',
    -- Those of the three of which the model read the beginning only.
    ADD COLUMN cut text[] NOT NULL DEFAULT '{}',
    -- The combined text is embedded first; the others follow.
    ADD COLUMN is_complete boolean NOT NULL DEFAULT true;
CREATE INDEX tool_embeddings_incomplete ON tool_embeddings (space_id) WHERE NOT is_complete;
CREATE INDEX tool_embeddings_refused ON tool_embeddings (tenant_id, space_id) WHERE refused <> '{}';

-- The weighted mean of the vectors that are there.
CREATE FUNCTION ranking_vector(combined halfvec, name halfvec, description halfvec) RETURNS halfvec
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN num_nulls(combined, name, description) = 0
    THEN scaled(combined, 0.8) + scaled(name, 0.1) + scaled(description, 0.1)
    ELSE (SELECT scaled(sum(scaled(v.vector, v.weight)), (1 / sum(v.weight))::real)
          FROM (VALUES (combined, 0.8::real), (name, 0.1::real), (description, 0.1::real)) AS v (vector, weight)
          WHERE v.vector IS NOT NULL)
END;
-- Its index is made anew when the space is next registered.
ALTER TABLE tool_embeddings DROP COLUMN ranking_embedding;
ALTER TABLE tool_embeddings ADD COLUMN ranking_embedding halfvec
    GENERATED ALWAYS AS (ranking_vector(combined_embedding, name_embedding, description_embedding)) STORED;
