-- Whether the version of ModelGate before runs on a database that has a migration.
ALTER TABLE schema_migrations ADD COLUMN compatible boolean NOT NULL DEFAULT false;
