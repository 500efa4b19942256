-- How a server is connected: whose session it is, when an idle child is stopped, how often its tools are looked at.

ALTER TABLE servers
    ADD COLUMN session text NOT NULL DEFAULT 'shared' CHECK (session IN ('shared', 'per_client')),
    ADD COLUMN idle_stop_seconds double precision NOT NULL DEFAULT 0 CHECK (idle_stop_seconds >= 0),
    -- Null: as the settings say; 0: never by itself.
    ADD COLUMN sync_every_seconds double precision CHECK (sync_every_seconds >= 0),
    -- What exposed names begin with, before `__`; null: the slug; empty: tools and prompts go by their own names.
    ADD COLUMN prefix text CHECK (prefix ~ '^[A-Za-z0-9_-]{0,32}$'),
    -- As the server said at its last sync.
    ADD COLUMN capabilities jsonb NOT NULL DEFAULT '{}',
    -- What the gateway is let in with, by name; the secrets of it are in sealed_secrets.
    ADD COLUMN credential text NOT NULL DEFAULT 'none' CHECK (credential IN
        ('none', 'bearer', 'basic', 'oauth_client_credentials', 'oauth_authorization_code')),
    -- OAuth tokens with all that it takes to refresh them, sealed.
    ADD COLUMN sealed_grant bytea,
    -- An OpenAPI document, and where it is read again from.
    ADD COLUMN document text,
    ADD COLUMN document_url text,
    -- How the server did at its last check.
    ADD COLUMN health text CHECK (health IN ('idle', 'connecting', 'connected', 'failing', 'left_alone')),
    ADD COLUMN checked_at timestamptz,
    ADD COLUMN last_seen_at timestamptz,
    ADD COLUMN latency_ms double precision,
    ADD COLUMN restarts integer NOT NULL DEFAULT 0,
    ADD COLUMN last_error text,
    DROP CONSTRAINT servers_transport_check,
    DROP CONSTRAINT servers_url_check,
    ADD CONSTRAINT servers_transport_check CHECK (transport IN ('stdio', 'http', 'sse', 'openapi')),
    -- An OpenAPI document may name the address itself.
    ADD CONSTRAINT servers_url_check CHECK (transport = 'openapi' OR (url IS NOT NULL) = (transport <> 'stdio')),
    ADD CONSTRAINT servers_document_check CHECK
        ((document IS NOT NULL OR document_url IS NOT NULL) = (transport = 'openapi'));
