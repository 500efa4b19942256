-- What a key may use up, profiles, and positions of tools: all that decides who may see and call what.

ALTER TABLE api_keys
    ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 1000),
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN concurrent_calls integer CHECK (concurrent_calls > 0),
    ADD COLUMN calls_per_day integer CHECK (calls_per_day > 0),
    -- The key that this one was made to take over from.
    ADD COLUMN replaces bigint,
    ADD FOREIGN KEY (tenant_id, replaces) REFERENCES api_keys (tenant_id, id);
CREATE INDEX api_keys_by_replaced ON api_keys (tenant_id, replaces);
CREATE INDEX api_key_roles_of_role ON api_key_roles (tenant_id, role_id);

-- Calls taken out of a key's budget on a day (UTC). Every process takes some at a time and gives back what is left.
CREATE TABLE key_usage (
    tenant_id bigint NOT NULL,
    key_id bigint NOT NULL,
    day date NOT NULL,
    calls bigint NOT NULL,
    -- What the last to take got.
    granted bigint NOT NULL,
    PRIMARY KEY (tenant_id, key_id, day),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE
);

-- A profile is a set of rules too. It grants nothing: what its rules leave out is denied explicitly to whoever comes in
-- by it, and the rest is left to the caller's roles. So a key with roles {a, b} at profile p is resolved as {a, b, p}.
ALTER TABLE roles
    ADD COLUMN kind text NOT NULL DEFAULT 'role' CHECK (kind IN ('role', 'profile')),
    -- What tools/list shows at a profile: the gateway's own tools, every tool, or the tools whose rule is ALLOW.
    ADD COLUMN list_mode text CHECK (list_mode IN ('search', 'all', 'chosen')),
    ADD CHECK ((kind = 'profile') = (list_mode IS NOT NULL)),
    -- A profile's name stands in a URL.
    ADD CHECK (kind = 'role' OR name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    DROP CONSTRAINT roles_tenant_id_name_key,
    ADD CONSTRAINT roles_name_key UNIQUE (tenant_id, kind, name);

-- Null for roles; for a profile, whether it has the tool listed.
ALTER TABLE role_tools ADD COLUMN listed boolean;
CREATE INDEX role_rules_of_tool ON role_rules (tenant_id, tool_id) WHERE tool_id IS NOT NULL;
CREATE INDEX role_rules_of_server ON role_rules (tenant_id, server_id) WHERE server_id IS NOT NULL;

CREATE OR REPLACE VIEW mcp_tool_permissions AS
SELECT v.tenant_id, v.tool_id, v.role_id, r.name AS role_name, v.visibility
FROM role_tools v JOIN roles r ON r.tenant_id = v.tenant_id AND r.id = v.role_id
WHERE r.kind = 'role';

-- The place of a tool in the bitmaps that say which tools a caller may find: dense in each tenant, never used again.
ALTER TABLE tools ADD COLUMN position integer NOT NULL, ADD CONSTRAINT tools_position UNIQUE (tenant_id, position);

CREATE FUNCTION place_tool() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(max(t.position) + 1, 0) INTO NEW.position FROM tools t WHERE t.tenant_id = NEW.tenant_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER place_tool BEFORE INSERT ON tools FOR EACH ROW EXECUTE FUNCTION place_tool();
