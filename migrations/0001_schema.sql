-- The tenants, their servers and tools, who may see them, and the vectors that find them.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TYPE visibility AS ENUM ('DENY', 'SEARCH', 'ALLOW');

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name text NOT NULL CHECK (name <> ''),
    suspended_at timestamptz,
    -- Counts every change of what a caller of this tenant may see; caches are keyed by it.
    catalogue_version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE servers (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,47}$'),
    description text NOT NULL DEFAULT '',
    transport text NOT NULL CHECK (transport IN ('stdio', 'http', 'sse')),
    command text CHECK ((command IS NOT NULL) = (transport = 'stdio')),
    args text[] NOT NULL DEFAULT '{}',
    cwd text,
    url text CONSTRAINT servers_url_check CHECK ((url IS NOT NULL) = (transport IN ('http', 'sse'))),
    -- Environment variables and headers, sealed: they hold secrets.
    sealed_secrets bytea,
    -- Limits that differ from the gateway's, by the name of the setting.
    limits jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    instructions text,
    server_info jsonb,
    protocol_version text,
    synced_at timestamptz,
    sync_error text,
    sync_failed_at timestamptz,
    -- Tools of the last listing that could not be read: [{"name", "reason"}].
    skipped_tools jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, slug)
);

CREATE TABLE tools (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    server_id bigint NOT NULL,
    name text NOT NULL,
    exposed_name text NOT NULL CHECK (exposed_name ~ '^[A-Za-z0-9_-]{1,64}$'),
    category text NOT NULL,
    -- What the upstream said, as it said it; json and not jsonb, for jsonb forgets the order of keys.
    definition json NOT NULL,
    title text GENERATED ALWAYS AS (definition ->> 'title') STORED,
    description text GENERATED ALWAYS AS (coalesce(definition ->> 'description', '')) STORED,
    input_schema json GENERATED ALWAYS AS (definition -> 'inputSchema') STORED,
    annotations json GENERATED ALWAYS AS (definition -> 'annotations') STORED,
    content_hash bytea NOT NULL,
    -- The number of lexemes in tool_terms, repetitions counted: the document length of BM25.
    term_count integer NOT NULL DEFAULT 0,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (tenant_id, server_id, name),
    UNIQUE (tenant_id, exposed_name)
);

CREATE TABLE tool_terms (
    tenant_id bigint NOT NULL,
    lexeme text NOT NULL,
    tool_id bigint NOT NULL,
    count integer NOT NULL CHECK (count > 0),
    PRIMARY KEY (tenant_id, lexeme, tool_id) INCLUDE (count),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX tool_terms_of_tool ON tool_terms (tenant_id, tool_id);

CREATE TABLE embedding_spaces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    provider text NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),
    document_prefix text NOT NULL,
    query_prefix text NOT NULL,
    active boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX embedding_spaces_one_active ON embedding_spaces (active) WHERE active;

CREATE TABLE tool_embeddings (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    space_id bigint NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    -- Of the three texts that were embedded: a tool whose texts hash otherwise is to be embedded again.
    text_hash bytea NOT NULL,
    name_embedding halfvec NOT NULL,
    description_embedding halfvec NOT NULL,
    combined_embedding halfvec NOT NULL,
    PRIMARY KEY (tenant_id, tool_id, space_id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE query_embeddings (
    space_id bigint NOT NULL REFERENCES embedding_spaces ON DELETE CASCADE,
    text_hash bytea NOT NULL,
    embedding halfvec NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, text_hash)
);
CREATE INDEX query_embeddings_by_use ON query_embeddings (used_at);

CREATE TABLE roles (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    description text NOT NULL DEFAULT '',
    default_visibility visibility NOT NULL DEFAULT 'DENY',
    -- Counts changes, so that two admins cannot overwrite each other unseen.
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE role_rules (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    role_id bigint NOT NULL,
    tool_id bigint,
    pattern text CHECK (pattern <> '' AND length(pattern) <= 200),
    server_id bigint,
    category text,
    visibility visibility NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT role_rules_one_target CHECK (num_nonnulls(tool_id, pattern, server_id, category) = 1),
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX role_rules_one_per_target ON role_rules
    (tenant_id, role_id, coalesce(tool_id, 0), coalesce(pattern, ''), coalesce(server_id, 0), coalesce(category, ''));

-- Rules resolved: one row for each role and each tool that is there. Rewritten in the transaction of every change
-- that a rule depends on, so that a search joins one table and a change holds from its commit.
CREATE TABLE role_tools (
    tenant_id bigint NOT NULL,
    role_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    visibility visibility NOT NULL,
    -- Denied by a rule on the tool or a pattern: no other role lifts that.
    denied_explicitly boolean NOT NULL,
    rule_id bigint,
    PRIMARY KEY (tenant_id, role_id, tool_id),
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX role_tools_of_tool ON role_tools (tenant_id, tool_id);

CREATE TABLE api_keys (
    tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- The first characters of the key, to tell keys apart in a list.
    hint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE api_key_roles (
    tenant_id bigint NOT NULL,
    key_id bigint NOT NULL,
    role_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, key_id, role_id),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE server_versions (
    tenant_id bigint NOT NULL,
    server_id bigint NOT NULL,
    version integer NOT NULL,
    added jsonb NOT NULL,
    removed jsonb NOT NULL,
    changed jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, server_id, version),
    FOREIGN KEY (tenant_id, server_id) REFERENCES servers (tenant_id, id) ON DELETE CASCADE
);

-- Two shapes that people who know catalogues of this kind query by hand.
CREATE FUNCTION length(halfvec) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN vector_dims($1);

CREATE VIEW mcp_tools AS
SELECT t.id, t.tenant_id, t.server_id, s.name AS server_name, t.name, t.exposed_name, t.description, t.input_schema,
       t.category, e.name_embedding, e.description_embedding, e.combined_embedding
FROM tools t
JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
LEFT JOIN (tool_embeddings e JOIN embedding_spaces p ON p.id = e.space_id AND p.active)
       ON e.tenant_id = t.tenant_id AND e.tool_id = t.id
WHERE t.removed_at IS NULL;

CREATE VIEW mcp_tool_permissions AS
SELECT v.tenant_id, v.tool_id, v.role_id, r.name AS role_name, v.visibility
FROM role_tools v JOIN roles r ON r.tenant_id = v.tenant_id AND r.id = v.role_id;

INSERT INTO tenants (slug, name) VALUES ('default', 'Default');
INSERT INTO roles (tenant_id, name, description, default_visibility)
SELECT id, 'all', 'Finds and calls every tool; none is listed.', 'SEARCH' FROM tenants WHERE slug = 'default';
