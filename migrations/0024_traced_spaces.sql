-- The trace says who let which embedding space serve, paused, shared or dropped it. How far it is filled is in no trace.
INSERT INTO traced_columns (table_name, column_name)
SELECT 'embedding_spaces', unnest(string_to_array('model provider dimensions active share paused is_gone languages', ' '));

CREATE TRIGGER trace AFTER INSERT OR DELETE ON embedding_spaces
FOR EACH ROW EXECUTE FUNCTION trace_change('embedding space', 'model');
CREATE TRIGGER trace_update AFTER UPDATE OF active, share, paused, is_gone, languages ON embedding_spaces
FOR EACH ROW EXECUTE FUNCTION trace_change('embedding space', 'model');
