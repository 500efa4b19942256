-- The languages of which a space answers the queries beside the one that serves; two-letter codes, or * for all others.
ALTER TABLE embedding_spaces ADD COLUMN languages text[] NOT NULL DEFAULT '{}';
