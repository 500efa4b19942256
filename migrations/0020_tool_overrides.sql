-- What admins say of tools beside what servers say of them: switched off, called otherwise, described otherwise.

ALTER TABLE tools
    -- Since when nobody sees or calls it; null: it is on.
    ADD COLUMN disabled_at timestamptz,
    -- While it is overridden: the exposed name, the definition and the category that stand behind the override.
    ADD COLUMN generated_name text,
    ADD COLUMN upstream_definition json,
    ADD COLUMN default_category text,
    -- Counts overrides that were set and removed: texts that were made before the last of them are out of date.
    ADD COLUMN override_version integer NOT NULL DEFAULT 0,
    -- The category that the embedder finds nearest; null: it was not asked yet.
    ADD COLUMN proposed_category text,
    -- Where the category comes from; those of former versions stay until an admin changes them.
    ADD COLUMN category_source text NOT NULL DEFAULT 'former' CHECK (category_source IN ('former', 'words', 'embedder'));
ALTER TABLE tools ALTER COLUMN category_source SET DEFAULT 'words';
CREATE UNIQUE INDEX tools_generated_name ON tools (tenant_id, generated_name) WHERE generated_name IS NOT NULL;

CREATE TABLE tool_overrides (
    tenant_id bigint NOT NULL,
    tool_id bigint NOT NULL,
    -- The profile at whose endpoint it holds; null: everywhere in the tenant.
    profile_id bigint,
    name text CHECK (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    title text,
    description text,
    category text,
    -- Descriptions of parameters, by the names of these.
    parameters jsonb NOT NULL DEFAULT '{}',
    -- What the server said when it was overridden, by field, to tell what has changed since.
    basis jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, profile_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX tool_overrides_one_per_tool ON tool_overrides (tenant_id, tool_id, coalesce(profile_id, 0));
CREATE UNIQUE INDEX tool_overrides_name ON tool_overrides (tenant_id, coalesce(profile_id, 0), name);

-- Rules are resolved for tools that are switched off as well, so that whoever could call one is told that it is off.
ALTER TABLE role_tools ADD COLUMN disabled boolean NOT NULL DEFAULT false;
CREATE OR REPLACE FUNCTION visible_tools(tenant bigint, roles bigint[])
RETURNS TABLE (tool_id bigint, visibility visibility, listed boolean) LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v.tool_id, max(v.visibility), coalesce(bool_or(v.listed), max(v.visibility) = 'ALLOW')
    FROM role_tools v
    WHERE v.tenant_id = tenant AND v.role_id = ANY (roles) AND NOT v.disabled
    GROUP BY v.tool_id
    HAVING NOT bool_or(v.denied_explicitly) AND max(v.visibility) >= 'SEARCH';
END;
CREATE OR REPLACE VIEW mcp_tool_permissions AS
SELECT v.tenant_id, v.tool_id, v.role_id, r.name AS role_name,
       CASE WHEN v.disabled THEN 'DENY'::visibility ELSE v.visibility END AS visibility
FROM role_tools v JOIN roles r ON r.tenant_id = v.tenant_id AND r.id = v.role_id;

INSERT INTO traced_columns (table_name, column_name)
SELECT 'tool_overrides', unnest(ARRAY['name', 'title', 'description', 'category', 'parameters']);
INSERT INTO traced_columns (table_name, column_name, shown) VALUES
    ('tools', 'disabled_at', 'plain'), ('tool_overrides', 'tool_id', 'tool'), ('tool_overrides', 'profile_id', 'role');
CREATE TRIGGER trace AFTER INSERT OR UPDATE OR DELETE ON tool_overrides
FOR EACH ROW EXECUTE FUNCTION trace_change('override', 'tool_id');
DROP TRIGGER trace ON tools;
CREATE TRIGGER trace AFTER UPDATE ON tools
FOR EACH ROW WHEN ((OLD.quarantine, OLD.approved_hash, OLD.approved_by, OLD.disabled_at)
                   IS DISTINCT FROM (NEW.quarantine, NEW.approved_hash, NEW.approved_by, NEW.disabled_at))
EXECUTE FUNCTION trace_change('tool', 'exposed_name');
