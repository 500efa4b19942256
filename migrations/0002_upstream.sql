-- How a server is connected: whose session it is, when an idle child is stopped, how often its tools are looked at.

ALTER TABLE servers
    ADD COLUMN session text NOT NULL DEFAULT 'shared' CHECK (session IN ('shared', 'per_client')),
    ADD COLUMN idle_stop_seconds double precision NOT NULL DEFAULT 0 CHECK (idle_stop_seconds >= 0),
    -- Null: as the settings say; 0: never by itself.
    ADD COLUMN sync_every_seconds double precision CHECK (sync_every_seconds >= 0);
