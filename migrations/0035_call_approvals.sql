-- Calls that a person allows before they are made: which, and what was asked, decided and done.

ALTER TABLE roles
    -- Calls of which tools wait, where no rule says otherwise.
    ADD COLUMN approve text NOT NULL DEFAULT 'none' CHECK (approve IN ('none', 'destructive', 'not_read_only', 'all'));
ALTER TABLE role_rules
    -- Whether calls of its tools wait; `inherit`: as the role says.
    ADD COLUMN approve text NOT NULL DEFAULT 'inherit' CHECK (approve IN ('inherit', 'require', 'waive'));

CREATE TABLE call_approvals (
    tenant_id bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id text NOT NULL,
    -- SHA-256 of all that it holds for: caller, server, tool, arguments, definition, rules.
    binding bytea NOT NULL,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'approved', 'denied', 'used', 'expired', 'withdrawn')),
    -- Whether an equal call meets it.
    is_open boolean NOT NULL DEFAULT true,
    -- Whose call it is: sessions' identity, the key (0: none), the person behind it, and what either is called.
    caller text NOT NULL,
    key_id bigint NOT NULL,
    person_issuer text NOT NULL,
    person_subject text NOT NULL,
    asked_by text NOT NULL,
    server_id bigint NOT NULL,
    server_name text NOT NULL,
    tool_id bigint NOT NULL,
    tool_name text NOT NULL,
    -- What the tool said of itself when it was asked.
    definition json NOT NULL,
    -- The arguments, sealed for this row.
    arguments bytea NOT NULL,
    policy_version text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- Until when it may be decided; once it is, until when that holds.
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    decided_via text CHECK (decided_via IN ('admin', 'key', 'webhook', 'command line')),
    reason text,
    used_at timestamptz,
    -- SHA-256 of the state with which the client comes back after the server has asked something in the call.
    resume_hash bytea,
    -- A call that is made for a task: who makes it is there until `runs_until`, then `result` holds what came of it, sealed.
    is_task boolean NOT NULL DEFAULT false,
    runs_until timestamptz,
    cancelled_at timestamptz,
    result bytea,
    -- When the webhook is to be told, null: it was, or is not to be; and how often that was tried.
    tell_at timestamptz,
    tell_attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX call_approvals_open ON call_approvals (tenant_id, binding) WHERE is_open;
CREATE INDEX call_approvals_of_caller ON call_approvals (tenant_id, caller) WHERE is_open;
CREATE INDEX call_approvals_by_time ON call_approvals (tenant_id, asked_at DESC, id);
CREATE INDEX call_approvals_ending ON call_approvals (expires_at) WHERE is_open;
CREATE INDEX call_approvals_to_tell ON call_approvals (tell_at) WHERE tell_at IS NOT NULL;

-- Whoever waits hears of it, in whichever process.
CREATE FUNCTION tell_of_call_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('modelgate_approvals', NEW.tenant_id || ':' || NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_of_new AFTER INSERT ON call_approvals
FOR EACH ROW EXECUTE FUNCTION tell_of_call_approval();
CREATE TRIGGER tell_of_change AFTER UPDATE ON call_approvals
FOR EACH ROW WHEN ((OLD.state, OLD.cancelled_at, OLD.result) IS DISTINCT FROM (NEW.state, NEW.cancelled_at, NEW.result))
EXECUTE FUNCTION tell_of_call_approval();

INSERT INTO traced_columns (table_name, column_name) VALUES
    ('roles', 'approve'), ('role_rules', 'approve'),
    ('call_approvals', 'state'), ('call_approvals', 'tool_name'), ('call_approvals', 'server_name'),
    ('call_approvals', 'asked_by'), ('call_approvals', 'decided_by'), ('call_approvals', 'decided_via'),
    ('call_approvals', 'reason');
CREATE TRIGGER trace_new AFTER INSERT ON call_approvals
FOR EACH ROW EXECUTE FUNCTION trace_change('approval', 'tool_name');
CREATE TRIGGER trace_change AFTER UPDATE ON call_approvals
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION trace_change('approval', 'tool_name');
