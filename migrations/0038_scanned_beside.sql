-- Beside which tools of other servers a server's tools were scanned last, as a digest; null: before this was noted.
ALTER TABLE servers ADD COLUMN scanned_beside text;
