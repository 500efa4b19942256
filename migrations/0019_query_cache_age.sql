-- When the vector of a query was made: it is used for so long, and then made anew.
ALTER TABLE query_embeddings ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();
