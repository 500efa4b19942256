-- In what words each caller has said an example first: those of one that is forgotten go with what it has said, and the
-- example keeps the words of the others. Null where an earlier version counted it.
ALTER TABLE tool_example_callers ADD COLUMN text text CHECK (text <> '' AND length(text) <= 300), ADD COLUMN text_key text;
