-- name: approval_rules (lookup)
-- What the roles and profile $2 say of approval of calls of tool $3: one row for each by whose rules it is seen.
SELECT r.id AS role_id, r.version AS role_version, r.approve AS role_approve, u.id AS rule_id, u.version AS rule_version,
       u.approve AS rule_approve
FROM role_tools v
JOIN roles r ON r.tenant_id = v.tenant_id AND r.id = v.role_id
LEFT JOIN role_rules u ON u.tenant_id = v.tenant_id AND u.id = v.rule_id
WHERE v.tenant_id = $1 AND v.role_id = ANY($2::bigint[]) AND v.tool_id = $3
  AND (v.visibility > 'DENY' OR r.kind = 'profile')
ORDER BY r.id

-- name: set_role_approve
-- Calls of which tools wait, where no rule of the role says otherwise; part of another change of the role.
UPDATE roles SET approve = $3 WHERE tenant_id = $1 AND id = $2 AND approve <> $3

-- name: set_rule_approve
-- Whether calls of the tools of a rule wait; what differs is a change of the rule.
UPDATE role_rules SET approve = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND approve <> $3

-- name: lock_caller_approvals
-- One after the other, those who ask for the same caller: so many may be open, and equal ones are one.
SELECT pg_advisory_xact_lock(hashtextextended('approvals of ' || $1::bigint || ' ' || $2::text, 0))

-- name: close_expired_approvals
-- Take what has had its time out of the way of caller $2, or of everybody: what nobody decided, or used, has expired.
UPDATE call_approvals SET is_open = false, state = CASE state WHEN 'denied' THEN state ELSE 'expired' END, tell_at = NULL
WHERE is_open AND expires_at <= now() AND ($1::bigint IS NULL OR tenant_id = $1 AND caller = $2)

-- name: open_approval
-- The open one that holds for a call now.
SELECT {{approval_columns}} FROM call_approvals a
WHERE a.tenant_id = $1 AND a.binding = $2 AND a.is_open AND a.expires_at > now()

-- name: count_open_approvals
-- How many a caller has open.
SELECT count(*) FROM call_approvals WHERE tenant_id = $1 AND caller = $2 AND is_open

-- name: insert_approval
-- Ask for approval of a call, for $17 seconds; with $18 the webhook is told.
INSERT INTO call_approvals AS a (tenant_id, id, binding, caller, key_id, person_issuer, person_subject, asked_by, server_id,
                                 server_name, tool_id, tool_name, definition, arguments, policy_version, is_task, expires_at,
                                 tell_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, now() + make_interval(secs => $17),
        CASE WHEN $18::boolean THEN now() END)
RETURNING {{approval_columns}}

-- name: approval_columns
-- What is shown of an approval `a`; what has had its time has expired, be that written down or not.
a.tenant_id, a.id, a.binding, CASE WHEN a.state IN ('asked', 'approved') AND a.expires_at <= now() THEN 'expired' ELSE a.state END AS state,
a.caller, a.key_id, a.person_issuer, a.person_subject, a.asked_by, a.server_id, a.server_name, a.tool_id, a.tool_name, a.definition,
a.policy_version, a.asked_at, a.expires_at, a.decided_at, a.decided_by, a.decided_via, a.reason, a.used_at, a.is_task,
a.cancelled_at IS NOT NULL AS is_cancelled, a.runs_until IS NOT NULL OR a.result IS NOT NULL AS is_begun,
coalesce(a.runs_until > now(), false) AS is_running, a.result IS NOT NULL AS is_done

-- name: approval_by_id (lookup)
-- One approval.
SELECT {{approval_columns}} FROM call_approvals a WHERE a.tenant_id = $1 AND a.id = $2

-- name: approval_by_id_anywhere (lookup)
-- One approval of whichever tenant, for who has proven to be the chat tool that was told of it.
SELECT {{approval_columns}} FROM call_approvals a WHERE a.id = $1

-- name: approval_arguments (lookup)
-- The arguments of a call, sealed.
SELECT arguments FROM call_approvals WHERE tenant_id = $1 AND id = $2

-- name: approval_tool (lookup)
-- The definition that a tool has, as long as its server lists it.
SELECT definition FROM tools WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL

-- name: approver_identity
-- Who an admin is at the OpenID provider that they come from; nulls for an account of the gateway's own.
SELECT issuer, subject FROM admins WHERE id = $1

-- name: list_approvals
-- The newest approvals: those that wait for somebody, or all; asked before $3, at most $4.
SELECT {{approval_columns}} FROM call_approvals a
WHERE a.tenant_id = $1 AND (NOT $2::boolean OR a.is_open AND a.state = 'asked' AND a.expires_at > now())
  AND ($3::timestamptz IS NULL OR a.asked_at < $3)
ORDER BY a.asked_at DESC, a.id LIMIT $4

-- name: decide_approval
-- Allow or deny a call that waits; it holds for $7 seconds. Of two at once one finds nothing to decide.
UPDATE call_approvals a SET state = $3, decided_at = now(), decided_by = $4, decided_via = $5, reason = $6,
       expires_at = now() + make_interval(secs => $7), tell_at = NULL
WHERE a.tenant_id = $1 AND a.id = $2 AND a.state = 'asked' AND a.expires_at > now()
RETURNING {{approval_columns}}

-- name: use_approval
-- Let an allowed call through, once.
UPDATE call_approvals SET state = 'used', used_at = now(), is_open = false
WHERE tenant_id = $1 AND id = $2 AND state = 'approved' AND expires_at > now()

-- name: give_approval_back
-- A call that was let through was not made after all: it may still be, where none has been asked for anew.
UPDATE call_approvals a SET state = 'approved', used_at = NULL, is_open = true
WHERE a.tenant_id = $1 AND a.id = $2 AND a.state = 'used' AND a.expires_at > now() AND a.result IS NULL
  AND NOT EXISTS (SELECT FROM call_approvals o WHERE o.tenant_id = a.tenant_id AND o.binding = a.binding AND o.is_open)

-- name: await_resumed_call
-- The server has asked something in the call, and the client comes back with the state of this hash.
UPDATE call_approvals SET resume_hash = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'used'

-- name: resume_approved_call
-- Let a client go on, once, with a call that it was allowed to make.
UPDATE call_approvals SET resume_hash = NULL
WHERE tenant_id = $1 AND binding = $2 AND resume_hash = $3 AND state = 'used'
  AND used_at > now() - make_interval(secs => $4)
RETURNING id

-- name: withdraw_approval
-- Nobody wants the call any more.
UPDATE call_approvals SET state = 'withdrawn', is_open = false, tell_at = NULL, cancelled_at = now()
WHERE tenant_id = $1 AND id = $2 AND state IN ('asked', 'approved')

-- name: cancel_approved_call
-- Have whoever makes a call end it.
UPDATE call_approvals SET cancelled_at = now()
WHERE tenant_id = $1 AND id = $2 AND state = 'used' AND result IS NULL AND cancelled_at IS NULL

-- name: begin_approved_task
-- Let an allowed call through that is made for a task, once, by who says so again within $3 seconds. Where it was given
-- back, the task has ended all the same: only a call that is made anew takes it up.
UPDATE call_approvals SET state = 'used', used_at = now(), is_open = false, runs_until = now() + make_interval(secs => $3)
WHERE tenant_id = $1 AND id = $2 AND state = 'approved' AND expires_at > now() AND runs_until IS NULL AND result IS NULL

-- name: renew_approved_task
-- It is still being made.
UPDATE call_approvals SET runs_until = now() + make_interval(secs => $3)
WHERE tenant_id = $1 AND id = $2 AND result IS NULL AND runs_until IS NOT NULL

-- name: end_approved_task
-- What came of a call that was made for a task, sealed.
UPDATE call_approvals SET result = $3, runs_until = NULL WHERE tenant_id = $1 AND id = $2 AND result IS NULL

-- name: approved_task_result (lookup)
-- What came of it.
SELECT result FROM call_approvals WHERE tenant_id = $1 AND id = $2

-- name: approvals_to_tell
-- Those of which the webhook is to be told now, oldest first, with how often that was tried.
SELECT {{approval_columns}}, a.tell_attempts, t.slug AS tenant
FROM call_approvals a JOIN tenants t ON t.id = a.tenant_id
WHERE a.tell_at <= now() AND a.state = 'asked' AND a.expires_at > now() ORDER BY a.tell_at LIMIT $1

-- name: approval_told
-- The webhook was told, or is to be told again in $3 seconds; an attempt is counted where $4.
UPDATE call_approvals SET tell_at = now() + make_interval(secs => $3::double precision),
       tell_attempts = tell_attempts + CASE WHEN $4::boolean THEN 1 ELSE 0 END
WHERE tenant_id = $1 AND id = $2 AND tell_at IS NOT NULL

-- name: drop_old_approvals
-- What was asked more than $1 seconds ago and waits for nobody.
DELETE FROM call_approvals WHERE NOT is_open AND asked_at < now() - make_interval(secs => $1)

-- name: is_same_key
-- Whether a key took over from another, or that one from it, through any number of others.
WITH RECURSIVE line AS (
    SELECT id, replaces FROM api_keys WHERE tenant_id = $1 AND id = ANY(ARRAY[$2::bigint, $3::bigint])
    UNION
    SELECT k.id, k.replaces FROM api_keys k JOIN line l ON k.id = l.replaces WHERE k.tenant_id = $1
)
SELECT $2::bigint = $3::bigint OR EXISTS (
    SELECT FROM line WHERE replaces = $2::bigint OR replaces = $3::bigint)

-- name: owner_of_key
-- The account that a key is to act for, accepted or not; null where it acts for itself.
SELECT owner FROM api_keys WHERE tenant_id = $1 AND id = $2

-- name: approvals_sealed_otherwise
-- Approvals of which something was sealed with another key than $1 begins with, above $2.
SELECT tenant_id, id, arguments, result FROM call_approvals
WHERE (tenant_id, id) > ($2::bigint, $3::text)
  AND (substr(arguments, 1, length($1::bytea)) <> $1::bytea OR substr(result, 1, length($1::bytea)) <> $1::bytea)
ORDER BY tenant_id, id LIMIT $4

-- name: reseal_approval
-- Sealed anew, where nobody has changed it meanwhile.
UPDATE call_approvals SET arguments = $4, result = $6
WHERE tenant_id = $1 AND id = $2 AND arguments = $3 AND result IS NOT DISTINCT FROM $5
