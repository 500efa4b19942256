-- The space that answers while the embedder of the others does not. It is no former one meanwhile.
ALTER TABLE embedding_spaces ADD COLUMN is_standby boolean NOT NULL DEFAULT false;
