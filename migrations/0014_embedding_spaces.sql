-- What tells the weights behind a model's name from others: a digest or the SHA-256 of files; else the vectors of a few
-- probe texts, as they first were. Empty for a space of which that is not known yet.
ALTER TABLE embedding_spaces
    ADD COLUMN build text NOT NULL DEFAULT '',
    ADD COLUMN probe_embeddings real[],
    -- The model's weights are no longer those that made the vectors: no query can be embedded in this space.
    ADD COLUMN is_gone boolean NOT NULL DEFAULT false,
    -- The share of searches that a space answers which is not the active one, in percent.
    ADD COLUMN share integer NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 99),
    -- Why it is neither filled nor switched to until somebody says so; empty: it is.
    ADD COLUMN paused text NOT NULL DEFAULT '',
    -- When every tool last had its vectors.
    ADD COLUMN filled_at timestamptz,
    -- When it ceased to serve.
    ADD COLUMN retired_at timestamptz,
    -- Which process fills it, and until when that is believed.
    ADD COLUMN filler uuid,
    ADD COLUMN filler_until timestamptz,
    DROP CONSTRAINT embedding_spaces_dimensions_check,
    ADD CONSTRAINT embedding_spaces_dimensions_check CHECK (dimensions BETWEEN 1 AND 16000);
UPDATE embedding_spaces SET filled_at = now() WHERE active;
