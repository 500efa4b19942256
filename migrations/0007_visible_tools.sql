-- What callers can find: the one place that says how the rules of several roles, and of a profile, go together.

-- The tools that roles can find, all of them: the most permissive role decides, but for explicit denial. `listed` says
-- whether tools/list shows them too: what is ALLOW, or at a profile what the profile has listed.
CREATE FUNCTION visible_tools(tenant bigint, roles bigint[])
RETURNS TABLE (tool_id bigint, visibility visibility, listed boolean) LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v.tool_id, max(v.visibility), coalesce(bool_or(v.listed), max(v.visibility) = 'ALLOW')
    FROM role_tools v
    WHERE v.tenant_id = tenant AND v.role_id = ANY (roles)
    GROUP BY v.tool_id
    HAVING NOT bool_or(v.denied_explicitly) AND max(v.visibility) >= 'SEARCH';
END;
