-- By which rules a server's tools were scanned last; null: by those of an earlier version, before this was noted.
ALTER TABLE servers ADD COLUMN scan_rules text;
