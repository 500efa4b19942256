-- Who approved the definition that a tool is compared with. What a person approved once, and what was taken over without
-- anybody looking at it since, were told apart by approved_at alone, which outlived the definition it spoke of.

ALTER TABLE tools
    -- Who approved approved_hash: a person, this very definition; the server's on_change, on trust; a rollback, which
    -- brought it back. null: nobody did, or the tool was quarantined with it since.
    ADD COLUMN approved_by text CHECK (approved_by IN ('person', 'policy', 'rollback')),
    ADD CHECK (approved_by IS NULL OR approved_hash IS NOT NULL);

-- What is not certain is taken as not looked at: at worst a person approves a tool once more. A tool's definition was
-- written at updated_at; a rollback approved it in the same transaction.
UPDATE tools SET approved_by = CASE
    WHEN approved_hash IS NULL OR quarantine = 'An admin has put it here.'
        OR (quarantine IS NOT NULL AND approved_hash = content_hash) THEN NULL
    WHEN approved_hash = content_hash AND approved_at > updated_at THEN 'person'
    WHEN approved_hash = content_hash AND approved_at = updated_at THEN 'rollback'
    ELSE 'policy' END;
UPDATE tools SET approved_at = NULL WHERE approved_at IS NOT NULL AND approved_by IS DISTINCT FROM 'person'
    AND approved_by IS DISTINCT FROM 'rollback';

-- An approval is traced although the tool stays as it was.
DROP TRIGGER trace ON tools;
CREATE TRIGGER trace AFTER UPDATE ON tools
FOR EACH ROW WHEN ((OLD.quarantine, OLD.approved_hash, OLD.approved_by)
                   IS DISTINCT FROM (NEW.quarantine, NEW.approved_hash, NEW.approved_by))
EXECUTE FUNCTION trace_change('tool', 'exposed_name');
