-- What is held against a tool, and the trace that every use leaves.

ALTER TABLE servers
    ADD COLUMN on_change text NOT NULL DEFAULT 'flag' CHECK (on_change IN ('accept', 'flag', 'quarantine'));
