-- Which database the id was given to: one that was copied is another, and gets an id of its own. Those that it had before are
-- kept, for what was made under them is its own once nobody else is alive who has them.
ALTER TABLE installation ADD COLUMN database text, ADD COLUMN former_ids uuid[] NOT NULL DEFAULT '{}';
