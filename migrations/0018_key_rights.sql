-- What a key may do beside what its roles let it see and call.
ALTER TABLE api_keys ADD COLUMN rights text[] NOT NULL DEFAULT '{}';

INSERT INTO traced_columns (table_name, column_name) VALUES ('api_keys', 'rights');
